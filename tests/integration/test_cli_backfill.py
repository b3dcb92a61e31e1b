"""``bridge backfill``: the vendor's exports, taken once, whatever happens on the way."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from spool.heldlines import held_lines
from spool.lane import Lane
from tests.support.beacon import running_beacon
from tests.support.bridges import Node, node_for
from tests.support.commands import COMMAND, environment
from tests.support.exports import NODES, TRACES, node, nodes, trace, traces, written

pytestmark = pytest.mark.enable_socket  # a node is given a free port
MANY = b",".join(b"c%d" % n for n in range(300))
UNREACHABLE = "http://127.0.0.1:9"


@pytest.fixture
def home(tmp_path: Path) -> Node:
    with node_for(tmp_path, UNREACHABLE) as made:
        return made


def _held(home: Node, stream: str = "transactions") -> list[dict[str, object]]:
    def unread(path: Path, why: str) -> None:
        raise AssertionError(path, why)

    lines = b"".join(held_lines(Lane(home.spool, home.name, stream), unread)).splitlines()
    return [json.loads(line) for line in lines]


def _backfill(home: Node, data: bytes, *options: str, code: int = 0) -> dict[str, object]:
    file = home.folder / "export.csv"
    file.write_bytes(data)
    done = home.bridge("backfill", str(file), "--json", *options)
    assert done.returncode == code, (done.stdout, done.stderr)
    told: dict[str, object] = json.loads(done.stdout)
    assert told["schema"] == "bridge.backfill/1"
    return told


def test_rows_become_transactions_with_every_column_but_the_customers_name(home: Node) -> None:
    told = _backfill(home, traces(trace(7)))
    assert (told["stream"], told["rows"], told["taken"]) == ("transactions", 1, 1)
    (record,) = _held(home)
    assert set(record) == set(TRACES) - {"customer_name"}
    assert (record["trace_count"], record["num_failed_send_attempts"]) == (7, 3)
    assert record["start_insertion_time"] == "2026-11-01 07:00:00+00"
    assert record["start_interval_time"] is None
    _backfill(home, traces(trace(8)), "--with-names")
    assert _held(home)[-1]["customer_name"] == "ACME, Inc."


def test_rows_become_langgraph_reports_whose_documents_are_json(home: Node) -> None:
    assert _backfill(home, nodes(node(1), node(2)))["taken"] == 2
    first, _ = _held(home, "langgraph")
    assert set(first) == set(NODES) - {"customer_name"}
    assert first["measures"] == {"langgraph.platform.nodes": 1}
    assert (first["logs"], first["num_failed_metronome_send_attempts"]) == ([], None)


def test_the_same_row_or_file_twice_is_taken_once(home: Node) -> None:
    data = traces(*(trace(n) for n in range(1, 6)), trace(3))
    told = _backfill(home, data)
    assert (told["taken"], told["repeated"], told["held"]) == (5, 1, 0)
    told = _backfill(home, data)
    assert (told["taken"], told["repeated"], told["held"]) == (0, 1, 5)
    told = _backfill(home, traces(*(trace(n) for n in range(1, 8))))
    assert (told["taken"], told["held"]) == (2, 5)
    assert sorted(int(str(record["trace_count"])) for record in _held(home)) == list(range(1, 8))


def test_rows_that_were_sent_are_left_out_unless_they_are_wanted(home: Node) -> None:
    words = ("pending", "sent-backfilled", "sent", "needs_backfill", "a new word")
    data = traces(*(trace(n, status=word) for n, word in enumerate(words)))
    told = _backfill(home, data)
    assert (told["taken"], told["sent"]) == (3, 2)
    assert told["statuses"] == dict.fromkeys(words, 1)
    assert [record["status"] for record in _held(home)] == [
        "pending",
        "needs_backfill",
        "a new word",
    ]
    assert _backfill(home, data, "--include-sent")["taken"] == 2


def test_a_dry_run_says_everything_and_takes_nothing(home: Node) -> None:
    told = _backfill(home, traces(trace(1), trace(2)), "--dry-run")
    assert (told["wanted"], told["taken"], told["dry_run"]) == (2, 0, True)
    assert not list(home.spool.rglob("*.zst"))


def test_rows_that_cover_the_time_of_what_is_held_are_refused_without_a_word(home: Node) -> None:
    taken = b'{"id":"from-the-intake","tenant_id":"tenant-1","session_id":"session-1",'
    taken += b'"transaction_type":"longlived_traces",'
    taken += b'"start_insertion_time":"2026-11-01T07:30:00Z",'
    taken += b'"end_insertion_time":"2026-11-01T08:30:00Z"}\n'
    home.bridge("append", "transactions", stdin=taken)
    data = traces(trace(5), trace(7), trace(8))
    told = _backfill(home, data, code=1)
    assert told["error"]["id"] == "backfill.overlap"  # type: ignore[index]
    assert len(_held(home)) == 1
    assert _backfill(home, traces(trace(5)))["taken"] == 1
    assert _backfill(home, data, "--overlap")["taken"] == 2


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "backfill.csv"),
        (b"\n", "backfill.csv"),
        (b"a,b\n1,2\n", "backfill.header"),
        (b"id,id,tenant_id,trace_count,status\n", "backfill.header"),
        (b"id,tenant_id,trace_count,status," + MANY, "backfill.header"),
        (b"id,tenant_id,trace_count,status,=cmd()\n", "backfill.header"),
        (b'id,tenant_id,trace_count,status\n1,t,1,"pending', "backfill.csv"),
        (b"id,tenant_id,trace_count,status\n1,t,1,\xff\n", "backfill.csv"),
        (b"id,tenant_id,trace_count,status\n1,t,1\n", "backfill.row"),
        (b"id,tenant_id,trace_count,status\n1,t,1.5,pending\n", "backfill.row"),
        (b"id,tenant_id,trace_count,status\n,t,1,pending\n", "backfill.row"),
        (traces(trace(1), trace(2)[:-1]), "backfill.row"),
        (traces(trace(1)).replace(b"tenant-1", b"lcl_EXAMPLE_NOT_A_KEY"), "record.secret"),
        (written([*TRACES, "license_key"], [[*trace(1), "x"]]), "record.secret"),
        (nodes(node(1)).replace(b'"{""langgraph.platform', b'"{{""langgraph.platform'), "backfill.row"),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused_whole_with_the_row_named(
    home: Node, data: bytes, problem: str
) -> None:
    told = _backfill(home, data, code=1)
    assert told["error"]["id"] == problem  # type: ignore[index]
    assert not list(home.spool.rglob("*.zst"))


@pytest.mark.parametrize("change", [b"\xef\xbb\xbf", b"crlf"])
def test_a_byte_order_mark_and_windows_line_ends_are_no_matter(home: Node, change: bytes) -> None:
    data = traces(trace(1))
    data = data.replace(b"\n", b"\r\n") if change == b"crlf" else change + data
    assert _backfill(home, data)["taken"] == 1


def test_a_cell_with_quotes_and_line_breaks_is_kept(home: Node) -> None:
    row = trace(1)
    row[13] = 'a "b"\nc\0'
    _backfill(home, traces(row))
    assert _held(home)[0]["source"] == 'a "b"\nc\0'


def test_what_is_no_file_is_refused_and_not_waited_for(home: Node) -> None:
    os.mkfifo(home.folder / "fifo")
    (home.folder / "folder").mkdir()
    for name in ("folder", "nothing"):
        done = home.bridge("backfill", str(home.folder / name))
        assert (done.returncode, "[append.file]" in done.stderr) == (1, True)


def _start(home: Node, file: Path) -> "subprocess.Popen[bytes]":
    command: Sequence[str] = [*COMMAND, "--config", str(home.config), "backfill", str(file)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=environment())


def test_a_backfill_that_was_killed_is_finished_by_the_next_and_nothing_comes_twice(
    home: Node,
) -> None:
    count = 12_000
    file = home.folder / "export.csv"
    file.write_bytes(traces(*(trace(n, hour=n % 24) for n in range(count))))
    with _start(home, file) as process:
        deadline = time.monotonic() + 60
        while not any(path.stat().st_size for path in home.spool.rglob("open/*.zst")):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    before = len(_held(home))
    assert 0 < before <= count
    told = _backfill(home, file.read_bytes(), "--overlap")
    assert (told["held"], told["taken"]) == (before, count - before)
    assert len({record["id"] for record in _held(home)}) == len(_held(home)) == count


def test_what_was_backfilled_beside_a_daemon_reaches_the_beacon(tmp_path: Path) -> None:
    with (
        running_beacon(tmp_path / "beacon") as beacon,
        node_for(tmp_path, beacon.url) as running,
    ):
        running.daemon.start()
        assert _backfill(running, traces(*(trace(n) for n in range(50))))["taken"] == 50
        assert _backfill(running, nodes(*(node(n) for n in range(5))))["taken"] == 5
        assert running.bridge("status", "--wait", "drained", "--timeout", "30s").returncode == 0
        received = beacon.received()
        assert received["transactions"]["distinct"] == 50
        assert received["langgraph"]["records"] == 5
