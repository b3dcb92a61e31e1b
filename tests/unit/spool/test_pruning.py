"""What goes from the disk is what may go, is declared before it goes, and is declared once."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from spool.clock import SYSTEM_CLOCK
from spool.discovery import discover, said_by
from spool.lane import Lane
from spool.ledger import Answer, Bounds, By, Ledger, SegmentSums, State, Undeclared
from spool.pruning import Pruned, Pruner
from spool.ranges import Range
from spool.sealing import Sealer
from spool.statement import Lost, Statement
from spool.streams import Kind
from spool.tail import Tail
from spool.totals import Totals
from tests.support.disks import FastDisk
from tests.support.spools import FAST, KEY, HandClock, new_lane, records, unit

BEGIN = 1_795_424_400_000
P, E, D, Q, L = State
ALL = 10**9
"""More bytes than any of these spools holds."""


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path, clock=SYSTEM_CLOCK) as opened:
        yield opened


def pruner(ledger: Ledger) -> Pruner:
    return Pruner(ledger, lambda lane: Sealer(FAST, lane, KEY, HandClock(BEGIN + 999)), FAST)


def filled(ledger: Ledger, spool: Path, stream: str, count: int) -> Lane:
    """A lane with so many segments of two records each, the n-th accepted n ms after the begin."""
    lane = new_lane(spool, stream=stream)
    for number in range(1, count + 1):
        clock = HandClock(BEGIN + number)
        tail = Tail.begin(FAST, lane, clock)
        tail.commit([unit(records(2, f"{number}"))], 2)
        Sealer(FAST, lane, KEY, clock).seal(tail.filled(), "size")
    discover(ledger, lane)
    return lane


def said(lane: Lane, seq: int) -> Statement:
    found = said_by(lane, seq)
    assert found is not None
    return found


def move(ledger: Ledger, lane: Lane, first: int, last: int, way: tuple[State, State]) -> None:
    ledger.move(
        lane,
        first,
        last,
        source=way[0],
        target=way[1],
        by=By.EXPORT if way[1] is E else By.ANSWER,
        before_first=said(lane, first).before,
        after_last=said(lane, last).after,
    )


def held(lane: Lane) -> list[int]:
    return list(lane.sealed_numbers())


def told(found: Iterator[Pruned]) -> list[tuple[str, State, Sequence[Range]]]:
    return [(each.lane.stream, each.state, each.numbers) for each in found]


def states(ledger: Ledger, lane: Lane) -> list[tuple[int, int, State]]:
    return [(span.first, span.last, span.state) for span in ledger.spans(lane)]


def test_what_was_delivered_goes_and_the_head_stays(ledger: Ledger, tmp_path: Path) -> None:
    lane = filled(ledger, tmp_path, "transactions", 4)
    move(ledger, lane, 1, 4, (P, D))
    size = sum(lane.segment(seq).stat().st_size for seq in (1, 2, 3))
    (gone,) = pruner(ledger).make_room([lane], ALL)
    assert (gone.lane, gone.state, gone.numbers, gone.size) == (lane, D, (Range(1, 3),), size)
    assert held(lane) == [4]
    assert states(ledger, lane) == [(1, 4, D)]


def test_no_more_goes_than_is_wanted(ledger: Ledger, tmp_path: Path) -> None:
    lane = filled(ledger, tmp_path, "transactions", 4)
    move(ledger, lane, 1, 4, (P, D))
    assert told(pruner(ledger).make_room([lane], 1)) == [("transactions", D, (Range(1, 1),))]
    assert held(lane) == [2, 3, 4]


def test_billing_that_waits_never_goes(ledger: Ledger, tmp_path: Path) -> None:
    lane = filled(ledger, tmp_path, "transactions", 3)
    assert told(pruner(ledger).make_room([lane], ALL)) == []
    assert told(pruner(ledger).drop_waiting(lane)) == []
    assert (held(lane), states(ledger, lane)) == ([1, 2, 3], [(1, 3, P)])


def test_other_records_that_wait_are_declared_lost_and_then_go(
    ledger: Ledger, tmp_path: Path
) -> None:
    lane = filled(ledger, tmp_path, "logs", 4)
    assert told(pruner(ledger).make_room([lane], ALL)) == [("logs", P, (Range(1, 3),))]
    assert held(lane) == [4, 5]
    lost = said(lane, 5).lost
    assert lost == Lost("1-3", 6, said(lane, 4).before.raw_size, "no_room")
    assert states(ledger, lane) == [(1, 3, L), (4, 4, P)]
    assert ledger.undeclared(lane) == []


def test_numbers_that_are_not_adjacent_are_declared_one_by_one(
    ledger: Ledger, tmp_path: Path
) -> None:
    lane = filled(ledger, tmp_path, "logs", 6)
    bounds = Bounds(said(lane, 3).chain, 3, 0, 3, 2)
    ledger.open_batch(lane, bounds, "key")
    assert told(pruner(ledger).make_room([lane], ALL)) == [
        ("logs", P, (Range(1, 2),)),
        ("logs", P, (Range(4, 5),)),
    ]
    assert held(lane) == [3, 6, 7, 8]
    lost = [said(lane, seq).lost for seq in (7, 8)]
    assert [each.ranges for each in lost if each] == ["1-2", "4-5"]


def test_what_was_given_up_before_a_crash_is_declared_once(ledger: Ledger, tmp_path: Path) -> None:
    lane = filled(ledger, tmp_path, "logs", 4)
    before, after = said(lane, 1).before, said(lane, 2).after
    what = Undeclared(Range(1, 2), after - before, 4, "switched_off")
    assert ledger.give_up(lane, what, P, before=before, after=after)
    # Killed here: the loss is in the ledger alone, and nothing has gone yet.
    pruner(ledger).declare([lane])
    assert ledger.undeclared(lane) == []
    assert said(lane, 5).lost == Lost("1-2", 4, after.raw_size, "switched_off")
    assert held(lane) == [1, 2, 3, 4, 5]
    pruner(ledger).declare([lane])
    assert held(lane) == [1, 2, 3, 4, 5]


def test_a_loss_that_was_sealed_before_a_crash_is_not_sealed_again(
    ledger: Ledger, tmp_path: Path
) -> None:
    lane = filled(ledger, tmp_path, "logs", 4)
    before, after = said(lane, 1).before, said(lane, 2).after
    what = Undeclared(Range(1, 2), after - before, 4, "switched_off")
    assert ledger.give_up(lane, what, P, before=before, after=after)
    sealer = Sealer(FAST, lane, KEY, HandClock())
    sealer.declare_lost(Lost("1-2", 4, after.raw_size, "no_room"))
    # Killed here: the loss record is sealed, and the ledger does not know.
    pruner(ledger).declare([lane])
    assert (ledger.undeclared(lane), held(lane)) == ([], [1, 2, 3, 4, 5])


def test_of_another_nodes_records_only_those_go_that_were_delivered(
    ledger: Ledger, tmp_path: Path
) -> None:
    lane = filled(ledger, tmp_path, "logs", 5)
    move(ledger, lane, 1, 2, (P, D))
    foreign = Pruner(ledger, lambda _lane: None, FAST)
    assert told(foreign.make_room([lane], ALL)) == [("logs", D, (Range(1, 2),))]
    assert told(foreign.drop_waiting(lane)) == []
    assert held(lane) == [3, 4, 5]


def test_what_waits_of_a_stream_that_is_off_goes_with_its_head(
    ledger: Ledger, tmp_path: Path
) -> None:
    lane = filled(ledger, tmp_path, "logs", 3)
    assert told(pruner(ledger).drop_waiting(lane)) == [("logs", P, (Range(1, 3),))]
    assert held(lane) == [4, 5]
    assert (said(lane, 4).reason, said(lane, 4).records) == ("heartbeat", 0)
    lost = said(lane, 5).lost
    assert lost is not None
    assert (lost.ranges, lost.records, lost.why) == ("1-3", 6, "switched_off")
    # Nothing waits any more: nothing is sealed for it again.
    discover(ledger, lane)
    assert told(pruner(ledger).drop_waiting(lane)) == []
    assert held(lane) == [4, 5]


def by_age(ledger: Ledger, lane: Lane, before: int, copies: int | None = None) -> list[Range]:
    kinds: dict[Kind, int] = {"billing": BEGIN + before, "usage": 0, "operational": 0}
    found = pruner(ledger).by_age([lane], kinds, copies)
    return [numbers for each in found for numbers in each.numbers]


def test_by_age_goes_what_was_delivered_and_accepted_before_the_time_of_its_kind(
    ledger: Ledger, tmp_path: Path
) -> None:
    lane = filled(ledger, tmp_path, "transactions", 5)
    move(ledger, lane, 1, 4, (P, D))
    logs = filled(ledger, tmp_path, "logs", 2)
    move(ledger, logs, 1, 2, (P, D))
    assert by_age(ledger, logs, 100) == []
    assert by_age(ledger, lane, 1) == []
    assert by_age(ledger, lane, 3) == [Range(1, 2)]
    assert by_age(ledger, lane, 100) == [Range(3, 4)]
    assert (held(lane), held(logs)) == ([5], [1, 2])


def test_what_waits_or_was_only_exported_does_not_go_by_age(ledger: Ledger, tmp_path: Path) -> None:
    lane = filled(ledger, tmp_path, "transactions", 4)
    move(ledger, lane, 1, 2, (P, E))
    assert by_age(ledger, lane, 100) == []
    assert by_age(ledger, lane, 100, copies=1) == []
    assert by_age(ledger, lane, 100, copies=0) == [Range(1, 2)]
    assert states(ledger, lane) == [(1, 2, E), (3, 4, P)]


def test_what_is_delivered_only_in_part_stays(ledger: Ledger, tmp_path: Path) -> None:
    lane = filled(ledger, tmp_path, "transactions", 3)
    first = said(lane, 1)
    batch = ledger.open_batch(lane, Bounds(first.chain, 1, 0, 1, 1), "key")
    sums = SegmentSums(1, first.before, Totals(first.records, first.raw_size))
    answer = Answer(1_000, "/v1", Totals(1, 10), 200, "delivered", 1, "{}")
    ledger.settle(batch.id, answer, [sums])
    assert told(pruner(ledger).make_room([lane], ALL)) == []
    assert held(lane) == [1, 2, 3]


class AskedAgain(FastDisk):
    """A disk on which somebody wants all but the first segment again once that one was deleted."""

    def __init__(self, ledger: Ledger, lane: Lane, last: int) -> None:
        self.ledger, self.lane, self.last = ledger, lane, last

    def unlink(self, path: Path) -> None:
        super().unlink(path)
        before, after = said(self.lane, 2).before, said(self.lane, self.last).after
        self.ledger.move(
            self.lane, 2, self.last,
            source=D, target=P, by=By.REPLAY, before_first=before, after_last=after,
        )  # fmt: skip


@pytest.mark.parametrize("for_room", [True, False])
def test_what_was_chosen_to_go_and_is_to_be_sent_again_meanwhile_stays(
    ledger: Ledger, tmp_path: Path, *, for_room: bool
) -> None:
    lane = filled(ledger, tmp_path, "transactions", 4)
    move(ledger, lane, 1, 3, (P, D))
    pruner = Pruner(ledger, lambda _lane: None, AskedAgain(ledger, lane, 3))
    kinds: dict[Kind, int] = {"billing": BEGIN + 100, "usage": 0, "operational": 0}
    found = pruner.make_room([lane], ALL) if for_room else pruner.by_age([lane], kinds)
    assert told(found) == [("transactions", D, (Range(1, 1),))]
    assert held(lane) == [2, 3, 4]
    assert states(ledger, lane) == [(1, 1, D), (2, 4, P)]
