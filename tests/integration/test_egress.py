"""Sealed records reach a real beacon, whatever it answers meanwhile."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from bridge.daemon.sending import Outside, make_engine
from bridge.egress.circuits import Stuck
from bridge.egress.client import BeaconClient
from bridge.egress.engine import Engine
from bridge.egress.event import Event
from keys.ed25519 import SigningKey
from spool.chain import begin_lane
from spool.clock import SYSTEM_CLOCK
from spool.durable import OS_DISK
from spool.egressfile import read_egress_state
from spool.lane import Lane
from spool.ledger import Ledger, State
from spool.sealing import Sealer
from spool.streams import STREAMS
from spool.writer import Writer
from tests.support.beacon import LICENSE, RunningBeacon, running_beacon
from tests.support.books import lines
from tests.support.faultserver import answer, fault_server, say
from tests.support.spools import wait_until

pytestmark = pytest.mark.enable_socket
KEY = SigningKey.generate()

RECORDS = {
    "transactions": b'{"id":"%d","trace_count":1}',
    "langgraph": b'{"from_timestamp":"a%d","to_timestamp":"b","measures":{"runs":1}}',
    "snapshots": b'{"from_timestamp":"a%d","to_timestamp":"b","measures":{"users":1}}',
    "logs": b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityNumber":13,"x":%d}]}]}]}',
    "metrics": b'{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m%d","gauge":{}}]}]}]}',
    "traces": b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"s%d"}]}]}]}',
}


def fill(spool: Path, stream: str, count: int, *, begin: int = 0, files: int = 3) -> None:
    """Append and seal ``count`` records in so many files."""
    per = count // files
    for first in range(begin, begin + count, per):
        with Writer(spool, stream, node="n", signer=KEY) as writer:
            for number in range(first, min(first + per, begin + count)):
                writer.append([RECORDS[stream] % number])


@contextmanager
def engine_on(
    spool: Path, url: str, *, license_key: str | None = LICENSE, raw_max: int = 4096
) -> Iterator[tuple[Engine, Ledger, list[Event]]]:
    events: list[Event] = []
    client = BeaconClient(url, deadline_s=5.0)
    with Ledger.open(spool, clock=SYSTEM_CLOCK) as ledger:
        engine = make_engine(
            spool,
            KEY,
            ledger,
            Outside(client, lambda _: license_key, raw_max),
            disk=OS_DISK,
            clock=SYSTEM_CLOCK,
            random=Random(1),
            tell=events.append,
        )
        engine.start()
        try:
            yield engine, ledger, events
        finally:
            engine.stop()
            client.close()


def delivered(ledger: Ledger) -> dict[str, int]:
    return {found.stream: found.records[State.DELIVERED] for found in ledger.counts()}


@pytest.fixture
def beacon(tmp_path: Path) -> Iterator[RunningBeacon]:
    with running_beacon(tmp_path / "beacon") as running:
        yield running


def test_every_stream_is_delivered_once_and_in_the_books(
    tmp_path: Path, beacon: RunningBeacon
) -> None:
    spool = tmp_path / "spool"
    for stream in STREAMS:
        fill(spool, stream, 12)
    with engine_on(spool, beacon.url) as (engine, ledger, _):
        assert engine.drain() is None
        assert delivered(ledger) == dict.fromkeys(STREAMS, 12)
    received = beacon.received()
    assert {name: received[name]["records"] for name in STREAMS} == dict.fromkeys(STREAMS, 12)
    assert {name: received[name]["distinct"] for name in STREAMS} == dict.fromkeys(STREAMS, 12)


def test_attack_112_what_no_event_told_of_is_found_by_the_next_look(
    tmp_path: Path, beacon: RunningBeacon
) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    with engine_on(spool, beacon.url) as (_, ledger, _):  # nobody watches, nobody wakes it
        fill(spool, "transactions", 60, files=6)
        end = time.monotonic() + 30
        while delivered(ledger).get("transactions") != 60:
            assert time.monotonic() < end
            time.sleep(0.05)
    assert beacon.received()["transactions"]["distinct"] == 60


ODD = rb""""n":1.50e+3,"z":-0,"a":[ 1 , 2 ],"s":"\/\u00e4\u0041\t \\ """
"""What whoever parses and writes again would write in another way."""
TAKEN = {"snapshots": answer(204), "transactions": answer(200, b'{"inserted_count":3}')}


@pytest.mark.parametrize("stream", sorted(RECORDS))
def test_what_leaves_is_byte_for_byte_what_the_segments_hold(tmp_path: Path, stream: str) -> None:
    odd = RECORDS[stream] % 7
    at = odd.rindex(b"7")  # within the innermost object or text, before its last member ends
    begin = odd.rindex(b"{", 0, at) + 1
    record = odd[:begin] + ODD + b'\xc3\xa4",' + odd[begin:]
    with Writer(tmp_path, stream, node="n", signer=KEY) as writer:
        for _ in range(3):
            writer.append([record])
    held = lines(Lane(tmp_path, "n", stream), KEY)
    assert held == [record] * 3
    with (
        fault_server([say(TAKEN.get(stream, answer(200, b"{}")))]) as server,
        engine_on(tmp_path, server.url) as (_, ledger, _),
    ):
        wait_until(lambda: delivered(ledger).get(stream) == 3)
    key = b'"%b"' % LICENSE.encode()
    row = STREAMS[stream]
    inner = [line[len(row.head) : len(line) - len(row.tail)] for line in held]
    expected = {
        "transactions": [b'{"license":%b,"trace_transactions":[%b]}' % (key, b",".join(held))],
        "langgraph": [b'{"license_key":%b,%b' % (key, line[1:]) for line in held],
        "snapshots": [b'{"license_key":%b,%b' % (key, line[1:]) for line in held],
    }.get(stream, [row.head + b",".join(inner) + row.tail])
    assert [request.body for request in server.requests] == expected


def test_small_segments_are_joined_into_one_request(tmp_path: Path, beacon: RunningBeacon) -> None:
    spool = tmp_path / "spool"
    fill(spool, "transactions", 30, files=10)
    with engine_on(spool, beacon.url, raw_max=1 << 20) as (engine, _, _):
        assert engine.drain() is None
    assert beacon.received()["transactions"]["requests"] == 1


def test_a_segment_larger_than_a_request_goes_in_several(
    tmp_path: Path, beacon: RunningBeacon
) -> None:
    spool = tmp_path / "spool"
    fill(spool, "transactions", 100, files=1)
    with engine_on(spool, beacon.url, raw_max=300) as (engine, ledger, _):
        assert engine.drain() is None
        assert delivered(ledger)["transactions"] == 100
        assert not ledger.open_batches(Lane(spool, "n", "transactions"))
    assert beacon.received()["transactions"]["distinct"] == 100
    assert beacon.received()["transactions"]["requests"] > 5


def test_a_refused_record_becomes_an_exception_and_the_rest_is_delivered(
    tmp_path: Path, beacon: RunningBeacon
) -> None:
    spool = tmp_path / "spool"
    fill(spool, "langgraph", 3)
    with Writer(spool, "langgraph", node="n", signer=KEY) as writer:
        writer.append([b'{"from_timestamp":"p","to_timestamp":"q","measures":{"runs":"poison"}}'])
    fill(spool, "langgraph", 3, begin=10)
    with engine_on(spool, beacon.url) as (engine, ledger, events):
        assert engine.drain() is None
        (refused,) = ledger.exceptions(Lane(spool, "n", "langgraph"))
        assert refused.status == 400
        assert ledger.counts()[0].records[State.QUARANTINED] == 1
        assert ledger.counts()[0].records[State.DELIVERED] == 6
    assert [event.name for event in events].count("record.refused") == 1
    assert beacon.received()["langgraph"]["records"] == 6


def test_an_outage_is_survived_and_said_once(tmp_path: Path, beacon: RunningBeacon) -> None:
    spool = tmp_path / "spool"
    beacon.set_faults({"path": "*", "times": 2, "status": 503})
    fill(spool, "transactions", 9)
    with engine_on(spool, beacon.url) as (_, ledger, events):
        until = time.monotonic() + 20
        while delivered(ledger).get("transactions") != 9 and time.monotonic() < until:
            time.sleep(0.05)
        assert delivered(ledger)["transactions"] == 9
    assert [event.name for event in events].count("egress.down") == 1
    assert beacon.received()["transactions"]["distinct"] == 9


def test_an_outage_whose_cause_changes_is_told_of_by_the_new_one(
    tmp_path: Path, beacon: RunningBeacon
) -> None:
    spool = tmp_path / "spool"
    beacon.set_faults(
        {"path": "*", "times": 2, "status": 500}, {"path": "*", "times": 99, "status": 503}
    )
    fill(spool, "transactions", 3)
    with engine_on(spool, beacon.url) as (_, _ledger, events):
        until = time.monotonic() + 30
        while (said := read_egress_state(spool)) is None or said.reason != "status 503":
            assert time.monotonic() < until, said
            time.sleep(0.05)
    assert [event.name for event in events].count("egress.down") == 1


def test_a_repeat_after_an_unknown_outcome_is_in_doubt(
    tmp_path: Path, beacon: RunningBeacon
) -> None:
    spool = tmp_path / "spool"
    beacon.set_faults({"path": "/v1/beacon/metadata/submit", "times": 1, "drop": "after"})
    fill(spool, "langgraph", 3)
    with engine_on(spool, beacon.url) as (_, ledger, _events):
        until = time.monotonic() + 20
        while delivered(ledger).get("langgraph") != 3 and time.monotonic() < until:
            time.sleep(0.05)
        assert ledger.counts()[0].in_doubt == beacon.received()["langgraph"]["records"] - 3 == 1


def test_a_wrong_license_pauses_and_drops_nothing(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    fill(spool, "transactions", 3)
    with (
        running_beacon(tmp_path / "b", licenses=["another-license-key"]) as beacon,
        engine_on(spool, beacon.url) as (engine, ledger, _),
    ):
        assert engine.drain() == Stuck("status 403", needs_person=True)
        assert ledger.counts()[0].records[State.PENDING] == 3


def test_without_a_license_key_nothing_is_sent(tmp_path: Path, beacon: RunningBeacon) -> None:
    spool = tmp_path / "spool"
    fill(spool, "transactions", 3)
    with engine_on(spool, beacon.url, license_key=None) as (engine, ledger, _):
        assert engine.drain() == Stuck("no license key for this node", needs_person=True)
        assert ledger.counts()[0].records[State.PENDING] == 3
    assert beacon.received()["transactions"]["requests"] == 0


@pytest.mark.parametrize("damage", ["missing", "flipped"])
def test_a_gap_is_declared_and_stepped_over(
    tmp_path: Path, beacon: RunningBeacon, damage: str
) -> None:
    spool = tmp_path / "spool"
    lane = Lane(spool, "n", "transactions")
    fill(spool, "transactions", 9)
    victim = lane.segment(2)
    if damage == "missing":
        victim.unlink()
    else:
        data = bytearray(victim.read_bytes())
        data[12] ^= 1
        victim.write_bytes(bytes(data))
    with engine_on(spool, beacon.url) as (engine, ledger, events):
        assert engine.drain() is None
        assert ledger.counts()[0].segments[State.LOST] == 1
        assert ledger.counts()[0].records[State.LOST] == 3
    assert [event.name for event in events].count("spool.gap") == 1
    assert beacon.received()["transactions"]["distinct"] == 6


def test_a_lost_ledger_is_rebuilt_and_nothing_is_lost(
    tmp_path: Path, beacon: RunningBeacon
) -> None:
    spool = tmp_path / "spool"
    fill(spool, "transactions", 9)
    with engine_on(spool, beacon.url) as (engine, _, _):
        assert engine.drain() is None
    for path in spool.glob("ledger.db*"):
        path.unlink()
    fill(spool, "transactions", 3, begin=100)
    with engine_on(spool, beacon.url) as (engine, ledger, _):
        assert engine.drain() is None
        assert delivered(ledger)["transactions"] == 12
    received = beacon.received()["transactions"]
    assert (received["records"], received["distinct"]) == (12, 12)


def test_heartbeats_and_loss_records_need_no_request(tmp_path: Path, beacon: RunningBeacon) -> None:
    spool = tmp_path / "spool"
    lane = Lane(spool, "n", "transactions")
    begin_lane(OS_DISK, lane)
    Sealer(OS_DISK, lane, KEY, SYSTEM_CLOCK).heartbeat()
    fill(spool, "transactions", 3)
    Sealer(OS_DISK, lane, KEY, SYSTEM_CLOCK).heartbeat()
    with engine_on(spool, beacon.url) as (engine, ledger, _):
        assert engine.drain() is None
        assert ledger.counts()[0].segments[State.DELIVERED] == 5
        verdicts = [row.answer.verdict for row in ledger.audit()]
    assert verdicts.count("not_carried") == 2
    assert beacon.received()["transactions"]["records"] == 3
