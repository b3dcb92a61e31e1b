"""A process that may open no more files: people are told that, whatever it was opened for."""

import json
import resource
import subprocess
from functools import partial
from pathlib import Path

import pytest

from spool.outoffiles import out_of_files_behind
from tests.support.commands import COMMAND, SECRET, bridge, environment


@pytest.fixture
def node(tmp_path: Path) -> Path:
    folder = tmp_path / "node"
    assert bridge("init", folder, "--node", "n").code == 0
    (folder / "license_key").write_text(SECRET)
    (folder / "records").write_text('{"id":"a"}\n')
    command = ["--config", str(folder / "bridge.yaml")]
    assert bridge(*command, "append", "transactions", folder / "records").code == 0
    assert bridge(*command, "status").code == 1  # the ledger is there
    return folder


@pytest.mark.parametrize(
    ("command", "limit"),
    [
        (["status", "--json"], 6),
        (["status", "--json"], 9),
        (["append", "transactions", "records", "--json"], 6),
        (["replay", "--yes", "--json"], 10),
        (["import", "nothing.agb", "--json"], 6),
    ],
    ids=lambda given: given[0] if isinstance(given, list) else str(given),
)
def test_a_command_without_descriptors_says_so_and_what_to_do(
    node: Path, command: list[str], limit: int
) -> None:
    done = subprocess.run(
        [*COMMAND, "--config", str(node / "bridge.yaml"), *command],
        cwd=node,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=partial(resource.setrlimit, resource.RLIMIT_NOFILE, (limit, limit)),
    )
    assert done.returncode == 5, done.stdout + done.stderr
    error = json.loads(done.stdout)["error"]
    assert error["id"] == "files.too_many"
    assert "Too many open files" in error["message"]
    assert "ulimit -n" in error["hint"]


def test_another_cause_is_not_called_so() -> None:
    with pytest.raises(FileNotFoundError) as caught:
        (Path("/") / "nothing" / "here").read_bytes()
    assert out_of_files_behind(caught.value) is None
    assert out_of_files_behind(ValueError()) is None
