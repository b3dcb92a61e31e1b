"""Room is made in the order that was promised: declared before deleted, billing never, once only."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bridge.daemon.retaining import REST_SHARE, Retaining, Rules
from bridge.egress.event import Event
from bridge.intake.room import Room
from spool.ageclock import STEP_MAX_MS, read_look
from spool.clock import SYSTEM_CLOCK
from spool.discovery import discover, said_by, totals_before
from spool.durable import Disk
from spool.frontier import GIVEN_UP_MAX, read_frontier, write_frontier
from spool.head import read_head
from spool.lane import Lane, lanes
from spool.ledger import Bounds, By, Ledger, State
from spool.ranges import Range
from spool.sealing import Sealer
from spool.statement import Statement
from spool.usage import bytes_below
from spool.verification import verify
from spool.writer import Writer
from tests.support.disks import Dying, FastDisk
from tests.support.filesystems import small_tmpfs
from tests.support.sending import KEY, NODE, ONE, fill
from tests.support.spools import HandClock, wait_until

DAY_MS = 86_400_000
RULES = Rules(
    0, {"billing": 400 * DAY_MS, "usage": 30 * DAY_MS, "operational": 30 * DAY_MS}, DAY_MS
)
ROOMY = Room(used=0, max_size=1 << 40, free=1 << 40, min_free=0)


@dataclass
class Kept:
    """A spool, its ledger, and rounds of retention over it."""

    spool: Path
    ledger: Ledger
    clock: HandClock = field(default_factory=HandClock)
    disk: Disk = field(default_factory=FastDisk)
    rules: Rules = RULES
    events: list[Event] = field(default_factory=list)
    freed: int = 0

    def discover(self) -> None:
        for lane in lanes(self.spool):
            discover(self.ledger, lane)

    def round(self, max_size: int | None = None) -> None:
        """One round, in a spool of ``max_size`` bytes."""

        def room() -> Room:
            if max_size is None:
                return ROOMY
            return Room(bytes_below(self.spool), max_size, 1 << 40, 0)

        def sealer_of(lane: Lane) -> Sealer | None:
            return Sealer(self.disk, lane, KEY, self.clock) if lane.node == NODE else None

        Retaining(
            self.spool,
            self.ledger,
            sealer_of,
            self.rules,
            room,
            lambda size: setattr(self, "freed", self.freed + size),
            disk=self.disk,
            clock=self.clock,
            tell=self.events.append,
        ).round()
        self.discover()

    def said(self) -> list[str]:
        return [event.name for event in self.events]

    def records(self, lane: Lane) -> dict[State, int]:
        (counts,) = (c for c in self.ledger.counts() if c.stream == lane.stream)
        return {state: count for state, count in counts.records.items() if count}

    def deliver(self, lane: Lane, last: int, *, frontier: bool = True) -> None:
        """As if the beacon had taken the segments up to ``last``."""
        head = read_head(lane)
        assert head is not None
        self.ledger.move(
            lane,
            1,
            last,
            source=State.PENDING,
            target=State.DELIVERED,
            by=By.ANSWER,
            before_first=totals_before(lane, head, 1),
            after_last=totals_before(lane, head, last + 1),
        )
        if frontier:
            write_frontier(self.disk, lane, self.ledger.frontier(lane))

    def days(self, count: int) -> None:
        """So many days go by, with a round on each."""
        for _ in range(count):
            self.clock.wall += DAY_MS
            self.round()


@contextmanager
def kept(spool: Path) -> Iterator[Kept]:
    with Ledger.open(spool, clock=SYSTEM_CLOCK) as ledger:
        found = Kept(spool, ledger)
        found.discover()
        found.clock.wall = SYSTEM_CLOCK.wall_ms()
        yield found


def test_a_segment_that_stays_for_ever_as_too_much_of_its_lane_was_given_up_is_told_of(
    tmp_path: Path,
) -> None:
    fill(tmp_path, "logs", 4, 1)
    with kept(tmp_path) as spool:
        lane = Lane(tmp_path, NODE, "logs")
        spool.deliver(lane, 3)
        spool.days(29)
        given_up = [(lines, 1) for lines in range(GIVEN_UP_MAX)] + [(0, 2)]
        with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection, connection:
            connection.executemany(
                "INSERT INTO exception (lane, seq, line, at, verdict, status, text)"
                " SELECT id, ?2, ?1, 0, 'discarded', 0, 'x' FROM lane WHERE stream = 'logs'",
                given_up,
            )
        spool.days(2)
        assert list(lane.sealed_numbers()) == [2, 4]
        found = [event for event in spool.events if event.name == "spool.kept"]
        assert found[0].fields == {"node": NODE, "stream": "logs", "segments": 1}


def losses(lane: Lane) -> list[Statement]:
    head = read_head(lane)
    assert head is not None
    found = (said_by(lane, seq) for seq in range(1, head.seq + 1))
    return [said for said in found if said is not None and said.lost is not None]


def test_what_was_delivered_goes_when_it_is_old_by_an_answer_or_by_a_receipt(
    tmp_path: Path,
) -> None:
    logs, billing = fill(tmp_path, "logs", 5, 2), fill(tmp_path, "transactions", 5, 2)
    confirmed = fill(tmp_path, "traces", 5, 2)
    with kept(tmp_path) as spool:
        spool.deliver(logs, 3)
        spool.deliver(billing, 3)
        spool.deliver(confirmed, 3, frontier=False)  # a receipt moves the ledger alone
        spool.days(29)
        assert list(logs.sealed_numbers()) == [1, 2, 3, 4, 5]
        spool.days(2)
        for lane in (logs, confirmed):
            assert list(lane.sealed_numbers()) == [4, 5]
            assert [chain.ranges for chain in read_frontier(lane).chains] == [(Range(1, 3),)]
        assert list(billing.sealed_numbers()) == [1, 2, 3, 4, 5]
        assert spool.records(logs) == {State.DELIVERED: 6, State.PENDING: 4}
        assert spool.said() == ["spool.pruned", "spool.pruned"]
        assert losses(logs) == []


def test_a_round_gives_up_what_nobody_has_told_the_ledger(tmp_path: Path) -> None:
    with kept(tmp_path) as spool:  # offline there is no engine, which would tell it
        logs = fill(tmp_path, "logs", 4, 2)
        spool.round(bytes_below(tmp_path) - 500)
        assert "spool.dropped" in spool.said()
        assert State.LOST in spool.records(logs)
        assert losses(logs)


def test_after_a_round_in_vain_the_next_one_waits_until_it_may_find_something(
    tmp_path: Path,
) -> None:
    fill(tmp_path, "transactions", 2, 2)
    rounds: list[float] = []
    with kept(tmp_path) as spool:

        def full() -> Room:
            spool.clock.seconds += 1  # it takes so long to look at all that there is
            rounds.append(spool.clock.seconds)
            return Room(used=1000, max_size=1000, free=1 << 40, min_free=0)

        retaining = Retaining(
            tmp_path, spool.ledger, lambda _: None, RULES, full, lambda _: None,
            disk=spool.disk, clock=spool.clock, tell=spool.events.append,
        )  # fmt: skip
        retaining.start()
        try:
            wait_until(lambda: spool.said() == ["spool.filling"])
            wait_until(retaining.rests)
            for _ in range(3):
                retaining.glance()
            spool.clock.seconds += REST_SHARE
            retaining.glance()
            wait_until(lambda: len(rounds) == 2 and retaining.rests())
            for _ in range(3):
                retaining.glance()
            spool.ledger.next_receipt("relay", 1)
            retaining.glance()
            wait_until(lambda: len(rounds) == 3)
        finally:
            retaining.stop()


def test_a_glance_begins_a_round_when_a_stream_is_switched_off_or_room_is_wanted(
    tmp_path: Path,
) -> None:
    logs, traces = fill(tmp_path, "logs", 2, 2), fill(tmp_path, "traces", 2, 2)
    off: set[str] = set()
    rooms = [ROOMY]
    with kept(tmp_path) as spool:
        retaining = Retaining(
            tmp_path,
            spool.ledger,
            lambda lane: Sealer(spool.disk, lane, KEY, spool.clock),
            RULES,
            lambda: rooms[-1],
            lambda _: None,
            disk=spool.disk,
            clock=spool.clock,
            tell=spool.events.append,
            off=lambda: frozenset(off),
        )
        retaining.start()
        try:
            wait_until(lambda: read_look(tmp_path) is not None)
            retaining.glance()
            off.add("logs")
            retaining.glance()
            wait_until(lambda: spool.records(logs) == {State.LOST: 4})
            assert spool.records(traces) == {State.PENDING: 4}
            rooms.append(Room(used=1000, max_size=1000, free=1 << 40, min_free=0))
            retaining.glance()
            # A round frees what is wanted, one segment here; another may have begun meanwhile.
            wait_until(lambda: State.LOST in spool.records(traces))
        finally:
            retaining.stop()
    assert retaining.broken is None


def test_a_round_ends_after_what_it_deletes_when_the_daemon_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.daemon.ending.STOP_S", 0.05)
    lanes_there = [fill(tmp_path, stream, 2, 2) for stream in ("logs", "traces")]
    deleted, stopped = threading.Event(), threading.Event()

    def told(event: Event) -> None:
        if event.name == "spool.dropped":
            deleted.set()
            assert stopped.wait(60)

    with kept(tmp_path) as spool:
        retaining = Retaining(
            tmp_path,
            spool.ledger,
            lambda lane: Sealer(spool.disk, lane, KEY, spool.clock),
            RULES,
            lambda: ROOMY,
            lambda _: None,
            disk=spool.disk,
            clock=spool.clock,
            tell=told,
            off=lambda: {"logs", "traces"},
        )
        retaining.start()
        assert deleted.wait(20)
        retaining.stop()
        stopped.set()
        monkeypatch.setattr("bridge.daemon.ending.STOP_S", 20)
        retaining.stop()
        found = [spool.records(lane) for lane in lanes_there]
        assert {State.LOST: 4} in found
        assert {State.PENDING: 4} in found
    assert retaining.broken is None


def test_nothing_delivered_goes_while_the_frontier_cannot_be_told(tmp_path: Path) -> None:
    logs = fill(tmp_path, "logs", 5, 2)
    with kept(tmp_path) as spool:
        spool.deliver(logs, 3, frontier=False)
        logs.delivered.mkdir()  # what cannot be replaced by a file
        spool.days(31)
        assert list(logs.sealed_numbers()) == [1, 2, 3, 4, 5]
        assert set(spool.said()) == {"spool.retention"}
        logs.delivered.rmdir()
        spool.days(1)
        assert list(logs.sealed_numbers()) == [4, 5]


def test_what_retention_left_is_good_by_verify(tmp_path: Path) -> None:
    lane = fill(tmp_path, "transactions", 3, 1)
    Sealer(FastDisk(), lane, KEY, SYSTEM_CLOCK).heartbeat()
    fill(tmp_path, "transactions", 3, 1)
    fill(tmp_path, "transactions", 1, 1)
    with kept(tmp_path) as spool:
        spool.deliver(lane, 7)
        spool.round(bytes_below(tmp_path) - 500)
        assert next(lane.sealed_numbers()) == 4
        assert 5 not in set(lane.sealed_numbers())
        items = list(verify([tmp_path], lambda _: {KEY.public.id: KEY.public}))
        assert [item.problem for item in items if not item.ok] == []
        assert any("delivered, by this machine's own note" in (item.note or "") for item in items)


def test_a_clock_that_jumps_deletes_nothing_until_it_has_gone_evenly_for_a_week(
    tmp_path: Path,
) -> None:
    lane = fill(tmp_path, "logs", 3, 1)
    with kept(tmp_path) as spool:
        spool.deliver(lane, 2)
        spool.days(8)
        spool.clock.wall += 3650 * DAY_MS
        spool.round()
        assert list(lane.sealed_numbers()) == [1, 2, 3]
        spool.clock.wall -= 3650 * DAY_MS
        spool.round()
        look = read_look(tmp_path)
        assert look is not None
        assert look.doubted_until == spool.clock.wall + STEP_MAX_MS
        assert list(lane.sealed_numbers()) == [1, 2, 3]


def test_telemetry_is_dropped_and_declared_and_billing_stays(tmp_path: Path) -> None:
    traces, billing = fill(tmp_path, "traces", 30, 2), fill(tmp_path, "transactions", 30, 2)
    with kept(tmp_path) as spool:
        before = bytes_below(tmp_path)
        spool.round(before - 4000)
        gone = spool.records(traces)[State.LOST]
        assert gone > 0
        assert sum(spool.records(traces).values()) == 60
        assert spool.records(billing) == {State.PENDING: 60}
        declared = losses(traces)
        assert sum(said.lost.records or 0 for said in declared if said.lost) == gone
        assert [said.lost.why for said in declared if said.lost] == ["no_room"]
        assert next(traces.sealed_numbers()) == gone // 2 + 1
        assert "spool.dropped" in spool.said()
        assert all(item.ok for item in verify([tmp_path], lambda _: {KEY.public.id: KEY.public}))


def test_a_loss_record_does_not_go_for_want_of_room(tmp_path: Path) -> None:
    lane = fill(tmp_path, "traces", 30, 2)
    with kept(tmp_path) as spool:
        spool.round(bytes_below(tmp_path) - 3000)
        (first,) = losses(lane)
        fill(tmp_path, "traces", 1, 2)
        spool.discover()
        for _ in range(3):
            spool.round(bytes_below(tmp_path) - 1000)
        assert first in losses(lane)
        declared = sum(said.lost.records or 0 for said in losses(lane) if said.lost)
        assert declared == spool.records(lane)[State.LOST]


def test_when_only_billing_is_left_nothing_goes_and_that_is_said_once(tmp_path: Path) -> None:
    billing = fill(tmp_path, "transactions", 5, 2)
    with kept(tmp_path) as spool:
        spool.round(100)
        spool.round(100)
        assert list(billing.sealed_numbers()) == [1, 2, 3, 4, 5]
        assert spool.records(billing) == {State.PENDING: 10}
        assert losses(billing) == []


def test_what_a_request_carries_and_the_last_segment_of_a_lane_stay(tmp_path: Path) -> None:
    lane = fill(tmp_path, "traces", 4, 2)
    with kept(tmp_path) as spool:
        spool.ledger.open_batch(lane, Bounds(_chain(lane), 1, 0, 1, 2), "key")
        spool.round(100)
        assert list(lane.sealed_numbers())[:2] == [1, 4]


def _chain(lane: Lane) -> str:
    head = read_head(lane)
    assert head is not None
    return head.chain


@pytest.mark.parametrize("at", range(1, 12))
def test_a_crash_at_any_step_declares_once_and_deletes_nothing_undeclared(
    tmp_path: Path, at: int
) -> None:
    lane = fill(tmp_path, "traces", 20, 2)
    with kept(tmp_path) as spool:
        limit = bytes_below(tmp_path) - 3000
        spool.disk = Dying(at)
        with suppress(KeyboardInterrupt):
            spool.round(limit)
        held = set(lane.sealed_numbers())
        declared = {
            seq for said in losses(lane) if said.lost for seq in range(*_bounds(said.lost.ranges))
        }
        assert set(range(1, 21)) - held <= declared
        spool.disk = FastDisk()
        Sealer(spool.disk, lane, KEY, spool.clock).settle_head()
        spool.discover()
        spool.round(limit)
        assert spool.ledger.undeclared(lane) == []
        ranges = [said.lost.ranges for said in losses(lane) if said.lost]
        assert len(ranges) == len(set(ranges))
        lost = spool.records(lane)[State.LOST]
        assert sum(said.lost.records or 0 for said in losses(lane) if said.lost) == lost
        assert sum(spool.records(lane).values()) == 40


def _bounds(ranges: str) -> tuple[int, int]:
    first, _, last = ranges.partition("-")
    return int(first), int(last or first) + 1


def test_a_full_disk_is_made_room_on_by_giving_up_the_ballast(tmp_path: Path) -> None:
    with small_tmpfs(tmp_path / "disk", "4m") as disk:
        lane = fill(disk, "traces", 20, 2)
        with kept(disk) as spool:
            spool.rules = Rules(1 << 20, RULES.keep, RULES.audit)
            spool.round()
            assert (disk / "ballast").stat().st_size == 1 << 20
            spool.round()  # what it has to write next to it is there already
            filler = disk / "filler"
            with pytest.raises(OSError, match="No space left"):
                filler.write_bytes(b"x" * (8 << 20))
            limit = bytes_below(disk) - 3000
            spool.round(limit)
            assert not (disk / "ballast").exists()
            spool.round(limit - (1 << 20))
            assert spool.records(lane)[State.LOST]
            assert losses(lane)
            filler.unlink()
            spool.round()
            assert (disk / "ballast").stat().st_size == 1 << 20


@pytest.mark.parametrize(("stream", "asked"), [("traces", True), ("transactions", False)])
def test_what_may_give_way_and_lies_in_open_files_is_sealed_where_nothing_else_is_left(
    tmp_path: Path, stream: str, *, asked: bool
) -> None:
    with Writer(tmp_path, stream, node=NODE, signer=KEY) as writer, kept(tmp_path) as spool:
        writer.append([ONE[stream] % 1])
        spool.round()
        assert not Lane(tmp_path, NODE, stream).seal_request.exists()
        spool.round(1)
        assert Lane(tmp_path, NODE, stream).seal_request.exists() is asked
