"""The command line's frame: help, errors, exit codes, JSON, second name."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.cli.main import COMMANDS
from keys.keyfile import read_signing_key


def bridge(*arguments: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "bridge.cli.main", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help_that_says_what_it_does(name: str) -> None:
    told = bridge(name, "--help")
    assert told.returncode == 0
    assert "Usage: bridge " + name in told.stdout
    assert len(told.stdout.splitlines()) > 4


def test_help_lists_every_command() -> None:
    told = bridge("--help").stdout
    assert all(name in told for name in COMMANDS)


@pytest.mark.parametrize(
    "arguments", [["nothing"], ["status", "--nothing"], ["status", "--wait", "x"]]
)
def test_wrong_usage_ends_with_two(arguments: list[str]) -> None:
    assert bridge(*arguments).returncode == 2


def test_without_a_configuration_the_error_says_what_to_do(tmp_path: Path) -> None:
    told = bridge("status", cwd=tmp_path)
    assert told.returncode == 78
    assert told.stderr.startswith("error: ")
    assert "[config.missing]" in told.stderr
    assert "\nhint: " in told.stderr
    answer = json.loads(bridge("status", "--json", cwd=tmp_path).stdout)
    assert answer["schema"] == "bridge.status/1"
    assert set(answer["error"]) == {"id", "message", "hint"}
    assert bridge("status", "--json", cwd=tmp_path).returncode == 78


def test_init_makes_a_node_once_and_says_the_next_step(tmp_path: Path) -> None:
    told = bridge("init", str(tmp_path / "node"), "--node", "prod-1")
    assert told.returncode == 0
    assert "bridge --config" in told.stdout
    key = read_signing_key(tmp_path / "node" / "keys" / "node.pem")
    config = (tmp_path / "node" / "bridge.yaml").read_bytes()
    assert bridge("init", str(tmp_path / "node"), "--node", "other").returncode == 0
    assert (tmp_path / "node" / "bridge.yaml").read_bytes() == config
    assert read_signing_key(tmp_path / "node" / "keys" / "node.pem").public == key.public


@pytest.mark.parametrize(
    ("arguments", "error", "code"),
    [
        (["--node", "UPPER"], "node.name", 78),
        (["--node", "quarantine"], "node.name", 78),
        (["--node", "x/../y"], "node.name", 78),
        (["--beacon", "http://beacon.example"], "config.value", 78),
    ],
)
def test_init_with_bad_words_makes_nothing(
    tmp_path: Path, arguments: list[str], error: str, code: int
) -> None:
    told = bridge("init", str(tmp_path / "node"), *arguments)
    assert (told.returncode, f"[{error}]" in told.stderr) == (code, True)
    assert not (tmp_path / "node").exists()


def test_init_refuses_a_source_tree(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    assert "[init.source_tree]" in bridge("init", str(tmp_path), "--node", "n").stderr


def test_an_unknown_schema_of_the_ledger_is_left_alone(tmp_path: Path) -> None:
    bridge("init", str(tmp_path / "node"), "--node", "n")
    ledger = tmp_path / "node" / "spool" / "ledger.db"
    ledger.write_bytes(b"SQLite format 3\0" + b"\0" * 4096)
    told = bridge("--config", str(tmp_path / "node" / "bridge.yaml"), "status")
    assert told.returncode in (0, 1, 3, 5, 78)
    assert "Traceback" not in told.stderr


def test_a_reader_that_goes_away_is_no_traceback(tmp_path: Path) -> None:
    command = f"{sys.executable} -m bridge.cli.main --help | head -c 1 >/dev/null"
    told = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert told.stderr == ""
