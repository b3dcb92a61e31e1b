"""Numbers, spans and moves."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from spool.clock import SYSTEM_CLOCK
from spool.ledger import By, LanePosition, Ledger, LedgerError, Span, State
from spool.ranges import ChainRanges, Range
from spool.totals import NOTHING, Totals
from tests.support.ledgers import CHAIN, NEXT_CHAIN, fill, lane, move, totals

P, E, D, Q, L = State


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path, clock=SYSTEM_CLOCK) as opened:
        yield opened


def rows(ledger: Ledger, tmp_path: Path) -> list[tuple[int, int, State]]:
    return [(span.first, span.last, span.state) for span in ledger.spans(lane(tmp_path))]


def test_an_unknown_lane_has_no_last_number(ledger: Ledger, tmp_path: Path) -> None:
    assert ledger.last(lane(tmp_path)) is None
    assert ledger.spans(lane(tmp_path)) == []
    assert ledger.counts() == []


def test_the_last_number_comes_with_its_chain_and_totals(ledger: Ledger, tmp_path: Path) -> None:
    fill(ledger, lane(tmp_path), 1, 7)
    assert ledger.last(lane(tmp_path)) == LanePosition(CHAIN, 7, totals(7))


def test_a_million_delivered_segments_are_one_row(ledger: Ledger, tmp_path: Path) -> None:
    here = lane(tmp_path)
    fill(ledger, here, 1, 1_000_000)
    for first in range(1, 1_000_001, 25_000):
        move(ledger, here, (first, first + 24_999), (P, D), By.ANSWER)
    assert ledger.spans(here) == [Span(CHAIN, 1, 1_000_000, D, NOTHING, totals(1_000_000))]
    assert ledger.counts()[0].segments[D] == 1_000_000


def test_a_move_cuts_a_span_and_the_way_back_joins_it(ledger: Ledger, tmp_path: Path) -> None:
    here = lane(tmp_path)
    fill(ledger, here, 1, 10)
    move(ledger, here, (4, 6), (P, E), By.EXPORT)
    assert rows(ledger, tmp_path) == [(1, 3, P), (4, 6, E), (7, 10, P)]
    assert ledger.spans(here, E) == [Span(CHAIN, 4, 6, E, totals(3), totals(3))]
    move(ledger, here, (4, 6), (E, P), By.REPLAY)
    assert ledger.spans(here) == [Span(CHAIN, 1, 10, P, NOTHING, totals(10))]


def test_a_number_that_comes_back_joins_single_ones_on_both_sides(
    ledger: Ledger, tmp_path: Path
) -> None:
    here = lane(tmp_path)
    fill(ledger, here, 1, 3)
    move(ledger, here, (2, 2), (P, E), By.EXPORT)
    assert rows(ledger, tmp_path) == [(1, 1, P), (2, 2, E), (3, 3, P)]
    move(ledger, here, (2, 2), (E, P), By.REPLAY)
    assert ledger.spans(here) == [Span(CHAIN, 1, 3, P, NOTHING, totals(3))]


def test_known_numbers_may_be_added_again(ledger: Ledger, tmp_path: Path) -> None:
    here = lane(tmp_path)
    fill(ledger, here, 1, 10)
    move(ledger, here, (2, 3), (P, D), By.ANSWER)
    fill(ledger, here, 2, 5)
    fill(ledger, here, 3, 3)
    assert rows(ledger, tmp_path) == [(1, 1, P), (2, 3, D), (4, 10, P)]


@pytest.mark.parametrize(
    ("first", "last", "chain"),
    [
        (5, 11, CHAIN),
        (10, 11, CHAIN),
        (10, 11, NEXT_CHAIN),
        (3, 4, NEXT_CHAIN),
        (12, 11, CHAIN),
        (0, 3, CHAIN),
    ],
)
def test_numbers_that_go_back_are_refused(
    ledger: Ledger, tmp_path: Path, first: int, last: int, chain: str
) -> None:
    fill(ledger, lane(tmp_path), 1, 10)
    with pytest.raises(LedgerError) as caught:
        fill(ledger, lane(tmp_path), first, last, chain)
    assert caught.value.id == "ledger.overlap"
    assert rows(ledger, tmp_path) == [(1, 10, P)]


def test_there_is_no_number_below_one(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(LedgerError) as caught:
        ledger.extend(lane(tmp_path), CHAIN, 0, 3, before=NOTHING, totals=totals(4))
    assert caught.value.id == "ledger.overlap"


def test_totals_that_do_not_go_on_are_refused(ledger: Ledger, tmp_path: Path) -> None:
    here = lane(tmp_path)
    fill(ledger, here, 1, 10)
    for first, before in ((11, totals(9)), (11, totals(11)), (15, totals(9))):
        with pytest.raises(LedgerError) as caught:
            ledger.extend(here, CHAIN, first, 20, before=before, totals=totals(1))
        assert caught.value.id == "ledger.totals"
        assert f"{first} to 20" in caught.value.message


def test_a_gap_is_stepped_over_and_counted(ledger: Ledger, tmp_path: Path) -> None:
    here = lane(tmp_path)
    fill(ledger, here, 1, 10)
    fill(ledger, here, 13, 15)
    ledger.extend(here, NEXT_CHAIN, 1_000_000, 1_000_001, before=NOTHING, totals=totals(2))
    assert rows(ledger, tmp_path) == [(1, 10, P), (13, 15, P), (1_000_000, 1_000_001, P)]
    (counts,) = ledger.counts()
    assert (counts.gaps, counts.head, counts.first_pending) == (2, 1_000_001, 1)


def test_adjacent_numbers_of_two_chains_stay_two_rows(ledger: Ledger, tmp_path: Path) -> None:
    here = lane(tmp_path)
    fill(ledger, here, 1, 999_999)
    ledger.extend(here, NEXT_CHAIN, 1_000_000, 1_000_005, before=NOTHING, totals=totals(6))
    assert len(rows(ledger, tmp_path)) == 2
    assert ledger.last(here) == LanePosition(NEXT_CHAIN, 1_000_005, totals(6))


@pytest.mark.parametrize(("first", "last"), [(3, 5), (9, 12), (11, 12), (20, 20), (5, 3)])
def test_a_move_of_numbers_that_are_elsewhere_is_refused(
    ledger: Ledger, tmp_path: Path, first: int, last: int
) -> None:
    here = lane(tmp_path)
    fill(ledger, here, 1, 10)
    move(ledger, here, (1, 4), (P, E), By.EXPORT)
    with pytest.raises(LedgerError) as caught:
        move(ledger, here, (first, last), (P, D), By.ANSWER)
    assert caught.value.id == "ledger.state"
    assert rows(ledger, tmp_path) == [(1, 4, E), (5, 10, P)]


def test_a_move_that_is_not_in_the_table_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    here = lane(tmp_path)
    fill(ledger, here, 1, 10)
    move(ledger, here, (1, 10), (P, D), By.ANSWER)
    for target, by in ((P, By.EXPORT), (L, By.LOSS), (Q, By.RECEIPT)):
        with pytest.raises(LedgerError) as caught:
            move(ledger, here, (1, 10), (D, target), by)
        assert caught.value.id == "ledger.illegal_move"
    move(ledger, here, (1, 10), (D, P), By.REPLAY)


@pytest.mark.parametrize(
    ("first", "last", "before", "after"),
    [
        (1, 3, totals(1), totals(3)),
        (8, 10, totals(7), totals(9)),
        (4, 6, totals(6), totals(3)),
        (4, 6, totals(3), totals(11)),
        (4, 6, Totals(30, 99_999), totals(6)),
    ],
)
def test_a_cut_with_totals_that_do_not_fit_is_refused(
    ledger: Ledger, tmp_path: Path, first: int, last: int, before: Totals, after: Totals
) -> None:
    here = lane(tmp_path)
    fill(ledger, here, 1, 10)
    with pytest.raises(LedgerError) as caught:
        ledger.move(
            here, first, last, source=P, target=D, by=By.ANSWER, before_first=before,
            after_last=after,
        )  # fmt: skip
    assert caught.value.id == "ledger.totals"
    assert rows(ledger, tmp_path) == [(1, 10, P)]


def test_of_many_who_move_the_same_numbers_one_succeeds(ledger: Ledger, tmp_path: Path) -> None:
    here = lane(tmp_path)
    fill(ledger, here, 1, 100)
    outcomes: list[str] = []

    def export() -> None:
        try:
            move(ledger, here, (1, 100), (P, E), By.EXPORT)
            outcomes.append("moved")
        except LedgerError as error:
            outcomes.append(error.id)

    threads = [threading.Thread(target=export) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["ledger.state"] * 7 + ["moved"]


def test_an_unknown_lane_is_told_all_at_once(ledger: Ledger, tmp_path: Path) -> None:
    here = lane(tmp_path)
    singles = [
        Span(CHAIN, seq, seq, D if seq <= 30 else P, totals(seq - 1), totals(1))
        for seq in range(1, 51)
    ]
    ledger.adopt(here, singles)
    assert rows(ledger, tmp_path) == [(1, 30, D), (31, 50, P)]
    assert ledger.frontier(here).chains == [ChainRanges(CHAIN, (Range(1, 30),))]
    with pytest.raises(LedgerError) as caught:
        ledger.adopt(here, singles)
    assert caught.value.id == "ledger.overlap"


def test_what_does_not_ascend_is_not_adopted_at_all(ledger: Ledger, tmp_path: Path) -> None:
    here = lane(tmp_path)
    spans = [Span(CHAIN, seq, seq, P, totals(seq - 1), totals(1)) for seq in (1, 2, 5, 4)]
    with pytest.raises(LedgerError) as caught:
        ledger.adopt(here, spans)
    assert caught.value.id == "ledger.overlap"
    assert ledger.last(here) is None


def test_lanes_do_not_touch_each_other(ledger: Ledger, tmp_path: Path) -> None:
    fill(ledger, lane(tmp_path, "logs"), 1, 10)
    fill(ledger, lane(tmp_path, "traces"), 1, 20)
    move(ledger, lane(tmp_path, "logs"), (1, 10), (P, L), By.LOSS)
    assert [(c.stream, c.records[P], c.records[L], c.bytes_pending) for c in ledger.counts()] == [
        ("logs", 0, 100, 0),
        ("traces", 200, 0, 20_000),
    ]
