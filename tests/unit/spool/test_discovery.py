"""What is new is found by its numbers; what the ledger forgot, by the seals."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType

import pytest

from spool.clock import SYSTEM_CLOCK
from spool.discovery import discover, totals_before
from spool.frontier import REFUSED_MAX, Frontier, write_frontier
from spool.head import Head, folder_mark, read_head, write_head
from spool.lane import Lane
from spool.ledger import DISCARDED, LanePosition, Ledger, RecordException, Span, State
from spool.ranges import ChainRanges, Range
from spool.totals import NOTHING, Totals
from tests.support.spools import FAST, new_lane, raw_of, records, recover, seal_one, sealer

MILLION = 1_000_000
ONE = Totals(1, len(raw_of(records(1, "x"))))
Found = tuple[int, int, State, int]


@pytest.fixture
def lane(tmp_path: Path) -> Lane:
    return new_lane(tmp_path)


def _fill(lane: Lane, count: int) -> str:
    """Segments of one record each; the name of their chain."""
    return [seal_one(lane, records(1, "x")).chain for _ in range(count)][-1]


def _head(lane: Lane) -> Head:
    head = read_head(lane)
    assert head is not None
    return head


def _times(count: int) -> Totals:
    return Totals(ONE.records * count, ONE.raw_size * count)


def _spans(ledger: Ledger, lane: Lane) -> list[Found]:
    return [(s.first, s.last, s.state, s.totals.records) for s in ledger.spans(lane)]


def _adopted(lane: Lane) -> list[Found]:
    """What a ledger that knows nothing is told."""
    with Ledger.open(lane.spool, clock=SYSTEM_CLOCK) as ledger:
        assert discover(ledger, lane)
        assert not discover(ledger, lane)
        found = _spans(ledger, lane)
    for name in ("ledger.db", "ledger.db-wal", "ledger.db-shm"):
        (lane.spool / name).unlink(missing_ok=True)
    return found


@contextmanager
def _counted() -> Iterator[list[str]]:
    """The files opened and the folders listed meanwhile."""
    calls: list[str] = []

    def note(_: FrameType, event: str, called: object) -> None:
        name = getattr(called, "__name__", "")
        if event == "c_call" and name in ("open", "listdir", "scandir"):
            calls.append(name)

    sys.setprofile(note)
    try:
        yield calls
    finally:
        sys.setprofile(None)


def test_a_lane_without_a_head_has_nothing_new(lane: Lane) -> None:
    with Ledger.open(lane.spool, clock=SYSTEM_CLOCK) as ledger:
        assert not discover(ledger, lane)
        assert ledger.last(lane) is None


def test_what_lies_above_the_last_known_number_is_new(lane: Lane) -> None:
    with Ledger.open(lane.spool, clock=SYSTEM_CLOCK) as ledger:
        _fill(lane, 2)
        assert discover(ledger, lane)
        _fill(lane, 3)
        assert discover(ledger, lane)
        assert not discover(ledger, lane)
        assert _spans(ledger, lane) == [(1, 5, State.PENDING, 5)]


def test_what_lies_above_the_head_is_not_new(lane: Lane) -> None:
    _fill(lane, 2)
    before = _head(lane)
    _fill(lane, 1)
    write_head(FAST, lane, before)
    assert _adopted(lane) == [(1, 2, State.PENDING, 2)]


def test_looking_costs_nothing_that_grows_with_the_spool(lane: Lane) -> None:
    _fill(lane, 3)
    head = _head(lane)
    with Ledger.open(lane.spool, clock=SYSTEM_CLOCK) as ledger:
        discover(ledger, lane)
        _fill(lane, 1)
        with _counted() as few:
            assert discover(ledger, lane)
        for seq in range(5, 1501):
            lane.segment(seq).parent.mkdir(exist_ok=True)
            lane.segment(seq).touch()
        write_head(FAST, lane, replace(head, seq=1500, after=_times(1500)))
        with _counted() as many:
            assert discover(ledger, lane)
        with _counted() as nothing_new:
            assert not discover(ledger, lane)
        assert _spans(ledger, lane) == [(1, 1500, State.PENDING, 1500)]
    assert len(many) <= len(few) <= 2
    assert len(nothing_new) <= 2


class _Overtaken(Ledger):
    """A ledger between whose first look and first word another process tells what it found."""

    overtaker: Ledger | None = None

    def last(self, lane: Lane) -> LanePosition | None:
        found = super().last(lane)
        if self.overtaker is not None:
            discover(self.overtaker, lane)
            self.overtaker = None
            _fill(lane, 1)
        return found


@pytest.mark.parametrize("known", [0, 2])
def test_two_processes_that_look_at_once_tell_each_number_once(lane: Lane, known: int) -> None:
    with (
        _Overtaken.open(lane.spool, clock=SYSTEM_CLOCK) as ours,
        Ledger.open(lane.spool, clock=SYSTEM_CLOCK) as theirs,
    ):
        if known:
            _fill(lane, known)
            discover(ours, lane)
        _fill(lane, 1)
        ours.overtaker = theirs
        assert discover(ours, lane)
        assert _spans(ours, lane) == [(1, known + 2, State.PENDING, known + 2)]
        assert not discover(ours, lane)


def test_a_forgotten_lane_without_a_frontier_is_pending_from_number_1(lane: Lane) -> None:
    _fill(lane, 3)
    assert _adopted(lane) == [(1, 3, State.PENDING, 3)]


@pytest.mark.parametrize("pruned", [False, True])
def test_what_the_frontier_names_is_delivered_also_where_its_files_are_gone(
    lane: Lane, *, pruned: bool
) -> None:
    chain = _fill(lane, 8)
    write_frontier(FAST, lane, Frontier([ChainRanges(chain, (Range(1, 3), Range(6, 6)))]))
    if pruned:
        for seq in (1, 2, 3, 6):
            lane.segment(seq).unlink()
    assert _adopted(lane) == [
        (1, 3, State.DELIVERED, 3),
        (4, 5, State.PENDING, 2),
        (6, 6, State.DELIVERED, 1),
        (7, 8, State.PENDING, 2),
    ]


def _refused(seq: int, *lines: int, verdict: str = "bisect") -> list[RecordException]:
    return [RecordException(seq, line, 1, verdict, 422, "no") for line in lines]


def test_records_that_went_another_way_do_not_pass_for_delivered(lane: Lane) -> None:
    chain = [seal_one(lane, records(3, "x")).chain for _ in range(3)][-1]
    single = [*_refused(1, 0), *_refused(2, 1, 2, verdict=DISCARDED), *_refused(3, 0)]
    write_frontier(FAST, lane, Frontier([ChainRanges(chain, (Range(1, 2),))], single, 5, 1))
    with Ledger.open(lane.spool, clock=SYSTEM_CLOCK) as ledger:
        assert discover(ledger, lane)
        (counts,) = ledger.counts()
        told = {state: count for state, count in counts.records.items() if count}
        assert told == {
            State.DELIVERED: 3, State.QUARANTINED: 1, State.LOST: 2, State.PENDING: 3
        }  # fmt: skip
        assert (counts.in_doubt, counts.partial, counts.exceptions) == (5, 1, 1)
        # The third segment goes out as a whole: nothing of it was delivered.
        assert [each.seq for each in ledger.exceptions(lane)] == [1, 2, 2]


def test_a_frontier_with_more_single_records_than_there_are_is_not_believed(lane: Lane) -> None:
    chain = _fill(lane, 2)
    said = Frontier([ChainRanges(chain, (Range(1, 2),))], _refused(1, 0, 1, 2))
    write_frontier(FAST, lane, said)
    assert _adopted(lane) == [(1, 2, State.PENDING, 2)]


@pytest.mark.parametrize("left", [0, 1])
def test_single_records_of_segments_that_are_gone_are_believed_where_a_stretch_before_has_their_sums(
    lane: Lane, left: int
) -> None:
    # Their stretch was pending then, though all of it was gone: the sender declared it lost, and a
    # record that a person had given up passed for delivered.
    chain = _fill(lane, 8)
    single = [*_refused(5, 0, verdict=DISCARDED), *_refused(6, 0, verdict=DISCARDED)]
    write_frontier(FAST, lane, Frontier([ChainRanges(chain, (Range(1, 3), Range(5, 7)))], single))
    for seq in range(1, 8 - left):
        lane.segment(seq).unlink()
    with Ledger.open(lane.spool, clock=SYSTEM_CLOCK) as ledger:
        assert discover(ledger, lane)
        assert _spans(ledger, lane) == [
            (1, 3, State.DELIVERED, 7 - left),
            (4, 4, State.PENDING, 0),
            (5, 7, State.DELIVERED, left),
            (8, 8, State.PENDING, 1),
        ]
        (counts,) = ledger.counts()
        assert {state: count for state, count in counts.records.items() if count} == {
            State.DELIVERED: 5, State.LOST: 2, State.PENDING: 1
        }  # fmt: skip


def test_single_records_of_a_segment_that_is_here_are_not_believed_beyond_what_it_holds(
    lane: Lane,
) -> None:
    chain = _fill(lane, 6)
    single = _refused(5, 0, 1)
    write_frontier(FAST, lane, Frontier([ChainRanges(chain, (Range(1, 3), Range(5, 5)))], single))
    for seq in range(1, 5):
        lane.segment(seq).unlink()
    assert _adopted(lane) == [(1, 3, State.DELIVERED, 4), (4, 6, State.PENDING, 2)]


def test_no_more_single_records_are_believed_than_all_stretches_have(lane: Lane) -> None:
    chain = _fill(lane, 8)
    single = [*_refused(2, 0, 1), *_refused(6, *range(6), verdict=DISCARDED)]
    write_frontier(FAST, lane, Frontier([ChainRanges(chain, (Range(1, 3), Range(5, 7)))], single))
    for seq in range(1, 8):
        lane.segment(seq).unlink()
    assert _adopted(lane) == [
        (1, 3, State.DELIVERED, 7),
        (4, 8, State.PENDING, 1),
    ]


def test_segments_with_more_single_records_than_the_file_may_name_are_not_named(
    lane: Lane,
) -> None:
    single = [*_refused(1, *range(REFUSED_MAX - 1)), *_refused(2, 0, 1)]
    span = Span("c" * 32, 1, 3, State.DELIVERED, NOTHING, Totals(3 * REFUSED_MAX, 10**6))
    with Ledger.open(lane.spool, clock=SYSTEM_CLOCK) as ledger:
        ledger.adopt(lane, [span], Frontier(exceptions=single))
        told = ledger.frontier(lane)
    assert told.chains == [ChainRanges("c" * 32, (Range(1, 1), Range(3, 3)))]
    assert {each.seq for each in told.exceptions} == {1}


def test_a_frontier_of_everything_leaves_nothing_pending(lane: Lane) -> None:
    chain = _fill(lane, 3)
    write_frontier(FAST, lane, Frontier([ChainRanges(chain, (Range(1, 3),))]))
    for seq in (1, 2, 3):
        lane.segment(seq).unlink()
    assert _adopted(lane) == [(1, 3, State.DELIVERED, 3)]


def test_a_frontier_of_other_chains_or_above_the_head_says_nothing(lane: Lane) -> None:
    chain = _fill(lane, 3)
    ranges = [ChainRanges("a" * 32, (Range(1, 2),)), ChainRanges(chain, (Range(2, 9),))]
    write_frontier(FAST, lane, Frontier(ranges))
    assert _adopted(lane) == [(1, 3, State.PENDING, 3)]


def _three_chains(lane: Lane) -> list[str]:
    """1 to 3, then a million and one more, then two million."""
    first = _fill(lane, 3)
    lane.head.unlink()
    second = _fill(lane, 2)
    write_head(FAST, lane, replace(_head(lane), folder=folder_mark(lane) + 1))
    return [first, second, _fill(lane, 1)]


ALL_OF_THREE: list[Found] = [
    (1, 3, State.PENDING, 3),
    (MILLION, MILLION + 1, State.PENDING, 2),
    (2 * MILLION, 2 * MILLION, State.PENDING, 1),
]


def test_chains_that_follow_each_other_are_all_told_to_a_new_ledger(lane: Lane) -> None:
    _three_chains(lane)
    assert _adopted(lane) == ALL_OF_THREE


@pytest.mark.parametrize("known", [1, 3])
def test_chains_that_began_since_are_told_to_a_ledger_that_knows_the_first(
    lane: Lane, known: int
) -> None:
    with Ledger.open(lane.spool, clock=SYSTEM_CLOCK) as ledger:
        _fill(lane, known)
        discover(ledger, lane)
        _fill(lane, 4 - known)
        lane.head.unlink()
        _fill(lane, 2)
        lane.head.unlink()
        _fill(lane, 1)
        discover(ledger, lane)
        assert _spans(ledger, lane) == [(1, 4, State.PENDING, 4), *ALL_OF_THREE[1:]]


def test_of_older_chains_too_the_frontier_says_what_was_delivered_and_pruned(lane: Lane) -> None:
    first, second, _ = _three_chains(lane)
    delivered = [
        ChainRanges(first, (Range(1, 3),)),
        ChainRanges(second, (Range(MILLION, MILLION),)),
    ]
    write_frontier(FAST, lane, Frontier(delivered))
    for seq in (1, 2, MILLION):
        lane.segment(seq).unlink()
    assert _adopted(lane) == [
        (1, 3, State.DELIVERED, 3),
        (MILLION, MILLION, State.DELIVERED, 1),
        (MILLION + 1, MILLION + 1, State.PENDING, 1),
        (2 * MILLION, 2 * MILLION, State.PENDING, 1),
    ]


@pytest.mark.parametrize("harm", ["missing", "junk"])
@pytest.mark.parametrize("seq", [3, MILLION + 1, MILLION, 2 * MILLION])
def test_no_number_is_passed_over_where_the_end_or_beginning_of_a_chain_cannot_be_read(
    lane: Lane, seq: int, harm: str
) -> None:
    _three_chains(lane)
    lane.segment(seq).unlink()
    if harm == "junk":
        lane.segment(seq).write_bytes(b"junk")
    numbers = [(first, last) for first, last, _, _ in _adopted(lane)]
    if (seq, harm) == (MILLION, "missing"):
        # Nobody can tell a number that is gone without a trace from one that never was.
        assert numbers == [(1, 3), (MILLION + 1, MILLION + 1), (2 * MILLION, 2 * MILLION)]
    else:
        assert numbers == [(first, last) for first, last, _, _ in ALL_OF_THREE]


@pytest.mark.parametrize("gone", ["unlinked", "spoiled"])
def test_a_known_ledger_is_told_of_a_chain_whose_last_segment_cannot_be_read(
    lane: Lane, gone: str
) -> None:
    with Ledger.open(lane.spool, clock=SYSTEM_CLOCK) as ledger:
        _fill(lane, 2)
        discover(ledger, lane)
        _fill(lane, 3)
        if gone == "spoiled":
            lane.segment(5).write_bytes(b"junk")
        else:
            for seq in (1, 2, 3, 4):
                lane.segment(seq).write_bytes(b"junk")
        lane.head.unlink()
        recover(lane)
        assert discover(ledger, lane)
        numbers = [(first, last) for first, last, _, _ in _spans(ledger, lane)]
        assert numbers == [(1, 5), (MILLION, MILLION)]


def test_a_lane_of_nothing_but_unreadable_segments_is_still_all_told(lane: Lane) -> None:
    _fill(lane, 3)
    lane.head.unlink()
    for seq in (1, 2, 3):
        lane.segment(seq).write_bytes(b"junk")
    recover(lane)
    numbers = [(first, last) for first, last, _, _ in _adopted(lane)]
    assert numbers == [(1, 3), (MILLION, MILLION)]


def test_where_all_was_delivered_and_pruned_a_lost_head_makes_nothing_pending(lane: Lane) -> None:
    chain = _fill(lane, 3)
    write_frontier(FAST, lane, Frontier([ChainRanges(chain, (Range(1, 3),))]))
    for seq in (1, 2, 3):
        lane.segment(seq).unlink()
    lane.head.unlink()
    sealer(lane).heartbeat()
    found = [(first, last, state) for first, last, state, _ in _adopted(lane)]
    assert found == [(1, 3, State.DELIVERED), (MILLION, MILLION, State.PENDING)]


def test_totals_step_over_what_cannot_be_read(lane: Lane) -> None:
    _fill(lane, 5)
    for seq in (2, 3):
        lane.segment(seq).unlink()
    lane.segment(5).write_bytes(b"junk")
    head = _head(lane)
    assert [totals_before(lane, head, seq) for seq in (1, 2, 4, 5, 6)] == [
        NOTHING,
        _times(1),
        _times(3),
        _times(4),
        _times(5),
    ]


def test_totals_of_an_older_chain_are_not_taken_from_a_later_one(lane: Lane) -> None:
    _three_chains(lane)
    head = _head(lane)
    numbers = (1, 3, 4, MILLION, MILLION + 1, MILLION + 2, 2 * MILLION)
    assert [totals_before(lane, head, seq).records for seq in numbers] == [0, 2, 3, 0, 1, 2, 0]
    lane.segment(3).unlink()
    assert totals_before(lane, head, 3) == _times(2)
