"""The command line's frame: help, errors, exit codes, JSON, second name."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.cli.commands import COMMANDS
from bridge.cli.session import Session
from keys.errors import BridgeError
from keys.keyfile import read_signing_key
from tests.support.commands import COMMAND, environment, make_node
from tests.support.commands import bridge as ran
from tests.support.forks import forked_command


def bridge(*arguments: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*forked_command(), *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env=environment(),
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


@pytest.mark.parametrize(
    "words",
    [["status"], ["status", "--wait", "drained"], ["audit"], ["replay"]],
    ids=" ".join,
)
def test_a_spool_that_is_not_there_is_no_fault_of_the_disk(
    tmp_path: Path, words: list[str]
) -> None:
    config = make_node(tmp_path / "node")
    (tmp_path / "node" / "spool").rmdir()
    told = ran("--config", config, *words)
    assert (told.code, "[spool.missing]" in told.err) == (78, True)


def test_import_with_a_file_where_the_spool_belongs_says_which_file(tmp_path: Path) -> None:
    config = make_node(tmp_path / "node")
    spool = tmp_path / "node" / "spool"
    spool.rmdir()
    spool.write_bytes(b"no folder")
    told = ran("--config", config, "import", tmp_path / "a.agb")
    assert (told.code, "[disk.path]" in told.err) == (5, True)
    assert str(spool) in told.err


def test_init_where_a_file_lies_says_so(tmp_path: Path) -> None:
    (tmp_path / "node").write_bytes(b"no folder")
    told = ran("init", tmp_path / "node")
    assert (told.code, "[init.no_folder]" in told.err) == (78, True)


def test_a_note_of_bytes_that_are_no_text_is_wrong_usage(tmp_path: Path) -> None:
    discard = ("--state", "lost", "--stream", "logs", "--discard", "--note", "a\udcffb")
    told = ran("--config", make_node(tmp_path / "node"), "replay", *discard)
    assert (told.code, "UTF-8" in told.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["init", "x" * 300], "init.failed"),
        (["demo", "--keep", "x" * 300], "demo.folder"),
        (["demo", "--keep", "/proc/demo"], "demo.folder"),
        (["demo", "--keep", "/"], "demo.exists"),
    ],
)
def test_a_folder_that_cannot_be_made_is_no_fault_of_the_program(
    tmp_path: Path, arguments: list[str], error: str
) -> None:
    assert f"[{error}]" in bridge(*arguments, cwd=tmp_path).stderr


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


def test_a_reader_that_goes_away_before_a_result_ends_the_command_like_a_signal(
    tmp_path: Path,
) -> None:
    command = f"(sleep 0.2; {sys.executable} -m bridge.cli.main init node; echo $? >&2) | true"
    told = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert told.stderr == "141\n"


@pytest.mark.parametrize(
    ("arguments", "schema"),
    [
        (["status", "--json", "--nothing"], "bridge.status/1"),
        (["init", "--json", "a", "b"], "bridge.init/1"),
        (["nothing", "--json"], "bridge.bridge/1"),
        (["-v", "-q", "status", "--json"], "bridge.status/1"),
    ],
)
def test_wrong_usage_is_answered_in_json_where_json_was_asked_for(
    arguments: list[str], schema: str
) -> None:
    told = bridge(*arguments)
    answer = json.loads(told.stdout)
    assert (told.returncode, told.stderr) == (2, "")
    assert (answer["schema"], answer["error"]["id"]) == (schema, "usage")
    assert "--help" in answer["error"]["hint"]


def test_attack_152_an_argument_is_escaped_in_the_error_that_names_it() -> None:
    told = bridge("status", "\x1b]0;x\x07\u202e")
    assert told.stderr.startswith("error: ")
    assert "\nhint: " in told.stderr
    assert all(mark.isprintable() or mark == "\n" for mark in told.stderr)
    assert bridge("--config", "\x1b[2J", "status").stderr.isascii()


@pytest.mark.parametrize("name", ["123", "0", "null", "on", "1e3", "0x1f", "2026-01-01"])
def test_init_takes_names_that_yaml_would_read_as_something_else(tmp_path: Path, name: str) -> None:
    told = bridge("init", str(tmp_path / "node"), "--node", name, "--json")
    assert json.loads(told.stdout)["node"] == name


def test_init_takes_a_beacon_at_an_address_in_brackets(tmp_path: Path) -> None:
    told = bridge("init", str(tmp_path / "node"), "--beacon", "http://[::1]:8490", "--json")
    assert told.returncode == 0, told.stdout


def test_what_init_makes_is_obeyed_whatever_the_umask(tmp_path: Path) -> None:
    command = f"umask 000; {sys.executable} -m bridge.cli.main init a/b --node n"
    subprocess.run(["bash", "-c", command], check=True, capture_output=True, cwd=tmp_path)
    node = tmp_path / "a" / "b"
    assert (node / "bridge.yaml").stat().st_mode & 0o777 == 0o644
    for folder in (node, node / "spool", node / "keys"):
        assert folder.stat().st_mode & 0o777 == 0o700
    (node / "license_key").write_text("lcl_of_this_node")
    assert "config.unsafe" not in bridge("status", cwd=node).stderr


def test_init_makes_the_folders_that_a_kept_configuration_names(tmp_path: Path) -> None:
    (tmp_path / "bridge.yaml").write_text("node: n\nkeys: {path: k}\nspool: {path: s}\n")
    assert bridge("init", str(tmp_path)).returncode == 0
    assert (tmp_path / "k" / "node.pem").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "s").is_dir()
    assert not (tmp_path / "keys").exists()


def test_init_answers_in_json_also_about_a_folder_whose_name_is_no_text(tmp_path: Path) -> None:
    told = bridge("init", os.fsdecode(b"node-\xff"), "--node", "n", "--json", cwd=tmp_path)
    assert json.loads(told.stdout)["folder"] == "node-\\udcff"


def test_a_license_key_in_the_environment_is_taken_with_a_warning_that_hides_it(
    tmp_path: Path,
) -> None:
    (tmp_path / "bridge.yaml").write_text("node: n\n")
    (tmp_path / "spool").mkdir()
    told = subprocess.run(
        [sys.executable, "-m", "bridge.cli.main", "status", "--json"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "BRIDGE_LICENSE_KEY": "lcl_CANARY_0123"},
    )
    assert json.loads(told.stderr)["event"] == "license.environment"
    assert json.loads(told.stdout)["node"] == "n"
    assert "lcl_CANARY" not in told.stdout + told.stderr


def test_the_frame_imports_nothing_that_a_command_may_not_need() -> None:
    program = "import sys, bridge.cli.main; print(*sys.modules)"
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    heavy = {"cryptography", "httpx", "msgspec", "sqlite3", "starlette", "uvicorn", "watchdog"}
    assert not heavy & set(told.stdout.split())
    assert not {"yaml", "zstandard", "importlib.metadata"} & set(told.stdout.split())


def test_an_interrupt_ends_a_command_without_a_traceback(tmp_path: Path) -> None:
    pipe = tmp_path / "bridge.yaml"
    os.mkfifo(pipe)
    with (
        subprocess.Popen(
            [sys.executable, "-m", "bridge.cli.main", "--config", str(pipe), "status"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
        pipe.open("wb"),
    ):  # returns once the command reads from the other end
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err.strip()) == (130, "", "")


def test_testbeacon_says_where_it_listens_and_ends_when_told_to(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "bridge.cli.main", "testbeacon", "--listen", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.terminate()
        _, err = process.communicate(timeout=60)
    assert line.startswith("The reference beacon listens on http://127.0.0.1:")
    assert (process.returncode, err) == (0, "")
    assert bridge("testbeacon", "--listen", "localhost:1", cwd=tmp_path).returncode == 78


def test_attack_154_the_trace_of_a_fault_holds_no_license_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bridge.yaml").write_text("node: n\n")
    session = Session()
    session.config_file = tmp_path / "bridge.yaml"
    session.environment = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    (tmp_path / "license_key").write_text("lcl_CANARY_0123")
    assert session.license_keys.known("n")
    session.show_trace(ValueError("Illegal header value b'lcl_CANARY_0123' \x1b[2J"))
    session.show_error(BridgeError("x.y", "It is lcl_CANARY_0123.", "Not lcl_CANARY_0123."))
    written = capsys.readouterr().err
    assert "lcl_CANARY" not in written
    assert "\x1b" not in written
    assert written.count("[secret]") == 3


def test_a_node_key_that_cannot_be_read_is_named_with_what_to_do(tmp_path: Path) -> None:
    assert bridge("init", str(tmp_path), "--node", "n").returncode == 0
    (tmp_path / "license_key").write_text("lcl_of_this_node")
    (tmp_path / "keys" / "node.pem").rename(tmp_path / "elsewhere.pem")
    (tmp_path / "keys" / "node.pem").symlink_to(tmp_path / "elsewhere.pem")
    told = bridge("run", "--once", cwd=tmp_path)
    assert (told.returncode, "[key.unreadable]" in told.stderr) == (78, True)


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_result_that_cannot_be_written_is_said_and_is_no_fault_of_the_program(
    tmp_path: Path, form: str
) -> None:
    config = make_node(tmp_path / "node")
    options = ["--json"] if form == "json" else []
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*COMMAND, "--config", str(config), "append", "transactions", *options],
            input=b'{"id":"a"}\n',
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            env=environment(),
        )
    assert done.returncode == 1
    assert b"[output.failed]" in done.stderr
    assert b"Traceback" not in done.stderr


_SPEAKING = {
    "result": ["status"],
    "json": ["status", "--json"],
    "error in json": ["status", "--json", "--nothing"],
    "help": ["status", "--help"],
    "a row of lines": ["audit", "--record", "a"],
    "a list in json": ["audit", "--json"],
    "raw lines": ["inspect", "--records"],
}
"""Every way in which something comes to stdout."""


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A node's folder with one segment that did not leave."""
    folder = tmp_path_factory.mktemp("sealed") / "node"
    config = make_node(folder)
    config.write_bytes(config.read_bytes() + b"\negress: {mode: offline}\n")
    for words, given in ((["append", "transactions"], b'{"id":"a"}\n'), (["run", "--once"], b"")):
        done = ran("--config", config, *words, stdin=given)
        assert done.code == 0, done.err
    return folder


def _speaking(way: str, folder: Path) -> list[str]:
    (segment,) = folder.glob("spool/*/transactions/sealed/*/*.zst")
    return [*_SPEAKING[way], *([str(segment)] if way == "raw lines" else [])]


@pytest.mark.parametrize("bad", [">&-", ">/dev/full"])
@pytest.mark.parametrize("way", _SPEAKING)
def test_whatever_stdout_does_not_take_is_said_as_that_and_as_nothing_else(
    sealed: Path, way: str, bad: str
) -> None:
    words = _speaking(way, sealed)
    done = subprocess.run(
        ["bash", "-c", f'exec "$@" {bad}', "-", *COMMAND, "--config", "bridge.yaml", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=sealed,
        env=environment(),
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-2].endswith("[output.failed]")
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize("way", _SPEAKING)
def test_whoever_reads_no_longer_ends_the_command_like_a_signal_wherever_it_speaks(
    sealed: Path, way: str
) -> None:
    words = _speaking(way, sealed)
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [*COMMAND, "--config", "bridge.yaml", *words],
            stdout=writer,
            stderr=subprocess.PIPE,
            check=False,
            cwd=sealed,
            env=environment(),
        )
    finally:
        os.close(writer)
    assert (done.returncode, b"error" in done.stderr) == (141, False)


@pytest.mark.parametrize("stderr", ["2>&-", "2>/dev/full"])
def test_an_error_that_cannot_be_said_has_its_exit_code_all_the_same(
    tmp_path: Path, stderr: str
) -> None:
    done = subprocess.run(
        ["bash", "-c", f'exec "$@" {stderr}', "-", *COMMAND, "--config", "nowhere.yaml", "status"],
        check=False,
        cwd=tmp_path,
        env=environment(),
    )
    assert done.returncode == 78


def test_a_word_about_the_work_that_cannot_be_written_stops_no_work(tmp_path: Path) -> None:
    config = make_node(tmp_path / "node")
    for words, given in ((["append", "transactions"], b'{"id":"a"}\n'), (["run", "--once"], b"")):
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run(
                [*COMMAND, "--config", str(config), *words],
                input=given,
                stdout=subprocess.PIPE,
                stderr=full,
                check=False,
                env={**environment(), "BRIDGE_EGRESS__MODE": "offline"},
            )
        assert done.returncode == 0
    assert b"Traceback" not in done.stdout
