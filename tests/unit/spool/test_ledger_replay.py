"""Single lines that go out again, or are given up, and what the ledger says of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from spool.clock import SYSTEM_CLOCK
from spool.lane import Lane
from spool.ledger import (
    Bounds,
    By,
    Ledger,
    LedgerError,
    Lines,
    RecordException,
    SegmentSums,
    State,
)
from spool.ledger_audit import DISCARDED, TEXT_MAX
from tests.support.ledgers import CHAIN, answer, fill, lane, sums, totals, whole

REFUSED = answer(1, 400)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path, clock=SYSTEM_CLOCK) as opened:
        yield opened


@pytest.fixture
def logs(tmp_path: Path) -> Lane:
    return lane(tmp_path)


def _refused(seq: int, line: int) -> RecordException:
    return RecordException(seq, line, 1, "bisect", 400, "no")


def _delivered_but(ledger: Ledger, of: Lane, *lines: tuple[int, int]) -> None:
    """Segments 1 to 3 delivered, but for these lines."""
    fill(ledger, of, 1, 3)
    batch = ledger.open_batch(of, whole(1, 3), "k")
    ledger.settle(batch.id, answer(30), sums(1, 3), [_refused(*line) for line in lines])


def _lines(seq: int, *numbers: int) -> Lines:
    return Lines(SegmentSums(seq, totals(seq - 1), totals(1)), numbers)


def _held(ledger: Ledger) -> dict[State, int]:
    (counts,) = ledger.counts()
    assert sum(counts.records.values()) == 30
    return {state: count for state, count in counts.records.items() if count}


def test_lines_that_are_given_back_alone_go_out_again(ledger: Ledger, logs: Lane) -> None:
    _delivered_but(ledger, logs, (2, 0), (2, 4), (2, 9), (3, 1))
    ledger.give_back(logs, [_lines(2, 0, 9)], by=By.REPLAY)
    assert [(start, end) for _, start, end in ledger.unbatched(logs)] == [
        ((2, 0), (2, 1)),
        ((2, 9), (3, 0)),
    ]
    assert [(item.seq, item.line) for item in ledger.exceptions(logs)] == [(2, 4), (3, 1)]
    _held(ledger)


def test_a_segment_is_delivered_again_when_the_lines_given_back_have_their_answer(
    ledger: Ledger, logs: Lane
) -> None:
    _delivered_but(ledger, logs, (2, 4))
    assert _held(ledger) == {State.DELIVERED: 29, State.QUARANTINED: 1}
    ledger.give_back(logs, [_lines(2, 4)], by=By.REPLAY)
    batch = ledger.open_batch(logs, Bounds(CHAIN, 2, 4, 2, 5), "again")
    ledger.settle(batch.id, answer(1), sums(2, 2))
    assert _held(ledger) == {State.DELIVERED: 30}
    assert ledger.unbatched(logs) == []


def test_lines_are_given_back_while_the_rest_of_their_segment_still_waits(
    ledger: Ledger, logs: Lane
) -> None:
    fill(ledger, logs, 1, 3)
    batch = ledger.open_batch(logs, Bounds(CHAIN, 1, 0, 1, 5), "k")
    ledger.settle(batch.id, answer(5), sums(1, 1), [_refused(1, 3)])
    ledger.give_back(logs, [_lines(1, 3)], by=By.GIVE_BACK)
    starts = [start for _, start, _ in ledger.unbatched(logs)]
    assert starts == [(1, 3), (1, 5)]
    assert _held(ledger) == {State.PENDING: 30}


def test_what_is_no_exception_is_not_given_back(ledger: Ledger, logs: Lane) -> None:
    _delivered_but(ledger, logs, (2, 4))
    ledger.give_back(logs, [_lines(2, 4)], by=By.REPLAY)
    for again in (_lines(2, 4), _lines(1, 0)):
        with pytest.raises(LedgerError, match="is no exception"):
            ledger.give_back(logs, [again], by=By.REPLAY)


def test_giving_back_is_all_or_nothing(ledger: Ledger, logs: Lane) -> None:
    _delivered_but(ledger, logs, (2, 4))
    with pytest.raises(LedgerError):
        ledger.give_back(logs, [_lines(2, 4), _lines(3, 4)], by=By.REPLAY)
    assert _held(ledger) == {State.DELIVERED: 29, State.QUARANTINED: 1}


def test_a_discarded_exception_is_lost_and_no_problem_any_more(ledger: Ledger, logs: Lane) -> None:
    _delivered_but(ledger, logs, (2, 4), (2, 5))
    ledger.discard(logs, 2, [4], "no use")
    assert _held(ledger) == {State.DELIVERED: 28, State.QUARANTINED: 1, State.LOST: 1}
    (counts,) = ledger.counts()
    assert counts.exceptions == 1
    with pytest.raises(LedgerError, match="is no exception"):
        ledger.give_back(logs, [_lines(2, 4)], by=By.REPLAY)


def test_a_discarded_exception_stays_when_its_neighbour_goes_out_again(
    ledger: Ledger, logs: Lane
) -> None:
    _delivered_but(ledger, logs, (2, 4), (2, 5))
    ledger.discard(logs, 2, [4], "no use")
    ledger.give_back(logs, [_lines(2, 5)], by=By.REPLAY)
    batch = ledger.open_batch(logs, Bounds(CHAIN, 2, 5, 2, 6), "again")
    ledger.settle(batch.id, answer(1), sums(2, 2))
    assert _held(ledger) == {State.DELIVERED: 29, State.LOST: 1}


def test_the_other_exceptions_of_a_segment_stay_as_they_were(ledger: Ledger, logs: Lane) -> None:
    fill(ledger, logs, 1, 3)
    batch = ledger.open_batch(logs, whole(1, 3), "k")
    said = [
        RecordException(seq, line, 1_000 * seq + line, f"v{line}", 400 + line, f"no {line}")
        for seq, line in [(1, 4), (2, 1), (2, 4), (2, 7)]
    ]
    ledger.settle(batch.id, answer(30), sums(1, 3), said)
    ledger.give_back(logs, [_lines(2, 4)], by=By.REPLAY)
    assert ledger.exceptions(logs) == [said[0], said[1], said[3]]


def test_the_lines_between_those_that_are_given_back_keep_their_answers(
    ledger: Ledger, logs: Lane
) -> None:
    fill(ledger, logs, 1, 1)
    for number, (first, end) in enumerate([(0, 3), (5, 8)]):
        batch = ledger.open_batch(logs, Bounds(CHAIN, 1, first, 1, end), f"k{number}")
        refused = [_refused(1, line) for line in range(first, end)]
        ledger.settle(batch.id, answer(3), sums(1, 1), refused)
    steps: list[tuple[tuple[int, ...], list[tuple[int, int | None]]]] = [
        ((1,), [(1, 2), (3, 5), (8, None)]),
        ((5, 7), [(1, 2), (3, 6), (7, None)]),
        ((0, 2, 6), [(0, None)]),
    ]
    for lines, free in steps:
        ledger.give_back(logs, [_lines(1, *lines)], by=By.GIVE_BACK)
        assert ledger.unbatched(logs) == [
            (CHAIN, (1, first), (2, 0) if end is None else (1, end)) for first, end in free
        ]


def test_what_is_no_exception_is_neither_given_back_nor_discarded_by_its_id(
    ledger: Ledger, logs: Lane
) -> None:
    _delivered_but(ledger, logs, (2, 4), (2, 5))
    ledger.discard(logs, 2, [4], "no use")
    for line in (4, 6):
        with pytest.raises(LedgerError) as caught:
            ledger.give_back(logs, [_lines(2, 5, line)], by=By.REPLAY)
        assert caught.value.id == "ledger.exception"
        assert f"Line {line} of segment 2 " in caught.value.message
        with pytest.raises(LedgerError) as caught:
            ledger.discard(logs, 2, [5, line], "no use")
        assert caught.value.id == "ledger.exception"
        assert f"Line {line} of segment 2 " in caught.value.message
    assert _held(ledger) == {State.DELIVERED: 28, State.QUARANTINED: 1, State.LOST: 1}


def test_of_a_reason_to_discard_as_much_is_kept_as_of_an_answer(ledger: Ledger, logs: Lane) -> None:
    _delivered_but(ledger, logs, (2, 4), (2, 5), (3, 4))
    ledger.discard(logs, 2, [4], "é" * (TEXT_MAX + 1))
    assert [(item.seq, item.line, item.verdict, item.text) for item in ledger.exceptions(logs)] == [
        (2, 4, DISCARDED, "é" * TEXT_MAX),
        (2, 5, "bisect", "no"),
        (3, 4, "bisect", "no"),
    ]


def test_refused_lines_that_go_out_again_are_new_to_a_beacon_that_counts_them(
    ledger: Ledger, logs: Lane
) -> None:
    _delivered_but(ledger, logs, (2, 4))
    ledger.give_back(logs, [_lines(2, 4)], by=By.REPLAY)
    batch = ledger.open_batch(logs, Bounds(CHAIN, 2, 4, 2, 5), "again")
    ledger.settle(batch.id, answer(1, accepted=0), sums(2, 2))
    assert ledger.counts()[0].partial == 1
