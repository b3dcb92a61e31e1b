"""``bridge backfill``: the vendor's exports, taken once, whatever happens on the way."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from hashlib import shake_256
from pathlib import Path

import pytest

from spool import locks
from spool.heldlines import held_lines
from spool.lane import Lane
from spool.writer import Writer
from tests.support.beacon import running_beacon
from tests.support.bridges import Node, node_for
from tests.support.commands import COMMAND, environment
from tests.support.exports import NODES, TRACES, node, nodes, trace, traces, written

pytestmark = pytest.mark.enable_socket  # a node is given a free port
MANY = b",".join(b"c%d" % n for n in range(300))
REPORTED = {
    "start_insertion_time",
    "end_insertion_time",
    "start_interval_time",
    "end_interval_time",
}
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
    assert set(record) == (set(TRACES) | REPORTED) - {"customer_name"}
    assert (record["trace_count"], record["num_failed_send_attempts"]) == (7, 3)
    assert record["start_insertion_time"] == "2026-11-01T07:00:00Z"
    _backfill(home, traces(trace(8)), "--with-customer-name")
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
    told = _backfill(home, traces(trace(7)), code=1)
    assert (told["taken"], told["refused"]) == (0, 1)
    data = traces(trace(5), trace(7), trace(8))
    told = _backfill(home, data, "--dry-run", code=3)
    assert (told["wanted"], told["refused"], len(_held(home))) == (1, 2, 1)
    told = _backfill(home, data, code=3)
    assert (told["taken"], told["refused"]) == (1, 2)
    assert told["error"]["id"] == "backfill.overlap"  # type: ignore[index]
    assert told["examples"] == [
        {"line": 3, "id": trace(7)[0], "held": "from-the-intake"},
        {"line": 4, "id": trace(8)[0], "held": "from-the-intake"},
    ]
    told = _backfill(home, data, "--overlap")
    assert (told["taken"], told["held"], told["overlapping"], told["refused"]) == (2, 1, 2, 0)


def test_people_are_told_what_was_left_out_and_why(home: Node) -> None:
    file = home.folder / "export.csv"
    file.write_bytes(traces(trace(1), trace(1), trace(2, status="sent"), trace(3, source="remote")))
    done = home.bridge("backfill", str(file))
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "1 of 4 rows taken and durable (transactions).",
        "1 left out: sent before, by the status column.",
        "1 left out: of another source than this installation.",
        "1 left out: twice in the file.",
        "By status: pending 3, sent 1.",
    ]
    file.write_bytes(traces())
    done = home.bridge("backfill", str(file))
    assert done.stdout == "The file has no rows, only a header (transactions).\n"


def test_people_are_told_which_row_overlaps_which_record(home: Node) -> None:
    for name in ("a", "b"):
        file = home.folder / f"{name}.csv"
        file.write_bytes(traces((f"id-{name}", *trace(1)[1:])))
        done = home.bridge("backfill", str(file))
    assert done.returncode == 1
    assert "1 row covers the time of other records that the spool holds; " in done.stderr
    assert "the first is 'id-b' on line 2, and the spool holds 'id-a'." in done.stderr


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
        (written([*TRACES, "license_key"], [[*trace(1), "x"]]), "backfill.license"),
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


def test_mixed_line_ends_are_no_matter(home: Node) -> None:
    header, one, two, three = traces(trace(1), trace(2), trace(3)).splitlines()
    data = header + b"\r\n" + one + b"\n" + two + b"\r\n" + three
    assert _backfill(home, data)["taken"] == 3


@pytest.mark.parametrize(
    "text", ["=cmd|' /C calc'!A0", "@SUM(1+1)", "-2+3", "a\tb", "a\0b", "x" * 100_000]
)
def test_what_a_cell_says_is_kept_as_it_is(home: Node, text: str) -> None:
    rows = [[*trace(1), text]]
    assert _backfill(home, written([*TRACES, "note"], rows))["taken"] == 1
    assert [each["note"] for each in _held(home)] == [text]


def test_a_row_that_no_record_can_hold_is_refused_and_nothing_is_taken(home: Node) -> None:
    data = traces(trace(1), trace(2)).replace(b"tenant-1", b"x" * (9 * 1024 * 1024), 1)
    told = _backfill(home, data, code=1)
    assert told["error"]["id"] == "backfill.csv"  # type: ignore[index]
    assert not list(home.spool.rglob("*.zst"))


def test_a_cell_with_quotes_and_line_breaks_is_kept(home: Node) -> None:
    row = trace(1)
    row[TRACES.index("customer_id")] = 'a "b"\nc\0'
    _backfill(home, traces(row))
    assert _held(home)[0]["customer_id"] == 'a "b"\nc\0'


def test_what_is_no_file_is_refused_and_not_waited_for(home: Node) -> None:
    os.mkfifo(home.folder / "fifo")
    (home.folder / "folder").mkdir()
    (home.folder / "link").symlink_to("fifo")
    for name in ("fifo", "folder", "link", "nothing", "/dev/zero"):
        done = home.bridge("backfill", str(home.folder / name))
        assert (done.returncode, "[backfill.file]" in done.stderr) == (1, True), done.stderr


def test_a_header_alone_is_no_error(home: Node) -> None:
    told = _backfill(home, traces())
    assert (told["rows"], told["taken"]) == (0, 0)


def test_what_an_open_file_holds_is_held(home: Node) -> None:
    with Writer(home.spool, "transactions", node=home.name) as writer:
        writer.append([b'{"id":"%b"}' % trace(1)[0].encode()])
        told = _backfill(home, traces(trace(1), trace(2)))
    assert (told["held"], told["taken"]) == (1, 1)


def test_a_backfill_beside_another_of_the_same_stream_is_refused(home: Node) -> None:
    _backfill(home, traces(trace(1)))
    lock = locks.take(home.spool / home.name / "transactions" / "backfill.lock")
    assert lock is not None
    try:
        told = _backfill(home, traces(trace(2)), code=5)
    finally:
        locks.let_go(lock)
    assert told["error"]["id"] == "backfill.busy"  # type: ignore[index]


def test_a_disk_that_fails_midway_leaves_what_the_next_run_finds(home: Node) -> None:
    count, small = 2_500, 1_500
    file = home.folder / "export.csv"
    rows = [trace(n) for n in range(count)]
    for row in rows[small:]:  # of these a group is larger than a file may be
        row[TRACES.index("session_id")] = shake_256(row[0].encode()).hexdigest(1000)
    file.write_bytes(traces(*rows))
    limited = (
        f'ulimit -f 400; trap "" XFSZ; exec "$@" --config {home.config} backfill {file} --json'
    )
    done = subprocess.run(
        ["bash", "-c", limited, "bash", *COMMAND],
        capture_output=True,
        check=False,
        env=environment(),
    )
    told = json.loads(done.stdout)
    assert done.returncode == 5, told
    assert (told["taken"], told["wanted"]) == (1_000, count)
    before = _held(home)
    assert _backfill(home, file.read_bytes())["taken"] == count - len(before)
    assert len({record["id"] for record in _held(home)}) == len(_held(home)) == count


def test_a_backfill_takes_nothing_where_the_spool_has_no_room(
    home: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRIDGE_SPOOL__MIN_FREE", "1048576GiB")
    told = _backfill(home, traces(trace(2)), code=5)
    assert told["error"]["id"] == "spool.full"  # type: ignore[index]
    assert told["taken"] == 0


def test_a_backfill_of_full_groups_alone_is_done_though_its_last_one_used_up_the_room(
    home: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [trace(n) for n in range(1_000)]
    for row in rows:  # more than the whole room
        row[TRACES.index("session_id")] = shake_256(row[0].encode()).hexdigest(1_000)
    monkeypatch.setenv("BRIDGE_SPOOL__MAX_SIZE", "1MiB")
    monkeypatch.setenv("BRIDGE_SPOOL__MIN_FREE", "0B")
    assert _backfill(home, traces(*rows))["taken"] == len(rows)


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
    told = _backfill(home, file.read_bytes())
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
