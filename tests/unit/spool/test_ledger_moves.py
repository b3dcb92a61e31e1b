"""A move takes just what it names, with its own sums, and forgets what no longer matters."""

from pathlib import Path

import pytest

from spool.lane import Lane
from spool.ledger import Bounds, By, Ledger, LedgerError, RecordException, Span, State
from spool.ledger_importing import Arrival, Taken
from spool.totals import NOTHING, Totals
from tests.support.ledgers import CHAIN, LINES, answer, lane, move, sums, totals

P, E, D, Q, L = State


@pytest.mark.parametrize(("first", "last"), [(1, 1), (1, 4), (5, 5), (7, 10), (10, 10), (1, 10)])
def test_both_rests_of_a_span_keep_their_own_sums(
    ledger: Ledger, here: Lane, first: int, last: int
) -> None:
    move(ledger, here, (first, last), (P, D), By.ANSWER)
    expected = [
        Span(CHAIN, a, b, state, totals(a - 1), totals(b - a + 1))
        for a, b, state in ((1, first - 1, P), (first, last, D), (last + 1, 10, P))
        if a <= b
    ]
    assert ledger.spans(here) == expected


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Totals(29, 3_000), Totals(28, 6_000)),
        (Totals(30, 3_000), Totals(60, 2_999)),
        (totals(3), Totals(60, 10_001)),
        (totals(3), Totals(101, 6_000)),
        (Totals(-1, 3_000), totals(6)),
        (Totals(30, -1), totals(6)),
    ],
)
def test_sums_that_fit_only_in_records_or_only_in_bytes_are_refused(
    ledger: Ledger, here: Lane, before: Totals, after: Totals
) -> None:
    with pytest.raises(LedgerError, match="segments 4 to 6") as caught:
        ledger.move(
            here, 4, 6, source=P, target=D, by=By.ANSWER, before_first=before, after_last=after
        )
    assert caught.value.id == "ledger.totals"
    assert ledger.spans(here) == [Span(CHAIN, 1, 10, P, NOTHING, totals(10))]


def test_a_span_that_ends_with_what_is_moved_must_end_with_its_sums(
    ledger: Ledger, here: Lane
) -> None:
    for numbers, before, after in (
        ((1, 3), totals(0), Totals(30, 3_000)),
        ((8, 10), totals(7), totals(10)),
    ):
        ledger.move(
            here,
            *numbers,
            source=P,
            target=D,
            by=By.ANSWER,
            before_first=before,
            after_last=after,
        )
    for numbers, before, after in (
        ((4, 5), Totals(30, 3_001), totals(5)),
        ((4, 5), Totals(31, 3_000), totals(5)),
        ((6, 7), totals(5), Totals(70, 6_999)),
        ((6, 7), totals(5), Totals(69, 7_000)),
    ):
        with pytest.raises(LedgerError, match=f"{numbers[0]} to {numbers[1]}") as caught:
            ledger.move(
                here,
                *numbers,
                source=P,
                target=D,
                by=By.ANSWER,
                before_first=before,
                after_last=after,
            )
        assert caught.value.id == "ledger.totals"


def test_a_refusal_names_what_the_ledger_has_instead(ledger: Ledger, here: Lane) -> None:
    move(ledger, here, (1, 4), (P, E), By.EXPORT)
    for numbers, has in (((3, 6), "1-4 exported, 5-10 pending"), ((11, 12), "none of them")):
        with pytest.raises(LedgerError, match=f"{numbers[0]} to {numbers[1]} .*{has}") as caught:
            move(ledger, here, numbers, (P, D), By.ANSWER)
        assert caught.value.id == "ledger.state"


def answer_in_part(ledger: Ledger, here: Lane, seq: int) -> None:
    """Half of the lines of ``seq`` have their answer."""
    batch = ledger.open_batch(here, Bounds(CHAIN, seq, 0, seq, LINES // 2), f"half-{seq}")
    ledger.settle(batch.id, answer(LINES // 2), sums(seq, seq))


def refuse_one(ledger: Ledger, here: Lane, seq: int, lines: int = LINES) -> None:
    """So many lines of ``seq`` have their answer; the first was refused."""
    batch = ledger.open_batch(here, Bounds(CHAIN, seq, 0, seq, lines), f"one-{seq}")
    refused = RecordException(seq, 0, 1_000, "refused", 422, "no such field")
    ledger.settle(batch.id, answer(lines), sums(seq, seq), [refused])


def test_what_comes_back_from_a_bundle_keeps_its_exceptions(ledger: Ledger, here: Lane) -> None:
    refuse_one(ledger, here, 3, LINES // 2)
    for way in ((P, E), (E, P)):
        move(ledger, here, (3, 3), way, By.EXPORT)
        assert [each.seq for each in ledger.exceptions(here)] == [3]


@pytest.mark.parametrize(("target", "by"), [(D, By.RECEIPT), (L, By.LOSS)])
def test_what_is_finished_another_way_forgets_which_lines_were_answered(
    ledger: Ledger, here: Lane, target: State, by: By
) -> None:
    for seq in (2, 3, 4, 5):
        answer_in_part(ledger, here, seq)
    assert [each.first for each in ledger.worked_on(here)] == [2, 3, 4, 5]
    move(ledger, here, (3, 4), (P, target), by)
    assert [each.first for each in ledger.worked_on(here)] == [2, 5]


def test_what_is_exported_keeps_which_lines_were_answered(ledger: Ledger, here: Lane) -> None:
    answer_in_part(ledger, here, 3)
    move(ledger, here, (3, 3), (P, E), By.EXPORT)
    assert [each.first for each in ledger.worked_on(here)] == [3]
    move(ledger, here, (3, 3), (E, P), By.EXPORT)
    assert [each.first for each in ledger.worked_on(here)] == [3]


def test_what_was_delivered_and_goes_out_again_keeps_its_exceptions(
    ledger: Ledger, here: Lane
) -> None:
    for seq in (2, 3, 4, 5):
        refuse_one(ledger, here, seq)
    before = ledger.exceptions(here)
    assert [each.seq for each in before] == [2, 3, 4, 5]
    move(ledger, here, (3, 4), (D, P), By.REPLAY)
    assert ledger.exceptions(here) == before
    (counts,) = ledger.counts()
    assert counts.exceptions == 4
    assert counts.records[State.PENDING] == 8 * LINES - 2


def arrival(here: Lane, seq: int, held: Totals | None = None) -> Arrival:
    before = totals(seq - 1)
    return Arrival(here, seq, f"{seq:064x}", CHAIN, f"{seq - 1:064x}", before, held or totals(1))


@pytest.fixture
def other(tmp_path: Path) -> Lane:
    return lane(tmp_path, "traces")


@pytest.mark.parametrize("seq", [1, 2, 3])
def test_a_lost_segment_that_is_found_again_has_its_own_sums_and_the_others_theirs(
    ledger: Ledger, other: Lane, seq: int
) -> None:
    assert ledger.take_in_all([arrival(other, n) for n in (1, 2, 3)]) == [Taken.NEW] * 3
    move(ledger, other, (1, 3), (P, L), By.LOSS)
    assert ledger.take_in_all([arrival(other, seq)]) == [Taken.AGAIN]
    expected = [
        Span(CHAIN, a, b, state, totals(a - 1), totals(b - a + 1))
        for a, b, state in ((1, seq - 1, L), (seq, seq, P), (seq + 1, 3, L))
        if a <= b
    ]
    assert ledger.spans(other) == expected
    assert ledger.take_in_all([arrival(other, seq)]) == [Taken.DUPLICATE]


def test_the_lost_numbers_before_one_that_is_found_keep_their_sums_wherever_they_begin(
    ledger: Ledger, other: Lane
) -> None:
    ledger.take_in_all([arrival(other, n) for n in (1, 2, 3)])
    move(ledger, other, (2, 3), (P, L), By.LOSS)
    ledger.take_in_all([arrival(other, 3)])
    assert ledger.spans(other, L) == [Span(CHAIN, 2, 2, L, totals(1), totals(1))]


def test_what_is_found_again_goes_out_whole(ledger: Ledger, other: Lane) -> None:
    ledger.take_in_all([arrival(other, n) for n in (1, 2)])
    for seq in (1, 2):
        refuse_one(ledger, other, seq, LINES // 2)
    move(ledger, other, (1, 2), (P, L), By.LOSS)
    assert [each.seq for each in ledger.exceptions(other)] == [1, 2]
    ledger.take_in_all([arrival(other, 2)])
    assert [each.seq for each in ledger.exceptions(other)] == [1]


def test_of_what_stays_lost_no_sum_goes_below_nothing(ledger: Ledger, other: Lane) -> None:
    ledger.take_in_all([arrival(other, 1), arrival(other, 2)])
    # What was charged to both was less than the first turns out to have held.
    move(ledger, other, (1, 2), (P, L), By.LOSS)
    ledger.take_in_all([arrival(other, 1, totals(5))])
    again, lost = ledger.spans(other)
    assert (again.first, again.state, again.totals) == (1, P, totals(5))
    assert (lost.first, lost.state, lost.totals) == (2, L, NOTHING)
