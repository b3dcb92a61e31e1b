"""``bridge replay``: sent again on purpose, what was asked for and nothing else."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spool.lane import Lane
from spool.segment import Segment
from spool.statement import Lost
from tests.support.beacon import RunningBeacon, running_beacon
from tests.support.bridges import Node, node_for
from tests.support.commands import on_a_terminal

pytestmark = pytest.mark.enable_socket
INGEST = "/v1/beacon/ingest-traces"
GIVE_UP = ("--stream", "transactions", "--discard", "--note", "a test record")


@pytest.fixture
def beacon(tmp_path: Path) -> Iterator[RunningBeacon]:
    with running_beacon(tmp_path / "beacon") as running:
        yield running


@pytest.fixture
def node(tmp_path: Path, beacon: RunningBeacon) -> Iterator[Node]:
    with node_for(tmp_path, beacon.url) as made:
        yield made


def _append(node: Node, *ids: str, stream: str = "transactions") -> None:
    lines = "".join(json.dumps({"id": each}) + "\n" for each in ids)
    assert node.bridge("append", stream, stdin=lines.encode()).returncode == 0


def _drain(node: Node, code: int = 0) -> None:
    done = node.bridge("run", "--once")
    assert done.returncode == code, done.stderr


def _replay(node: Node, *arguments: str, code: int = 0) -> dict[str, Any]:
    done = node.bridge("replay", "--json", *arguments)
    assert done.returncode == code, (done.stdout, done.stderr)
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["schema"] == "bridge.replay/1"
    return told


def _records(node: Node) -> dict[str, int]:
    said = json.loads(node.bridge("status", "--json").stdout)
    (lane,) = [each for each in said["lanes"] if each["stream"] == "transactions"]
    return {state: count for state, count in lane["records"].items() if count}


def test_without_a_selection_what_waits_is_sent_now(node: Node, beacon: RunningBeacon) -> None:
    _append(node, "a", "b")
    told = _replay(node)
    assert told["before"]["records"]["pending"] == 2
    assert told["after"]["records"]["pending"] == 0
    assert beacon.received()["transactions"]["distinct"] == 2


def test_what_was_delivered_is_sent_again_only_with_a_yes(
    node: Node, beacon: RunningBeacon
) -> None:
    _append(node, "a", "b")
    _drain(node)
    told = _replay(node, "--state", "delivered", code=1)
    assert told["error"]["id"] == "replay.confirm"
    assert "2 records twice" in node.bridge("replay", "--state", "delivered").stderr
    assert beacon.received()["transactions"]["records"] == 2
    told = _replay(node, "--state", "delivered", "--dry-run")
    assert told["selected"]["records"] == 2
    assert beacon.received()["transactions"]["records"] == 2
    told = _replay(node, "--state", "delivered", "--yes")
    assert told["delivered"]["records"] == 2
    received = beacon.received()["transactions"]
    assert (received["requests"], received["distinct"]) == (2, 2)
    assert _records(node)["delivered"] == 2


def test_a_selection_by_number_time_or_stream_touches_nothing_else(
    node: Node, beacon: RunningBeacon
) -> None:
    for name in ("a", "b", "c"):
        _append(node, name)
    _drain(node)
    again = ("--state", "delivered", "--yes")
    assert _replay(node, *again, "--segments", "n/transactions/2")["selected"]["records"] == 1
    apart = ("--segments", "n/transactions/1", "--segments", "n/transactions/3", "--dry-run")
    assert _replay(node, *again, *apart)["selected"]["segments"] == 2
    assert _replay(node, *again, "--stream", "logs")["selected"]["records"] == 0
    assert _replay(node, *again, "--since", "2100-01-01")["selected"]["records"] == 0
    assert _replay(node, *again, "--since", "1h", "--until", "0s")["selected"]["records"] == 3
    assert beacon.received()["transactions"]["distinct"] == 3
    assert _records(node)["delivered"] == 3


def _refuse_once(beacon: RunningBeacon, times: int) -> None:
    beacon.set_faults({"path": INGEST, "times": times, "status": 400, "body": {"detail": "bad"}})


def test_a_selection_in_which_there_is_nothing_says_so(node: Node) -> None:
    _append(node, "a")
    _drain(node)
    for more in (("--state", "lost"), ("--state", "delivered", "--segments", "n/transactions/77")):
        told = node.bridge("replay", *more, "--dry-run")
        assert (told.returncode, "Nothing is chosen" in told.stdout) == (0, True)
    assert "Nothing is chosen" not in node.bridge("replay").stdout


def test_a_refused_record_alone_goes_out_again(node: Node, beacon: RunningBeacon) -> None:
    _append(node, "a", "b", "c", "d")
    # The whole, its first half, and that half's first record.
    _refuse_once(beacon, 3)
    _drain(node, code=3)
    assert _records(node) == {"delivered": 3, "quarantined": 1}
    assert beacon.received()["transactions"]["distinct"] == 3
    told = _replay(node, "--state", "quarantined")
    assert told["selected"] == {"segments": 1, "records": 1}
    assert told["delivered"]["records"] == 1
    received = beacon.received()["transactions"]
    assert (received["records"], received["distinct"]) == (4, 4)
    assert _records(node) == {"delivered": 4}
    assert _replay(node, "--state", "quarantined")["selected"]["records"] == 0


def test_of_what_was_delivered_a_refused_or_given_up_record_does_not_go_again(
    node: Node, beacon: RunningBeacon
) -> None:
    _append(node, "a", "b", "c", "d")
    _refuse_once(beacon, 3)
    _drain(node, code=3)
    shown = node.bridge("replay", "--state", "delivered").stderr
    assert "3 records twice" in shown
    assert "1 record that was refused or given up stay" in shown
    told = _replay(node, "--state", "delivered", "--yes")
    assert (told["selected"]["records"], told["delivered"]["records"]) == (3, 3)
    assert _records(node) == {"delivered": 3, "quarantined": 1}
    _replay(node, "--state", "quarantined", *GIVE_UP)
    assert _replay(node, "--state", "delivered", "--yes")["delivered"]["records"] == 3
    assert _records(node) == {"delivered": 3, "lost": 1}
    received = beacon.received()["transactions"]
    assert (received["records"], received["distinct"]) == (9, 3)


def test_both_states_together_send_each_record_of_a_segment_once(
    node: Node, beacon: RunningBeacon
) -> None:
    _append(node, "a", "b", "c", "d")
    _refuse_once(beacon, 3)
    _drain(node, code=3)
    told = _replay(node, "--state", "delivered", "--state", "quarantined", "--yes")
    assert told["delivered"]["records"] == 4
    assert _records(node) == {"delivered": 4}
    received = beacon.received()["transactions"]
    assert (received["records"], received["distinct"]) == (7, 4)


def test_a_segment_of_which_nothing_was_delivered_is_not_sent_as_delivered(
    node: Node, beacon: RunningBeacon
) -> None:
    _append(node, "a")
    _refuse_once(beacon, 1)
    _drain(node, code=3)
    told = _replay(node, "--state", "delivered", "--yes")
    assert told["selected"]["records"] == 0
    assert _records(node) == {"quarantined": 1}


def test_a_ledger_that_was_lost_knows_still_what_was_refused_and_given_up(
    node: Node, beacon: RunningBeacon
) -> None:
    _append(node, "a", "b", "c", "d")
    _refuse_once(beacon, 3)
    _drain(node, code=3)
    for path in node.spool.glob("ledger.db*"):
        path.unlink()
    assert _records(node) == {"delivered": 3, "quarantined": 1}
    problems = json.loads(node.bridge("status", "--json").stdout)["problems"]
    assert "record.refused" in [each["id"] for each in problems]
    _replay(node, "--state", "quarantined", *GIVE_UP)
    _drain(node)
    for path in node.spool.glob("ledger.db*"):
        path.unlink()
    assert _records(node) == {"delivered": 3, "lost": 1}
    assert _replay(node, "--state", "quarantined")["selected"]["records"] == 0
    assert beacon.received()["transactions"]["records"] == 3


def test_what_the_beacon_refuses_at_a_replay_is_said_and_the_work_is_partly_done(
    node: Node, beacon: RunningBeacon
) -> None:
    _append(node, "a", "b")
    _refuse_once(beacon, 1000)
    told = _replay(node, code=3)
    assert told["after"]["records"]["quarantined"] == 2
    # Refused again is no less refused.
    done = node.bridge("replay", "--state", "quarantined")
    assert (done.returncode, "2 records were refused by the beacon" in done.stderr) == (3, True)
    give_up = ("replay", "--state", "quarantined", *GIVE_UP)
    shown = node.bridge(*give_up, "--dry-run")
    assert shown.stdout.startswith("2 records of 1 segment would be given up.\n")
    shown = node.bridge(*give_up)
    assert (shown.returncode, shown.stdout.split("\n")[0]) == (
        0,
        "2 records of 1 segment given up.",
    )


def test_a_record_that_is_given_up_is_declared_and_no_problem_any_more(
    node: Node, beacon: RunningBeacon
) -> None:
    _append(node, "a", "b")
    _refuse_once(beacon, 2)
    _drain(node, code=3)
    assert node.bridge("replay", "--state", "quarantined", "--discard").returncode == 2
    _replay(node, "--state", "quarantined", *GIVE_UP)
    assert _records(node) == {"delivered": 1, "lost": 1}
    _drain(node)
    lane = Lane(node.spool, node.name, "transactions")
    said = [Segment.open(lane.segment(seq)).statement.lost for seq in lane.sealed_numbers()]
    assert [lost for lost in said if lost] == [Lost("", 1, None, "discarded")]


def test_refused_billing_is_given_up_by_name_alone_and_a_dry_run_says_so(
    node: Node, beacon: RunningBeacon
) -> None:
    _append(node, "a", "b")
    _refuse_once(beacon, 2)
    _drain(node, code=3)
    nameless = ("--state", "quarantined", "--since", "1h", "--discard", "--note", "x")
    for words in (nameless, (*nameless, "--dry-run")):
        error = _replay(node, *words, code=1)["error"]
        assert error["id"] == "replay.billing"
        assert f"of {node.name}/transactions 1 refused record." in error["message"]
        assert "--stream transactions" in error["hint"]
    assert _records(node) == {"delivered": 1, "quarantined": 1}
    lane = f"{node.name}/transactions/1-9"
    _replay(node, "--state", "quarantined", "--segments", lane, "--discard", "--note", "x")
    assert _records(node) == {"delivered": 1, "lost": 1}


def test_a_lost_segment_whose_file_is_put_back_is_sent(node: Node, beacon: RunningBeacon) -> None:
    _append(node, "a")
    node.bridge("run", "--once", "--help")
    config = node.config.read_text()
    node.config.write_text(config + "egress: {mode: offline}\n")
    _drain(node)
    node.config.write_text(config)
    path = Lane(node.spool, node.name, "transactions").segment(1)
    kept = path.read_bytes()
    path.unlink()
    _drain(node)
    assert _records(node) == {"lost": 1}
    assert _replay(node, "--state", "lost", code=3)["selected"]["records"] == 0
    path.write_bytes(kept)
    path.chmod(0o600)
    assert _replay(node, "--state", "lost")["delivered"]["records"] == 1
    assert _records(node) == {"delivered": 1}
    assert beacon.received()["transactions"]["distinct"] == 1


def test_beside_a_daemon_it_says_what_is_to_be_sent_and_the_daemon_sends_it(
    node: Node, beacon: RunningBeacon
) -> None:
    _append(node, "a", "b")
    _drain(node)
    node.daemon.start()
    told = _replay(node, "--state", "delivered", "--yes")
    assert told["selected"]["records"] == 2
    assert node.bridge("status", "--wait", "drained", "--timeout", "30s").returncode == 0
    assert beacon.received()["transactions"]["requests"] == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("--stream", "logs"),
        ("--state", "delivered", "--since", "yesterday"),
        ("--state", "delivered", "--segments", "n/transactions/2-1"),
        ("--state", "exported", "--discard", "--note", "x"),
        ("--state", "lost", "--state", "delivered", "--discard", "--note", "x"),
        ("--state", "lost", "--discard"),
        ("--state", "lost", "--discard", "--note", " "),
        ("--state", "lost", "--since", "1h", "--discard", "--note", "x"),
        ("--state", "delivered", "--segments", "n/logs/1", "--discard", "--note", "x"),
        ("--state", "pending"),
        ("--state", "lost", "--segments", "n/typo/1", "--discard", "--note", "x"),
        ("--state", "lost", "--segments", "typo/transactions/1", "--discard", "--note", "x"),
        ("--state", "quarantined", "--segments", "n/typo/1", "--discard", "--note", "x"),
        ("--state", "delivered", "--segments", "n/typo/1"),
        ("--state", "lost", "--stream", "typo", "--discard", "--note", "x"),
    ],
)
def test_a_wrong_selection_is_told_and_nothing_is_done(node: Node, arguments: tuple[str]) -> None:
    assert node.bridge("replay", *arguments).returncode == 2


def test_a_replay_in_the_foreground_shows_how_far_it_is_and_keeps_to_its_rate(
    node: Node, beacon: RunningBeacon
) -> None:
    _append(node, *map(str, range(40)))
    shown = on_a_terminal(["--config", node.config, "replay", "--rate", "20/s"], errors=True)
    assert b"sending" in shown
    assert b"40/40" in shown
    assert beacon.received()["transactions"]["distinct"] == 40


@pytest.mark.parametrize("rate", ["fast", "200", "0/s", "-1/s", "5m/s", "200/min", "/s"])
def test_a_rate_is_records_or_bytes_a_second(node: Node, rate: str) -> None:
    done = node.bridge("replay", "--rate", rate)
    assert done.returncode == 2
    assert "200/s or 500KiB/s" in done.stderr
