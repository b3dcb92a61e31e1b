"""A backlog goes out in order, in large requests, by the same bytes; at its hours and its speed."""

import json
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest

from bridge.egress.circuits import Stuck
from bridge.egress.selection import Wanted, choose, send_again
from bridge.egress.windows import Window
from spool.discovery import discover
from spool.egressfile import read_egress_state
from spool.ledger import Ledger, State
from tests.support.beacon import LICENSE, RunningBeacon, running_beacon
from tests.support.bridges import Node, node_for
from tests.support.judging import Asked, judging
from tests.support.sending import ONE, append, fill, running_engine, sending
from tests.support.spools import HandClock, wait_until

pytestmark = pytest.mark.enable_socket

SUBMIT = "/v1/beacon/metadata/submit"
HOUR_MS = 3_600_000
MIDNIGHT = 1_795_392_000_000
KIB = 1024


@pytest.fixture
def beacon(tmp_path: Path) -> Iterator[RunningBeacon]:
    with running_beacon(tmp_path / "beacon") as running:
        yield running


def taking(asked: Asked) -> tuple[int, bytes]:
    """As the beacon takes a request."""
    if asked.path.endswith("ingest-traces"):
        return 200, b'{"inserted_count":%d}' % asked.body.count(b'"id":')
    return 200, b"{}"


def numbers(asked: Asked) -> list[int]:
    return [int(found) for found in re.findall(rb'(?:"id":"|"x":|"a)(\d+)', asked.body)]


def all_delivered(ledger: Ledger, count: int) -> Callable[[], bool]:
    def true() -> bool:
        return sum(lane.records[State.DELIVERED] for lane in ledger.counts()) == count

    return true


def test_within_a_lane_the_first_hour_arrives_first_whatever_fails_meanwhile(
    tmp_path: Path,
) -> None:
    count = 100
    lane = fill(tmp_path / "spool", "transactions", 20, 5)
    random = Random(3)
    known: list[int] = []

    def judge(asked: Asked) -> tuple[int, bytes] | None:
        known.append(sum(out.records().values()))  # in the midst of a request
        if asked.body.count(b'"id":') > 1 and random.random() < 0.2:
            return 413, b"{}"
        return random.choice([(429, b"{}"), (401, b"{}"), taking(asked), taking(asked), None])

    with judging(judge) as (url, taken), sending(lane, url, raw_max=400) as out:
        while not out.sender.step().idle:
            pass
    arrived = [n for asked in taken for n in numbers(asked)]
    assert arrived == list(range(count))
    assert len(known) > len(taken)
    assert set(known) == {count}


def test_a_backlog_of_small_segments_goes_in_few_requests_up_to_the_limit(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    lines = [b'{"id":"%06d","x":"%b"}' % (n, b"y" * 80) for n in range(2000)]
    for first in range(0, 2000, 10):
        append(spool, "transactions", lines[first : first + 10])
    size = sum(len(line) + 1 for line in lines)
    with judging(taking) as (url, taken), running_engine(spool, url, raw_max=64 * KIB) as out:
        assert out.engine.drain() is None
    assert len(taken) == -(-size // (64 * KIB // 101 * 101))
    assert max(len(asked.body) for asked in taken) <= 65 * KIB
    assert [n for asked in taken for n in numbers(asked)] == list(range(2000))


def test_a_batch_keeps_its_bounds_and_its_key_whatever_comes_after_it(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    lane = fill(spool, "transactions", 3, 4)
    seen: list[Asked] = []

    def down(asked: Asked) -> tuple[int, bytes]:
        seen.append(asked)
        return 503, b"{}"

    with judging(down) as (url, _):
        for more in range(3):
            # Each time another process, and each time there is more that would fit.
            with sending(lane, url, raw_max=(1 << 20) + more) as out:
                out.sender.step()
                out.sender.step()
            append(spool, "transactions", [ONE["transactions"] % (100 + more)])
    with judging(taking) as (url, taken), sending(lane, url) as out:
        while not out.sender.step().idle:
            pass
    assert {(asked.key, asked.body) for asked in seen} == {(taken[0].key, taken[0].body)}
    assert numbers(taken[0]) == list(range(12))
    assert numbers(taken[1]) == [100, 101, 102]
    assert len(taken) == 2


@pytest.mark.parametrize("strikes", [1, 2, 7])
def test_what_the_beacon_has_too_many_is_what_is_in_doubt(
    tmp_path: Path, beacon: RunningBeacon, strikes: int
) -> None:
    lane = fill(tmp_path / "spool", "langgraph", 3, 3)
    beacon.set_faults({"path": SUBMIT, "times": strikes, "drop": "after"})
    with sending(lane, beacon.url) as out:
        while not out.sender.step().idle:
            pass
        assert out.records() == {State.DELIVERED: 9}
        (counts,) = out.ledger.counts()
    received = beacon.received()["langgraph"]
    assert received["distinct"] == 9
    assert received["records"] - 9 == counts.in_doubt == strikes


def test_what_was_stored_and_then_refused_is_in_doubt_as_well(
    tmp_path: Path, beacon: RunningBeacon
) -> None:
    lane = fill(tmp_path / "spool", "langgraph", 1, 2)
    beacon.set_faults(
        {"path": SUBMIT, "times": 1, "drop": "after"},
        {"path": SUBMIT, "times": 1, "status": 400},
    )
    with sending(lane, beacon.url) as out:
        while not out.sender.step().idle:
            pass
        assert out.records() == {State.DELIVERED: 1, State.QUARANTINED: 1}
        assert beacon.received()["langgraph"]["records"] - 1 == out.ledger.counts()[0].in_doubt
        wanted = Wanted(frozenset({State.QUARANTINED}))
        for choice in choose(out.ledger, [lane], wanted, {}):
            send_again(out.ledger, choice)
        while not out.sender.step().idle:
            pass
        assert out.records() == {State.DELIVERED: 2}
        assert beacon.received()["langgraph"]["records"] - 2 == out.ledger.counts()[0].in_doubt == 1


def test_a_connection_cut_before_the_data_was_stored_is_repeated_and_once_there(
    tmp_path: Path, beacon: RunningBeacon
) -> None:
    lane = fill(tmp_path / "spool", "langgraph", 1, 3)
    beacon.set_faults({"path": SUBMIT, "times": 2, "drop": "before"})
    with sending(lane, beacon.url) as out:
        while not out.sender.step().idle:
            pass
    received = beacon.received()["langgraph"]
    assert (received["records"], received["distinct"]) == (3, 3)


def test_fresh_telemetry_waits_for_no_backlog_of_another_lane(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    for node in ("a", "b", "c", "d", "e", "f"):
        fill(spool, "logs", 1, 300, node=node)
    fill(spool, "traces", 1, 1, node="a")

    def slow(asked: Asked) -> tuple[int, bytes]:
        time.sleep(0.002)
        return taking(asked)

    with judging(slow) as (url, taken), running_engine(spool, url, raw_max=1000) as out:
        wait_until(lambda: len(taken) > 60)
        append(spool, "metrics", [ONE["metrics"] % 1], node="a")
        before = len(taken)
        out.engine.wake()
        wait_until(lambda: any(asked.path.endswith("metrics") for asked in list(taken)))
        place = next(n for n, asked in enumerate(taken) if asked.path.endswith("metrics"))
        assert place < before + 40
        assert before < place
        assert out.engine.drain() is None


def test_a_route_that_is_not_there_holds_up_its_own_lane_alone(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    for stream in ("logs", "transactions"):
        fill(spool, stream, 1, 3)

    def judge(asked: Asked) -> tuple[int, bytes]:
        return (404, b"{}") if asked.path.endswith("logs") else taking(asked)

    with judging(judge) as (url, _), running_engine(spool, url) as out:
        wait_until(all_delivered(out.ledger, 3))
        wait_until(lambda: waiting_of(spool) == ["n/logs"])
        said = read_egress_state(spool)
        assert said is not None
        assert (said.state, said.reason) == ("paused", "status 404")


def waiting_of(spool: Path) -> list[str]:
    said = read_egress_state(spool)
    return [] if said is None else list(said.waiting or ())


def test_outside_its_hours_nothing_is_sent_and_nothing_is_wrong(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    fill(spool, "transactions", 2, 2)
    clock = HandClock(wall=MIDNIGHT + 12 * HOUR_MS)
    hours = [Window.parse("22:00-04:00")]
    with (
        judging(taking) as (url, taken),
        running_engine(spool, url, clock=clock, windows=hours) as out,
    ):
        reason = "window: nothing is sent before 22:00 UTC"
        assert out.engine.drain() == Stuck(reason, needs_person=False)
        said = read_egress_state(spool)
        assert said is not None
        assert (said.state, said.reason, said.failed) == ("paused", reason, [])
        assert waiting_of(spool) == ["n/transactions"]
        assert [event.name for event in out.events] == ["egress.window"]
        assert taken == []
        clock.wall += 10 * HOUR_MS
        wait_until(all_delivered(out.ledger, 4))
        # A clock that is stepped far back closes them again, if that is the hour.
        clock.wall -= 3650 * 24 * HOUR_MS + 4 * HOUR_MS
        append(spool, "transactions", [ONE["transactions"] % 9])
        out.engine.wake()
        assert out.engine.drain() == Stuck(
            "window: nothing is sent before 22:00 UTC", needs_person=False
        )
        assert len(taken) == 1


def test_a_rate_is_kept_over_all_lanes_and_no_request_is_slowed(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    for stream in ("transactions", "logs"):
        lines = [ONE[stream] % n for n in range(2000)]
        append(spool, stream, lines)
    per_s = 64 * KIB
    with judging(taking) as (url, taken), running_engine(spool, url, rate=per_s) as out:
        begin = time.monotonic()
        assert out.engine.drain() is None
        took = time.monotonic() - begin
    size = sum(len(asked.body) for asked in taken)
    assert took >= size / per_s - 2
    assert len(taken) > 2
    assert max(len(asked.body) for asked in taken) <= per_s + KIB


def test_a_drain_ends_when_all_is_delivered_and_waits_out_no_silence_after_it(
    tmp_path: Path,
) -> None:
    spool = tmp_path / "spool"
    fill(spool, "logs", 5, 5)
    with judging(taking) as (url, taken), running_engine(spool, url, rate=1) as out:
        assert out.engine.drain() is None
        assert all_delivered(out.ledger, 25)()
        assert len(taken) == 1
        # What comes in that silence is not sent, and not taken for sent.
        append(spool, "logs", [ONE["logs"] % 99])
        out.engine.wake()
        wait_until(lambda: out.ledger.counts()[0].records[State.PENDING] == 1)
        assert len(taken) == 1


def test_outside_its_hours_a_drain_of_nothing_is_no_failure(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    fill(spool, "logs", 1, 1)
    clock = HandClock(wall=MIDNIGHT + 12 * HOUR_MS)
    with judging(taking) as (url, _):
        with running_engine(spool, url) as out:
            assert out.engine.drain() is None
        hours = [Window.parse("22:00-04:00")]
        with running_engine(spool, url, clock=clock, windows=hours) as out:
            assert out.engine.drain() is None


def test_a_daemon_outside_its_hours_has_no_problem_and_passes_license_requests_on(
    tmp_path: Path,
) -> None:
    hour = datetime.now(UTC).hour
    hours = f"{(hour + 6) % 24:02d}:00-{(hour + 7) % 24:02d}:00 UTC"
    more = f'\negress: {{windows: ["{hours}"]}}\n'
    with (
        running_beacon(tmp_path / "b", licenses=[LICENSE]) as beacon,
        node_for(tmp_path, beacon.url, more=more) as node,
    ):
        node.bridge("append", "transactions", stdin=ONE["transactions"] % 1 + b"\n")
        ended = node.bridge("run", "--once")
        assert (ended.returncode, "window: nothing is sent before" in ended.stderr) == (6, True)
        node.daemon.start()
        asked = b'{"license":"%b"}' % LICENSE.encode()
        assert node.daemon.post("/v1/beacon/verify", asked) == 200
        wait_until(lambda: egress_of(node)["state"] == "paused")
        assert json.loads(node.bridge("status", "--json").stdout)["problems"] == []
        assert beacon.received()["transactions"]["requests"] == 0


def egress_of(node: Node) -> dict[str, str]:
    found: dict[str, str] = json.loads((node.spool / "egress.json").read_bytes())
    return found


def test_what_waits_for_a_license_key_is_not_read_again_and_again(tmp_path: Path) -> None:
    lane = fill(tmp_path, "transactions", 2, 1)
    with sending(lane, "http://127.0.0.1:9", license_key=None) as found:
        assert found.sender.step().blocked
        lane.segment(1).unlink()  # whoever read it would find it gone
        assert found.sender.step().blocked
        append(tmp_path, "transactions", [ONE["transactions"] % 3])
        discover(found.ledger, lane)
        assert found.sender.step().mended == (1, 1)
        assert found.sender.step().blocked
