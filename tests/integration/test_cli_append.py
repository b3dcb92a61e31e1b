"""``bridge append``: durable when it returns; the first bad line is named, and how many are kept."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Timer

import pytest

from bridge.cli.input import Interrupts
from keys.keyfile import read_signing_key
from spool.lane import Lane
from spool.lines import LINE_MAX
from tests.support.books import lines
from tests.support.commands import COMMAND, SECRET, bridge, environment, make_node
from tests.support.filesystems import remount, small_tmpfs
from tests.support.spools import wait_until

GOOD = b'{"id":"a"}\n{"id":"b"}\n'


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return make_node(tmp_path / "node")


def stored(config: Path, stream: str = "transactions") -> list[bytes]:
    lane = Lane(config.parent / "spool", "prod-1", stream)
    if not lane.folder.exists():
        return []
    assert list(lane.open.iterdir()) == []
    return lines(lane, read_signing_key(config.parent / "keys" / "node.pem"))


def test_a_file_is_stored_byte_for_byte(config: Path, tmp_path: Path) -> None:
    file = tmp_path / "records"
    file.write_bytes(GOOD + b'{"id":"c", "x":1.0}\n')
    told = bridge("--config", config, "append", "transactions", file)
    assert (told.code, told.out, told.err) == (0, b"3 records are durable.\n", "")
    assert stored(config) == [b'{"id":"a"}', b'{"id":"b"}', b'{"id":"c", "x":1.0}']


@pytest.mark.parametrize("dash", [[], ["-"]])
def test_stdin_is_stored_and_counted_in_json(config: Path, dash: list[str]) -> None:
    told = bridge("--config", config, "append", "transactions", *dash, "--json", stdin=GOOD)
    assert told.code == 0
    counts = {"records": 2, "filtered": 0}
    assert told.answer == {"schema": "bridge.append/1", "stream": "transactions", **counts}
    assert len(stored(config)) == 2


def test_the_last_line_may_lack_its_end(config: Path) -> None:
    told = bridge("--config", config, "append", "transactions", stdin=GOOD.rstrip(b"\n"))
    assert (told.code, len(stored(config))) == (0, 2)


def test_nothing_in_is_nothing_stored(config: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for arguments in ([], [tmp_path / "empty"], ["/dev/null"]):
        told = bridge("--config", config, "append", "transactions", "--json", *arguments)
        assert (told.code, told.answer["records"]) == (0, 0)
    assert stored(config) == []


BAD = {
    "record.json": b"nope",
    "record.blank": b"",
    "record.line_end": b'{"id":"c"}\r',
    "record.form": b'{"no":"id"}',
    "record.repeated_key": b'{"id":"c","id":"d"}',
    "record.secret": b'{"id":"c","x":"%b"}' % SECRET.encode(),
    "record.depth": b'{"id":"c","x":' + b"[" * 70 + b"]" * 70 + b"}",
    "record.too_large": b'{"id":"c","x":"%b"}' % (b"x" * LINE_MAX),
}


@pytest.mark.parametrize("problem", BAD)
def test_a_bad_line_in_a_file_stores_nothing(config: Path, tmp_path: Path, problem: str) -> None:
    file = tmp_path / "records"
    file.write_bytes(GOOD + BAD[problem] + b'\n{"id":"e"}\n')
    told = bridge("--config", config, "append", "transactions", file, "--json")
    assert told.code == 1
    assert (told.answer["error"]["id"], told.answer["records"]) == (problem, 0)
    assert told.answer["error"]["message"].startswith("Line 3: ")
    assert stored(config) == []
    assert SECRET not in (told.out.decode() + told.err)


@pytest.mark.parametrize("problem", BAD)
def test_a_bad_line_on_stdin_keeps_what_was_before_it(config: Path, problem: str) -> None:
    given = GOOD + BAD[problem] + b'\n{"id":"e"}\n'
    told = bridge("--config", config, "append", "transactions", "--json", stdin=given)
    assert told.code == 3
    assert (told.answer["error"]["id"], told.answer["records"]) == (problem, 2)
    assert "Line 3: " in told.answer["error"]["message"]
    assert stored(config) == [b'{"id":"a"}', b'{"id":"b"}']
    again = bridge("--config", config, "append", "transactions", stdin=BAD[problem] + b"\n" + GOOD)
    assert again.code == 1
    assert f"[{problem}]" in again.err
    assert "Nothing was stored." in again.err
    assert len(stored(config)) == 2


def test_a_byte_order_mark_is_refused(config: Path) -> None:
    told = bridge("--config", config, "append", "transactions", stdin=b"\xef\xbb\xbf" + GOOD)
    assert (told.code, "[record.bom]" in told.err) == (1, True)


def test_a_secret_in_telemetry_is_refused_too(config: Path) -> None:
    record = {
        "resourceLogs": [
            {"scopeLogs": [{"logRecords": [{"body": {"stringValue": f"k {SECRET}"}}]}]}
        ]
    }
    given = json.dumps(record).encode() + b"\n"
    told = bridge("--config", config, "append", "logs", stdin=given)
    assert (told.code, "[record.secret]" in told.err) == (1, True)
    assert stored(config, "logs") == []


def test_an_unknown_stream_is_refused_by_name(config: Path) -> None:
    told = bridge("--config", config, "append", "x\x1b[2J\u202e", stdin=GOOD)
    assert (told.code, "[stream.unknown]" in told.err) == (1, True)
    assert "\x1b" not in told.err
    assert "\u202e" not in told.err
    assert bridge("--config", config, "append").code == 2


def test_a_file_that_cannot_be_read_is_named(config: Path, tmp_path: Path) -> None:
    hostile = tmp_path / "no\x1b[2Jsuch"
    for path in (tmp_path, hostile):
        told = bridge("--config", config, "append", "transactions", path)
        assert (told.code, "[append.file]" in told.err) == (1, True)
        assert "\x1b" not in told.err


def test_a_pipe_given_by_name_is_taken_as_it_comes(config: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(
        [*COMMAND, "--config", str(config), "append", "transactions", str(pipe)],
        env=environment(),
        stdout=subprocess.PIPE,
    ) as process:
        with pipe.open("wb") as file:
            file.write(GOOD)
        assert process.communicate(timeout=60)[0] == b"2 records are durable.\n"
    assert len(stored(config)) == 2


def test_a_pipe_that_does_not_wait_is_waited_for() -> None:
    ours, theirs = os.pipe()
    os.set_blocking(ours, False)
    later = Timer(0.02, os.write, (theirs, GOOD))
    with Interrupts() as interrupts:
        later.start()
        assert interrupts.read(ours, 100) == GOOD
    later.join()
    os.close(ours)
    os.close(theirs)


def test_a_link_to_a_file_is_the_file(config: Path, tmp_path: Path) -> None:
    (tmp_path / "records").write_bytes(GOOD)
    (tmp_path / "link").symlink_to(tmp_path / "records")
    assert bridge("--config", config, "append", "transactions", tmp_path / "link").code == 0
    assert len(stored(config)) == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_says_how_many_are_durable(config: Path, number: signal.Signals) -> None:
    spool = config.parent / "spool"
    with subprocess.Popen(
        [*COMMAND, "--config", str(config), "append", "transactions", "--json"],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(GOOD)
        process.stdin.flush()
        wait_until(lambda: any(p.stat().st_size for p in spool.rglob("open/*.zst")))
        process.send_signal(number)
        answer = json.loads(process.stdout.read())
        assert process.wait(timeout=60) == 130
    assert (answer["records"], answer["error"]["id"]) == (2, "interrupted")
    assert len(stored(config)) == 2


def test_without_the_node_s_key_the_file_waits_for_the_daemon(config: Path) -> None:
    (config.parent / "keys" / "node.pem").unlink()
    assert bridge("--config", config, "append", "transactions", stdin=GOOD).code == 0
    lane = Lane(config.parent / "spool", "prod-1", "transactions")
    assert len(list(lane.open.iterdir())) == 1
    assert list(lane.sealed_numbers()) == []


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    with small_tmpfs(tmp_path / "small", "4m") as disk:
        yield disk


def test_a_full_disk_says_how_many_are_durable(config: Path, small: Path) -> None:
    config.write_text(
        config.read_text().replace("path: spool", f"path: {small / 'spool'}, min_free: 0B")
    )
    given = [b'{"id":"%d","pad":"%s"}' % (n, os.urandom(5000).hex().encode()) for n in range(2000)]
    told = bridge(
        "--config", config, "append", "transactions", "--json", stdin=b"\n".join(given) + b"\n"
    )
    assert told.code == 5
    assert told.answer["error"]["id"] == "disk.full"
    durable = told.answer["records"]
    assert 0 < durable < 2000
    assert f"{durable:,} records are durable" in told.answer["error"]["message"]


def _room_for(config: Path, room: str) -> None:
    config.write_text(config.read_text().replace("path: spool", f"path: spool, {room}"))


def _fills(records: int) -> bytes:
    """Some five KB of disk each."""
    pads = [os.urandom(5000).hex().encode() for _ in range(records)]
    return b"".join(b'{"id":"%b","pad":"%b"}\n' % (pad[:9], pad) for pad in pads)


def test_beyond_its_budget_nothing_is_appended_and_telemetry_gives_way_before_billing(
    config: Path,
) -> None:
    _room_for(config, "max_size: 1MiB")
    log = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityNumber":17}]}]}]}\n'
    given = {"logs": log, "transactions": _fills(160)}
    taken: dict[str, int] = {}
    for _ in range(30):
        for stream, some in given.items():
            told = bridge("--config", config, "append", stream, "--json", stdin=some)
            if told.code:
                assert (told.code, told.answer["error"]["id"]) == (5, "spool.full")
                assert told.answer["records"] == 0
            else:
                taken[stream] = taken.get(stream, 0) + 1
        given["transactions"] = _fills(5)  # some 2.5 % of the room
    assert 0 < taken["logs"] < taken["transactions"] < 30


def test_one_call_takes_no_more_than_the_budget_and_what_was_on_its_way(config: Path) -> None:
    _room_for(config, "max_size: 1MiB")
    told = bridge("--config", config, "append", "transactions", "--json", stdin=_fills(8000))
    assert (told.code, told.answer["error"]["id"]) == (5, "spool.full")
    assert 0 < told.answer["records"] < 4000  # 20 MiB of 40


def test_what_has_to_stay_free_on_the_disk_is_not_appended_to(config: Path) -> None:
    _room_for(config, "min_free: 1048576GiB")
    told = bridge("--config", config, "append", "transactions", stdin=GOOD)
    assert (told.code, "[spool.full]" in told.err) == (5, True)
    assert "0 records are durable" in told.err


def test_a_disk_that_is_mounted_read_only_is_not_said_to_be_full(config: Path, small: Path) -> None:
    _room_for(config, "min_free: 0B")
    config.write_text(config.read_text().replace("path: spool", f"path: {small / 'spool'}"))
    assert bridge("--config", config, "append", "transactions", stdin=GOOD).code == 0
    remount(small, "ro")
    told = bridge("--config", config, "append", "transactions", stdin=GOOD)
    assert (told.code, "[disk.read_only]" in told.err) == (5, True)
    told = bridge("--config", config, "keys", "rotate")
    assert (told.code, "[disk.read_only]" in told.err) == (5, True)


def test_memory_does_not_grow_with_the_input(config: Path, tmp_path: Path) -> None:
    program = (
        "import resource, sys; from bridge.cli.main import run\n"
        "code = run(sys.argv[1:])\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)\n"
        "sys.exit(code)"
    )

    def peak(records: int) -> int:
        file = tmp_path / "records"
        with file.open("wb") as out:
            for n in range(records):
                out.write(b'{"id":"%d","pad":"%b"}\n' % (n, b"lorem ipsum " * 60))
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                program,
                "--config",
                str(config),
                "append",
                "transactions",
                file,
            ],
            env=environment(),
            capture_output=True,
            text=True,
            check=True,
        )
        return int(done.stderr.split()[-1])

    assert peak(100_000) - peak(20_000) < 20_000


def test_a_line_without_end_is_not_read_into_memory(config: Path) -> None:
    program = (
        "import os, sys\n"
        "try:\n"
        "    while True: os.write(1, b'x' * 65536)\n"
        "except BrokenPipeError: pass\n"
    )
    with (
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as endless,
        subprocess.Popen(
            [*COMMAND, "--config", str(config), "append", "transactions"],
            stdin=endless.stdout,
            stderr=subprocess.PIPE,
            env=environment(),
        ) as process,
    ):
        assert endless.stdout is not None
        endless.stdout.close()
        _, err = process.communicate(timeout=60)
    assert (process.returncode, b"[record.too_large]" in err) == (1, True)
