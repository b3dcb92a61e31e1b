"""Four days without the beacon: a million records in five streams, and everything arrives.

Writers, recovery, ledger, engine, client and beacon are the real ones; only the clock is set by hand,
ten minutes at a time. During the outage the sending side is begun anew three times, the disk refuses to
take more for a while, the ledger is destroyed, and the wall clock is set by ten years, back and forth.
Then the beacon comes back. Nothing watches the folders: what is new is found by looking.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bridge.daemon.housekeeping import Housekeeping
from bridge.egress.event import Event
from spool.errors import SpoolError
from spool.ledger import Ledger, State
from spool.ledger_file import NAME as LEDGER
from spool.writer import Writer
from tests.support.beacon import RunningBeacon, running_beacon
from tests.support.disks import FastDisk, FlakyDisk, no_room
from tests.support.sending import KEY, NODE, Running, running_engine
from tests.support.spools import HandClock, wait_until

pytestmark = [pytest.mark.enable_socket, pytest.mark.slow, pytest.mark.timeout(600)]

STEP_S = 600
STEPS = 4 * 24 * 6
EACH_STEP = {"transactions": 800, "logs": 500, "metrics": 300, "traces": 200, "snapshots": 0}
"""Records that come in ten minutes; of snapshots one an hour. More than a million in four days."""
RESTART_AT = (100, 250, 400)
DISK_FULL_AT = range(300, 303)
LEDGER_LOST_AT = 450
YEARS_MS = 10 * 365 * 86_400_000
CLOCK_STEPS = {150: YEARS_MS, 350: -2 * YEARS_MS, 500: YEARS_MS}
"""By how much the wall clock is set, and when."""
LINE = {
    "transactions": b'{"id":"%d-%d","trace_count":%d}',
    "logs": b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityNumber":17,"x":"%d-%d-%d"}]}]}]}',
    "metrics": b'{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"%d-%d-%d","gauge":{}}]}]}]}',
    "traces": b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"%d-%d-%d"}]}]}]}',
    "snapshots": b'{"from_timestamp":"%d-%d","to_timestamp":"b","measures":{"users":%d}}',
}
NUMBER = re.compile(r'"(\d+)-(\d+)')


def weight(step: int, n: int) -> int:
    """The ``trace_count`` of a transaction."""
    return (step * 31 + n * 7) % 100


class Producers:
    """What comes in: they count what was acknowledged, and try again what was not."""

    def __init__(self, spool: Path, clock: HandClock) -> None:
        self._spool = spool
        self._clock = clock
        self.acknowledged: Counter[str] = Counter()
        self.traces = 0
        self.refused = 0
        self._owed: dict[str, list[bytes]] = {stream: [] for stream in EACH_STEP}

    def step(self, step: int, *, full: bool) -> None:
        """Ten minutes, in each stream; on a full disk nothing is acknowledged."""
        for stream, each in EACH_STEP.items():
            each = each or (step % 6 == 0)  # noqa: PLW2901 - one an hour
            lines = self._owed[stream]
            lines += [LINE[stream] % (step, n, weight(step, n)) for n in range(each)]
            if not lines:
                continue
            disk = FlakyDisk() if full else FastDisk()
            if isinstance(disk, FlakyDisk):
                disk.failures += [("write", no_room()), ("write", no_room())]
            with Writer(
                self._spool, stream, node=NODE, signer=KEY, disk=disk, clock=self._clock
            ) as writer:
                try:
                    writer.append(lines)
                except SpoolError as error:
                    if (error.id, full) != ("disk.full", True):
                        raise
                    self.refused += 1
                    continue
            self.acknowledged[stream] += len(lines)
            self._owed[stream] = []
            if stream == "transactions":
                self.traces += sum(json.loads(line)["trace_count"] for line in lines)


def balanced(running: Running, produced: Counter[str]) -> bool:
    """Whether what the ledger knows is all that was acknowledged."""
    known = {counts.stream: sum(counts.records.values()) for counts in running.ledger.counts()}
    return all(known.get(stream) == count for stream, count in produced.items())


def places(beacon: RunningBeacon, stream: str) -> Iterator[tuple[int, int]]:
    """(step, n) of each record that the beacon holds, as it came."""
    for record in beacon.records(stream):
        found = NUMBER.search(record.text)
        assert found is not None
        yield int(found[1]), int(found[2])


class Bridge:
    """The sending side, which can be begun anew; the clock stays."""

    def __init__(self, spool: Path, url: str, clock: HandClock) -> None:
        self._spool, self._url, self._clock = spool, url, clock
        self._held = ExitStack()
        self.events: list[Event] = []
        self.running: Running

    def start(self) -> None:
        """Bring the spool in order, and send."""
        house = Housekeeping(
            self._spool,
            NODE,
            KEY,
            disk=FastDisk(),
            clock=self._clock,
            tell=self.events.append,
        )
        with Ledger.open(self._spool, clock=self._clock) as ledger:
            house.begin(ledger)
        house.look()
        # A request that is given up goes out twice, and here every record is to arrive once.
        engine = running_engine(
            self._spool, self._url, raw_max=4 << 20, clock=self._clock, deadline_s=300
        )
        self.running = self._held.enter_context(engine)

    def stop(self) -> None:
        self._held.pop_all().close()


def test_after_four_days_without_the_beacon_everything_arrives_in_order_and_once(
    tmp_path: Path,
) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    clock = HandClock()
    producers = Producers(spool, clock)
    with running_beacon(tmp_path / "beacon", process=True) as first:
        port = first.port  # nobody answers there until it is back
        url = first.url
    bridge = Bridge(spool, url, clock)
    bridge.start()
    for step in range(STEPS):
        producers.step(step, full=step in DISK_FULL_AT)
        clock.wall += STEP_S * 1000 + CLOCK_STEPS.get(step, 0)
        clock.seconds += STEP_S
        if step in RESTART_AT:
            bridge.stop()
            bridge.start()
            wait_until(lambda: balanced(bridge.running, producers.acknowledged))
        if step == LEDGER_LOST_AT:
            bridge.stop()
            for path in spool.glob(f"{LEDGER}*"):
                path.unlink()
            bridge.start()
            wait_until(lambda: balanced(bridge.running, producers.acknowledged))
    assert producers.refused == len(DISK_FULL_AT) * len(EACH_STEP)
    assert sum(producers.acknowledged.values()) >= 1_000_000
    with running_beacon(tmp_path / "beacon", port=port, process=True) as beacon:

        def drained() -> bool:
            clock.wall += 1000
            clock.seconds += 1
            bridge.running.engine.wake()
            return not any(
                counts.segments[State.PENDING] for counts in bridge.running.ledger.counts()
            )

        wait_until(drained, 300)
        assert balanced(bridge.running, producers.acknowledged)
        bridge.stop()
        received = beacon.received()
        for stream, count in producers.acknowledged.items():
            assert received[stream]["records"] == received[stream]["distinct"] == count, stream
            found = list(places(beacon, stream))
            assert found == sorted(found), f"{stream} arrived in another order"
            assert found[0][0] == 0, "the first hour arrives first"
        weights = (
            json.loads(record.text)["trace_count"] for record in beacon.records("transactions")
        )
        assert sum(weights) == producers.traces
