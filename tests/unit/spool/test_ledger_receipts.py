"""A relay's word: what it moves, what it leaves as it is, what it asks for; and receipts' serials."""

from pathlib import Path

import pytest

from spool.clock import SYSTEM_CLOCK
from spool.lane import Lane
from spool.ledger import Attempt, By, Ledger, LedgerError, RecordException, State
from spool.ledger_audit import DISCARDED
from spool.ledger_receipts import Heard
from spool.ranges import Range
from tests.support.ledgers import (
    LINES,
    NEXT_CHAIN,
    SENT,
    TO,
    fill,
    lane,
    move,
    rows,
    totals,
    whole,
)

P, E, D, Q, L = State


@pytest.fixture
def logs(tmp_path: Path) -> Lane:
    return lane(tmp_path)


def confirm(
    ledger: Ledger, of: Lane, first: int, last: int, target: State = D, *refused: RecordException
) -> int:
    return ledger.confirm(
        of,
        Range(first, last),
        target,
        before=totals(first - 1),
        after=totals(last),
        exceptions=refused,
    )


@pytest.mark.parametrize("target", [D, Q])
@pytest.mark.parametrize("source", [P, E])
def test_a_receipt_moves_what_waits_and_says_how_many(
    ledger: Ledger, logs: Lane, source: State, target: State
) -> None:
    if source is E:
        move(ledger, logs, (1, 10), (P, E), By.EXPORT)
    assert confirm(ledger, logs, 3, 6, target) == 4
    assert rows(ledger, logs) == [(1, 2, source), (3, 6, target), (7, 10, source)]


def test_late_news_of_what_was_given_up_is_believed(ledger: Ledger, logs: Lane) -> None:
    move(ledger, logs, (1, 10), (P, L), By.LOSS)
    assert confirm(ledger, logs, 1, 10, Q) == 0
    assert confirm(ledger, logs, 1, 10) == 10
    assert rows(ledger, logs) == [(1, 10, D)]


@pytest.mark.parametrize("target", [P, E, Q, L, D])
def test_delivered_is_final(ledger: Ledger, logs: Lane, target: State) -> None:
    confirm(ledger, logs, 1, 10)
    assert confirm(ledger, logs, 1, 10, target) == 0
    assert rows(ledger, logs) == [(1, 10, D)]


@pytest.mark.parametrize(("first", "last"), [(3, 6), (11, 12)])
def test_numbers_in_two_states_or_none_are_left_as_they_are(
    ledger: Ledger, logs: Lane, first: int, last: int
) -> None:
    move(ledger, logs, (1, 4), (P, E), By.EXPORT)
    assert confirm(ledger, logs, first, last) == 0
    assert rows(ledger, logs) == [(1, 4, E), (5, 10, P)]


def test_what_a_request_carried_is_not_sent_by_it_any_more(ledger: Ledger, logs: Lane) -> None:
    one = ledger.open_batch(logs, whole(1, 2), "one", Attempt(1, TO, SENT))
    other = ledger.open_batch(logs, whole(3, 4), "other")
    confirm(ledger, logs, 2, 2)
    assert [batch.id for batch in ledger.open_batches(logs)] == [other.id]
    (row,) = ledger.audit()
    assert (row.key, row.answer.verdict) == (one.key, "withdrawn")
    (counts,) = ledger.counts()
    assert (counts.in_doubt, counts.partial) == (SENT.records, 0)


def test_a_word_that_moves_nothing_leaves_the_requests(ledger: Ledger, logs: Lane) -> None:
    ledger.open_batch(logs, whole(1, 2), "one")
    assert confirm(ledger, logs, 1, 2, L) == 0
    assert len(ledger.open_batches(logs)) == 1


def test_the_records_that_the_beacon_refused_are_exceptions_of_their_segments(
    ledger: Ledger, logs: Lane
) -> None:
    refused = [
        RecordException(2, LINES - 1, 5, "refused", 400, "no"),
        RecordException(3, 0, 6, "refused", 422, ""),
    ]
    assert confirm(ledger, logs, 2, 3, D, *refused) == 2
    assert ledger.exceptions(logs) == refused
    assert ledger.counts()[0].exceptions == 2


@pytest.mark.parametrize("seq", [1, 4])
def test_a_refused_record_of_another_segment_makes_the_whole_word_void(
    ledger: Ledger, logs: Lane, seq: int
) -> None:
    stray = RecordException(seq, LINES - 1, 5, "refused", 400, "no")
    with pytest.raises(LedgerError) as caught:
        confirm(ledger, logs, 2, 3, D, stray)
    assert caught.value.id == "ledger.exception"
    assert (rows(ledger, logs), ledger.exceptions(logs)) == ([(1, 10, P)], [])


def test_sums_that_are_not_the_ledgers_move_nothing(ledger: Ledger, logs: Lane) -> None:
    batch = ledger.open_batch(logs, whole(1, 2), "one")
    with pytest.raises(LedgerError) as caught:
        ledger.confirm(logs, Range(1, 2), D, before=totals(1), after=totals(2))
    assert caught.value.id == "ledger.totals"
    assert rows(ledger, logs) == [(1, 10, P)]
    assert [each.id for each in ledger.open_batches(logs)] == [batch.id]


def test_receipts_have_serials_of_their_own_for_each_node(ledger: Ledger) -> None:
    made = [ledger.next_receipt(node, at) for at, node in enumerate(["n1", "n1", "n2", "n1"])]
    assert made == [1, 2, 1, 3]


def test_the_newest_receipt_of_a_relay_is_kept_and_none_of_it_is_of_one_we_made(
    ledger: Ledger,
) -> None:
    ledger.next_receipt("relay", 99)
    assert ledger.newest_receipt("relay") == Heard(0, 0)
    assert ledger.accepts("relay") == frozenset()
    ledger.note_receipt("relay", 7, 1_000, [], ["a.v1", "b.v2"])
    ledger.note_receipt("other", 3, 500, [])
    assert ledger.newest_receipt("relay") == Heard(7, 1_000)
    assert ledger.accepts("relay") == {"a.v1", "b.v2"}
    assert (ledger.newest_receipt("other"), ledger.accepts("other")) == (Heard(3, 500), frozenset())
    ledger.note_receipt("relay", 8, 2_000, [], ["b.v2"])
    assert ledger.newest_receipt("relay") == Heard(8, 2_000)
    assert ledger.accepts("relay") == {"b.v2"}
    assert ledger.next_receipt("relay", 100) == 2


def test_what_a_relay_misses_is_what_its_newest_receipt_says(
    ledger: Ledger, logs: Lane, tmp_path: Path
) -> None:
    traces = lane(tmp_path, "traces")
    assert ledger.missing(traces) == []
    both = [(logs, Range(8, 9)), (logs, Range(2, 3)), (traces, Range(1, 1))]
    ledger.note_receipt("relay", 1, 1, both)
    ledger.note_receipt("other", 1, 1, [(logs, Range(2, 3)), (logs, Range(5, 5))])
    assert ledger.missing(logs) == [Range(2, 3), Range(5, 5), Range(8, 9)]
    assert ledger.missing(traces) == [Range(1, 1)]
    ledger.note_receipt("relay", 2, 2, [(logs, Range(9, 9))])
    assert ledger.missing(logs) == [Range(2, 3), Range(5, 5), Range(9, 9)]
    assert ledger.missing(traces) == []


def test_numbers_of_two_chains_are_not_one_word(tmp_path: Path) -> None:
    with Ledger.open(tmp_path, clock=SYSTEM_CLOCK) as ledger:
        logs = lane(tmp_path)
        fill(ledger, logs, 1, 2)
        ledger.extend(logs, NEXT_CHAIN, 3, 4, before=totals(2), totals=totals(2))
        assert confirm(ledger, logs, 2, 3) == 0
        assert rows(ledger, logs) == [(1, 2, P), (3, 4, P)]


def test_records_that_were_taken_since_are_refused_no_more_unless_a_person_gave_them_up(
    ledger: Ledger, logs: Lane
) -> None:
    refused = [RecordException(3, line, 1, "refused", 422, "no") for line in range(3)]
    given_up = RecordException(4, 0, 1, DISCARDED, 422, "no")
    confirm(ledger, logs, 3, 4, D, *refused, given_up)
    confirm(ledger, logs, 6, 6, Q, RecordException(6, 0, 1, "refused", 422, "no"))
    assert ledger.taken_since(logs, [(3, 1), (3, 9), (4, 0), (6, 0), (8, 0), (99, 0)]) == 1
    left = [(each.seq, each.line) for each in ledger.exceptions(logs)]
    assert left == [(3, 0), (3, 2), (4, 0), (6, 0)]
    assert [each.seq for each in ledger.exceptions(logs, Range(4, 5))] == [4]
    assert [each.seq for each in ledger.exceptions(logs, Range(4, 6))] == [4, 6]
    assert ledger.taken_since(logs, [(3, 0), (3, 2)]) == 2
    assert ledger.taken_since(logs, []) == 0
    assert rows(ledger, logs)[1:3] == [(3, 4, D), (5, 5, P)]
