"""What one request carries, from the row before its first attempt to its answer."""

from dataclasses import replace
from pathlib import Path

import pytest

from spool.clock import SYSTEM_CLOCK
from spool.lane import Lane
from spool.ledger import (
    Answer,
    Attempt,
    Batch,
    Bounds,
    By,
    Ledger,
    LedgerError,
    RecordException,
    SegmentSums,
    State,
)
from spool.ledger_audit import WITHDRAWN
from spool.ranges import Range
from spool.totals import NOTHING, Totals
from tests.support.ledgers import (
    CHAIN,
    LINES,
    SENT,
    TO,
    answer,
    fill,
    lane,
    move,
    rows,
    sums,
    totals,
    whole,
)

P, E, D, Q, L = State


def refusal(seq: int, line: int) -> RecordException:
    return RecordException(seq, line, 1_000, "refused", 422, "no such field")


def test_a_batch_outlives_its_process_with_bounds_and_key(tmp_path: Path) -> None:
    here = lane(tmp_path)
    with Ledger.open(tmp_path, clock=SYSTEM_CLOCK) as ledger:
        fill(ledger, here, 1, 10)
        made = ledger.open_batch(here, whole(1, 3), "key-1")
    with Ledger.open(tmp_path, clock=SYSTEM_CLOCK) as ledger:
        assert not ledger.fresh
        assert ledger.open_batches(here) == [made]


def test_a_batch_made_with_its_first_attempt_is_one_made_and_then_attempted(
    ledger: Ledger, here: Lane
) -> None:
    attempt = Attempt(5, TO, SENT)
    at_once = ledger.open_batch(here, whole(1, 3), "key-1", attempt)
    assert at_once.under_way
    assert ledger.open_batches(here) == [at_once]
    ledger.withdraw(at_once.id)
    made = ledger.open_batch(here, whole(1, 3), "key-1")
    assert replace(ledger.attempt(made.id, attempt), id=at_once.id) == at_once


def test_what_is_to_be_sent_is_the_first_open_batch_or_else_what_is_in_none(
    ledger: Ledger, here: Lane, tmp_path: Path
) -> None:
    assert ledger.to_send(here) == (None, ledger.unbatched(here))
    later = ledger.open_batch(here, whole(4, 5), "key-2")
    first = ledger.open_batch(here, whole(1, 3), "key-1")
    assert ledger.to_send(here) == (first, [])
    ledger.withdraw(first.id)
    assert ledger.to_send(here) == (later, [])
    assert ledger.to_send(Lane(tmp_path, "n9", "logs")) == (None, [])


def test_an_answer_delivers_the_segments_it_covers(ledger: Ledger, here: Lane) -> None:
    batch = ledger.open_batch(here, whole(1, 3), "key-1")
    ledger.attempt(batch.id, Attempt(5, TO, SENT))
    ledger.settle(batch.id, answer(30), sums(1, 3))
    assert rows(ledger, here) == [(1, 3, D), (4, 10, P)]
    assert ledger.open_batches(here) == []
    (row,) = ledger.audit()
    assert (row.bounds, row.key, row.node, row.stream) == (whole(1, 3), "key-1", "n1", "logs")
    assert (row.answer, row.in_doubt) == (answer(30), False)


def test_a_segment_is_delivered_when_all_its_lines_have_an_answer(
    ledger: Ledger, here: Lane
) -> None:
    first = ledger.open_batch(here, Bounds(CHAIN, 1, 0, 2, 4), "a")
    second = ledger.open_batch(here, Bounds(CHAIN, 2, 4, 2, 7), "b")
    third = ledger.open_batch(here, Bounds(CHAIN, 2, 7, 4, LINES), "c")
    ledger.settle(third.id, answer(23), sums(2, 4))
    assert rows(ledger, here) == [(1, 2, P), (3, 4, D), (5, 10, P)]
    ledger.settle(first.id, answer(14), sums(1, 2))
    assert rows(ledger, here) == [(1, 1, D), (2, 2, P), (3, 4, D), (5, 10, P)]
    ledger.settle(second.id, answer(3), sums(2, 2))
    assert rows(ledger, here) == [(1, 4, D), (5, 10, P)]


def test_segments_without_records_go_with_their_batch(ledger: Ledger, here: Lane) -> None:
    ledger.extend(here, CHAIN, 11, 12, before=totals(10), totals=NOTHING)
    bare = [SegmentSums(seq, totals(10), NOTHING) for seq in (11, 12)]
    batch = ledger.open_batch(here, Bounds(CHAIN, 10, 0, 12, 0), "a")
    ledger.settle(batch.id, answer(10), [*sums(10, 10), *bare])
    assert rows(ledger, here) == [(1, 9, P), (10, 12, D)]


def test_of_the_segment_before_whose_first_line_a_request_ends_nothing_is_answered(
    ledger: Ledger, here: Lane
) -> None:
    batch = ledger.open_batch(here, Bounds(CHAIN, 1, 0, 2, 0), "key")
    ledger.settle(batch.id, answer(LINES), sums(1, 2))
    assert rows(ledger, here) == [(1, 1, D), (2, 10, P)]
    assert ledger.worked_on(here) == []


def test_what_no_route_carries_is_delivered_with_a_row_in_the_audit(
    ledger: Ledger, here: Lane
) -> None:
    ledger.extend(here, CHAIN, 11, 11, before=totals(10), totals=NOTHING)
    note = answer(0, status=200)
    ledger.settle_unsent(
        here, Bounds(CHAIN, 11, 0, 11, 0), note, [SegmentSums(11, totals(10), NOTHING)]
    )
    assert rows(ledger, here) == [(1, 10, P), (11, 11, D)]
    assert [(row.key, row.bounds.first_seq) for row in ledger.audit()] == [(None, 11)]


@pytest.mark.parametrize(
    "bounds",
    [
        Bounds(CHAIN, 3, 5, 4, 2),
        Bounds(CHAIN, 3, 0, 3, 1),
        Bounds(CHAIN, 1, 0, 9, LINES),
        Bounds(CHAIN, 1, 0, 2, 1),
    ],
)
def test_no_line_is_in_two_batches(ledger: Ledger, here: Lane, bounds: Bounds) -> None:
    ledger.open_batch(here, whole(2, 3), "a")
    with pytest.raises(LedgerError) as caught:
        ledger.open_batch(here, bounds, "b")
    assert caught.value.id == "ledger.batch_overlap"


def test_answered_lines_are_not_put_into_a_batch_again(ledger: Ledger, here: Lane) -> None:
    batch = ledger.open_batch(here, Bounds(CHAIN, 1, 0, 1, 4), "a")
    ledger.settle(batch.id, answer(4), sums(1, 1))
    with pytest.raises(LedgerError) as caught:
        ledger.open_batch(here, whole(1, 1), "b")
    assert caught.value.id == "ledger.batch_overlap"
    assert ledger.unbatched(here) == [(CHAIN, (1, 4), (11, 0))]


def test_what_is_in_no_batch_is_known_line_by_line(ledger: Ledger, here: Lane) -> None:
    ledger.open_batch(here, Bounds(CHAIN, 2, 0, 4, 6), "a")
    move(ledger, here, (7, 8), (P, E), By.EXPORT)
    assert ledger.unbatched(here) == [
        (CHAIN, (1, 0), (2, 0)),
        (CHAIN, (4, 6), (7, 0)),
        (CHAIN, (9, 0), (11, 0)),
    ]


def test_what_is_in_no_batch_is_known_on_both_sides_of_what_is_not_pending(
    ledger: Ledger, here: Lane
) -> None:
    fill(ledger, here, 11, 200)
    move(ledger, here, (5, 6), (P, E), By.EXPORT)
    for first, last in [(2, 3), (8, 8), (150, 160)]:
        ledger.open_batch(here, whole(first, last), str(first))
    assert ledger.unbatched(here) == [
        (CHAIN, (1, 0), (2, 0)),
        (CHAIN, (3, LINES), (5, 0)),
        (CHAIN, (7, 0), (8, 0)),
        (CHAIN, (8, LINES), (150, 0)),
        (CHAIN, (160, LINES), (201, 0)),
    ]


def test_nothing_is_left_of_segments_that_a_batch_takes_up_to_the_next_ones_first_line(
    ledger: Ledger, here: Lane
) -> None:
    ledger.open_batch(here, Bounds(CHAIN, 1, 0, 3, 0), "a")
    move(ledger, here, (3, 10), (P, L), By.LOSS)
    assert ledger.unbatched(here) == []


@pytest.mark.parametrize("bounds", [whole(9, 11), whole(11, 11), Bounds("e" * 32, 1, 0, 1, 1)])
def test_only_pending_segments_of_one_chain_make_a_batch(
    ledger: Ledger, here: Lane, bounds: Bounds
) -> None:
    with pytest.raises(LedgerError) as caught:
        ledger.open_batch(here, bounds, "a")
    assert caught.value.id == "ledger.state"


@pytest.mark.parametrize(
    "bounds", [Bounds(CHAIN, 2, 3, 2, 3), Bounds(CHAIN, 3, 0, 2, 9), Bounds(CHAIN, 2, -1, 2, 3)]
)
def test_bounds_without_lines_are_refused(ledger: Ledger, here: Lane, bounds: Bounds) -> None:
    with pytest.raises(LedgerError) as caught:
        ledger.open_batch(here, bounds, "a")
    assert caught.value.id == "ledger.bounds"


def test_a_batch_is_split_into_exactly_its_parts(ledger: Ledger, here: Lane) -> None:
    batch = ledger.open_batch(here, whole(1, 2), "a")
    ledger.attempt(batch.id, Attempt(1, TO, SENT))
    parts = [
        Bounds(CHAIN, 1, 0, 1, LINES),
        Bounds(CHAIN, 2, 0, 2, 1),
        Bounds(CHAIN, 2, 1, 2, LINES),
    ]
    for wrong in (parts[:2], parts[1:], [parts[0], parts[2]], [whole(1, 2)]):
        with pytest.raises(LedgerError) as caught:
            ledger.split(batch.id, answer(20, 413), [*zip(wrong, "bcd", [SENT] * 3, strict=False)])
        assert caught.value.id == "ledger.bounds"
    made = ledger.split(batch.id, answer(20, 413), [*zip(parts, "bcd", [SENT] * 3, strict=True)])
    assert ledger.open_batches(here) == made
    assert [(part.bounds, part.key, part.in_doubt) for part in made] == [
        (bounds, key, False) for bounds, key in zip(parts, "bcd", strict=True)
    ]
    assert [row.answer.status for row in ledger.audit()] == [413]


def test_an_attempt_that_nobody_reported_on_is_in_doubt(tmp_path: Path, here: Lane) -> None:
    with Ledger.open(tmp_path, clock=SYSTEM_CLOCK) as ledger:
        fill(ledger, here, 1, 10)
        batch = ledger.open_batch(here, whole(1, 1), "a")
        assert not ledger.attempt(batch.id, Attempt(1, TO, SENT)).in_doubt
    with Ledger.open(tmp_path, clock=SYSTEM_CLOCK) as ledger:
        again = ledger.attempt(batch.id, Attempt(2, TO, SENT))
        assert (again.in_doubt, again.attempts, again.attempted_at) == (True, 2, 2)


def test_an_attempt_that_never_left_is_not_in_doubt(ledger: Ledger, here: Lane) -> None:
    batch = ledger.open_batch(here, whole(1, 1), "a")
    ledger.attempt(batch.id, Attempt(1, TO, SENT))
    ledger.unsent(batch.id)
    ledger.attempt(batch.id, Attempt(2, TO, SENT))
    ledger.answered(batch.id, answer(10, 429), doubt=False)
    assert not ledger.attempt(batch.id, Attempt(3, TO, SENT)).in_doubt
    ledger.doubt(batch.id)
    assert ledger.open_batches(here)[0].in_doubt
    assert [row.answer.status for row in ledger.audit()] == [429]


def test_records_in_doubt_and_partial_counts_are_summed_apart(ledger: Ledger, here: Lane) -> None:
    doubtful = ledger.open_batch(here, whole(1, 1), "a")
    ledger.attempt(doubtful.id, Attempt(1, TO, SENT))
    ledger.doubt(doubtful.id)
    ledger.settle(doubtful.id, answer(10, accepted=0), sums(1, 1))
    partial = ledger.open_batch(here, whole(2, 2), "b")
    ledger.settle(partial.id, answer(10, accepted=7), sums(2, 2))
    (counts,) = ledger.counts()
    assert (counts.in_doubt, counts.partial) == (10, 3)
    assert [(row.in_doubt, row.answer.accepted) for row in ledger.audit()] == [
        (True, 0),
        (False, 7),
    ]


def test_records_count_as_in_doubt_once_for_each_attempt_of_unknown_outcome(
    ledger: Ledger, here: Lane
) -> None:
    batch = ledger.open_batch(here, whole(1, 1), "a")
    for number in (1, 2, 3):
        ledger.attempt(batch.id, Attempt(number, TO, SENT))
        ledger.doubt(batch.id)
    ledger.settle(batch.id, answer(10, accepted=0), sums(1, 1))
    (counts,) = ledger.counts()
    assert (counts.in_doubt, counts.partial) == (30, 0)


def test_an_answer_without_a_count_lacks_nothing(ledger: Ledger, here: Lane) -> None:
    batch = ledger.open_batch(here, whole(1, 1), "a")
    ledger.settle(batch.id, answer(10), sums(1, 1))
    (counts,) = ledger.counts()
    assert (counts.in_doubt, counts.partial) == (0, 0)


def test_of_what_is_sent_again_on_purpose_the_lines_of_the_request_alone_may_be_known(
    ledger: Ledger, here: Lane
) -> None:
    batch = ledger.open_batch(here, whole(1, 2), "a")
    ledger.settle(batch.id, answer(20, accepted=20), sums(1, 2))
    move(ledger, here, (1, 1), (D, P), By.REPLAY)
    first = ledger.open_batch(here, Bounds(CHAIN, 1, 0, 1, 6), "b")
    ledger.settle(first.id, answer(6, accepted=0), sums(1, 1))
    assert ledger.counts()[0].partial == 0
    # The other four lines of it, and ten that the beacon never saw and counts too low.
    rest = ledger.open_batch(here, Bounds(CHAIN, 1, 6, 1, LINES), "c")
    ledger.settle(rest.id, answer(14, accepted=7), sums(1, 1))
    assert ledger.counts()[0].partial == 3


@pytest.mark.parametrize(("target", "by"), [(L, By.LOSS), (Q, By.RECEIPT)])
def test_an_answer_to_some_lines_delivers_nothing_of_what_was_moved_meanwhile(
    ledger: Ledger, here: Lane, target: State, by: By
) -> None:
    batch = ledger.open_batch(here, Bounds(CHAIN, 1, 0, 1, 5), "a")
    move(ledger, here, (1, 1), (P, target), by)
    ledger.settle(batch.id, answer(5), sums(1, 1))
    assert rows(ledger, here) == [(1, 1, target), (2, 10, P)]


def test_the_parts_of_a_batch_in_doubt_are_in_doubt(ledger: Ledger, here: Lane) -> None:
    batch = ledger.open_batch(here, whole(1, 2), "a")
    ledger.attempt(batch.id, Attempt(1, TO, SENT))
    ledger.doubt(batch.id)
    into = [(whole(1, 1), "b", SENT), (whole(2, 2), "c", SENT)]
    parts = ledger.split(batch.id, answer(20, 400), into)
    assert [part.in_doubt for part in parts] == [True, True]


def test_a_part_begins_anew_but_for_the_last_attempt_and_the_doubts_of_its_whole(
    ledger: Ledger, here: Lane
) -> None:
    batch = ledger.open_batch(here, whole(1, 2), "a")
    for at in (3, 4):
        ledger.attempt(batch.id, Attempt(at, TO, totals(2)))
        ledger.doubt(batch.id)
    ledger.attempt(batch.id, Attempt(5, TO, totals(2)))
    into = [(whole(1, 1), "b", Totals(1, 2)), (whole(2, 2), "c", Totals(3, 4))]
    parts = ledger.split(batch.id, answer(20, 413), into)
    assert ledger.open_batches(here) == parts
    assert parts == [
        Batch(part.id, bounds, key, 0, 5, under_way=False, doubts=2, to=TO, sent=sent)
        for part, (bounds, key, sent) in zip(parts, into, strict=True)
    ]


def test_batches_may_meet_within_a_segment_and_are_read_in_the_order_of_their_lines(
    ledger: Ledger, here: Lane
) -> None:
    ends = [((3, 4), (3, 6)), ((3, 6), (4, 2)), ((2, 0), (3, 4)), ((1, 0), (1, LINES))]
    made = [
        ledger.open_batch(here, Bounds(CHAIN, *start, *end), str(start), Attempt(1, TO, SENT))
        for start, end in ends
    ]
    assert ledger.open_batches(here) == [made[3], made[2], made[0], made[1]]
    assert ledger.unbatched(here) == [
        (CHAIN, (1, LINES), (2, 0)),
        (CHAIN, (4, 2), (11, 0)),
    ]
    other = lane(here.spool, "traces")
    fill(ledger, other, 1, 10)
    assert ledger.open_batches(other) == []
    assert ledger.open_batch(other, whole(1, 4), "o").bounds == whole(1, 4)


@pytest.mark.parametrize("answered", [Bounds(CHAIN, 5, 2, 5, 4), Bounds(CHAIN, 5, 0, 5, 1)])
def test_a_batch_may_meet_answered_lines_and_not_hold_them(
    ledger: Ledger, here: Lane, answered: Bounds
) -> None:
    batch = ledger.open_batch(here, answered, "a")
    ledger.settle(batch.id, answer(answered.end_line - answered.first_line), sums(5, 5))
    for bounds in (whole(4, 5), whole(5, 6), Bounds(CHAIN, 4, 0, 5, answered.end_line)):
        with pytest.raises(LedgerError) as caught:
            ledger.open_batch(here, bounds, "b")
        assert caught.value.id == "ledger.batch_overlap"
    ledger.open_batch(here, Bounds(CHAIN, *answered.end, 6, LINES), "c")
    if answered.first_line:
        ledger.open_batch(here, Bounds(CHAIN, 4, 0, *answered.start), "d")


def test_another_attempt_is_noted_with_all_that_it_is(ledger: Ledger, here: Lane) -> None:
    batch = ledger.open_batch(here, whole(1, 1), "a", Attempt(1, TO, SENT))
    other = Attempt(7, "https://other.test", Totals(5, 6))
    again = ledger.attempt(batch.id, other)
    assert again == replace(
        batch, attempts=2, attempted_at=7, under_way=True, doubts=1, to=other.to, sent=other.sent
    )
    ledger.unsent(batch.id)
    assert ledger.open_batches(here) == [replace(again, under_way=False)]
    ledger.doubt(batch.id)
    assert ledger.open_batches(here) == [replace(again, under_way=False, doubts=2)]


def exported(ledger: Ledger, here: Lane, first: int, last: int) -> None:
    serial = ledger.begin_bundle("a" * 32, 1, "relay-1", "/a", [(here, Range(first, last))])
    parts = [(here, Range(first, last), totals(first - 1), totals(last))]
    ledger.end_bundle(serial, "/a", 1, "0" * 64, parts)


def test_the_newest_bundle_of_a_folder_is_the_last_one_that_lay_in_it_itself(
    ledger: Ledger,
) -> None:
    for at, path, is_written in [
        (1, "/out/a.agb", True),
        (3, "/out/b.agb", True),  # while the clock was ahead
        (2, "/out", True),  # as ledgers of before have it
        (4, "/out/below/c.agb", True),
        (5, "/outer/d.agb", True),
        (6, "/e.agb", True),
        (7, "/out/f.agb", False),
        (8, "/\udcff/g.agb", True),  # of bytes that are no UTF-8
    ]:
        serial = ledger.begin_bundle(str(at) * 32, at, "relay-1", path, [])
        if is_written:
            ledger.end_bundle(serial, path, 1, "0" * 64, [])
    assert ledger.last_bundle_in("/out") == 2
    assert ledger.last_bundle_in("/out/below") == 4
    assert ledger.last_bundle_in("/\udcff") == 8
    assert ledger.last_bundle_in("/none") is None


def test_an_attempt_of_unknown_outcome_on_what_is_then_exported_stays_in_the_books(
    ledger: Ledger, here: Lane
) -> None:
    told, killed, unsent = (
        ledger.open_batch(here, whole(n, n), key) for n, key in enumerate("abc", start=1)
    )
    for batch in (told, killed, unsent):
        ledger.attempt(batch.id, Attempt(5, TO, SENT))
    ledger.doubt(told.id)
    ledger.attempt(told.id, Attempt(6, TO, SENT))
    ledger.doubt(told.id)
    ledger.unsent(unsent.id)
    ledger.open_batch(here, whole(4, 4), "d")
    exported(ledger, here, 1, 4)
    assert ledger.open_batches(here) == []
    (counts,) = ledger.counts()
    assert (counts.in_doubt, counts.records[E]) == (2 * LINES + LINES, 4 * LINES)
    assert [(row.key, row.in_doubt, row.answer) for row in ledger.audit()] == [
        ("a", True, Answer(6, TO, SENT, None, WITHDRAWN)),
        ("b", True, Answer(5, TO, SENT, None, WITHDRAWN)),
    ]


def test_the_parts_of_a_batch_in_doubt_are_in_doubt_when_they_are_exported(
    ledger: Ledger, here: Lane
) -> None:
    batch = ledger.open_batch(here, whole(1, 2), "a")
    ledger.attempt(batch.id, Attempt(1, TO, totals(2)))
    ledger.doubt(batch.id)
    into = [(whole(1, 1), "b", SENT), (whole(2, 2), "c", SENT)]
    first, _ = ledger.split(batch.id, None, into)
    ledger.withdraw(first.id)
    exported(ledger, here, 1, 2)
    assert ledger.counts()[0].in_doubt == 2 * LINES
    assert [(row.key, row.answer.sent) for row in ledger.audit()] == [("b", SENT), ("c", SENT)]


def test_a_lower_count_of_what_is_sent_again_on_purpose_is_no_problem(
    ledger: Ledger, here: Lane
) -> None:
    batch = ledger.open_batch(here, whole(1, 3), "a")
    ledger.settle(batch.id, answer(30, accepted=30), sums(1, 3))
    move(ledger, here, (2, 3), (D, P), By.REPLAY)
    # One request with what the beacon took before, and with what it never saw and counts too low.
    batch = ledger.open_batch(here, whole(2, 4), "b")
    ledger.settle(batch.id, answer(30, accepted=8), sums(2, 4))
    assert ledger.counts()[0].partial == 2
    # Once it has its answer it is as before: a second time is a second wish.
    move(ledger, here, (3, 3), (D, P), By.REPLAY)
    move(ledger, here, (3, 3), (P, L), By.LOSS)
    move(ledger, here, (3, 3), (L, P), By.REPLAY)
    batch = ledger.open_batch(here, whole(3, 3), "c")
    ledger.settle(batch.id, answer(10, accepted=9), sums(3, 3))
    assert ledger.counts()[0].partial == 3


def test_an_exception_is_counted_once_wherever_its_segment_stands(
    ledger: Ledger, here: Lane
) -> None:
    batch = ledger.open_batch(here, Bounds(CHAIN, 1, 0, 2, 5), "a")
    ledger.settle(batch.id, answer(15, 400), sums(1, 2), [refusal(1, 0), refusal(2, 4)])
    assert ledger.exceptions(here) == [refusal(1, 0), refusal(2, 4)]
    (counts,) = ledger.counts()
    assert (counts.records[D], counts.records[P], counts.records[Q]) == (9, 89, 2)
    assert (counts.exceptions, sum(counts.records.values())) == (2, 100)
    assert counts.segments[Q] == 0


def test_an_exception_outside_its_batch_changes_nothing(ledger: Ledger, here: Lane) -> None:
    batch = ledger.open_batch(here, Bounds(CHAIN, 1, 0, 1, 5), "a")
    with pytest.raises(LedgerError) as caught:
        ledger.settle(batch.id, answer(5), sums(1, 1), [refusal(1, 5)])
    assert caught.value.id == "ledger.exception"
    assert ledger.open_batches(here) == [batch]
    assert list(ledger.audit()) == []
    assert ledger.exceptions(here) == []


def test_a_replayed_segment_goes_without_the_lines_that_went_another_way(
    ledger: Ledger, here: Lane
) -> None:
    batch = ledger.open_batch(here, Bounds(CHAIN, 1, 0, 2, 5), "a")
    refused = [refusal(1, 0), refusal(1, 3), refusal(1, 4), refusal(2, 4)]
    ledger.settle(batch.id, answer(15, 400), sums(1, 2), refused)
    move(ledger, here, (1, 1), (D, P), By.REPLAY)
    assert ledger.exceptions(here) == refused
    free = [(CHAIN, (1, 1), (1, 3)), (CHAIN, (1, 5), (2, 0)), (CHAIN, (2, 5), (11, 0))]
    assert ledger.unbatched(here) == free
    for key, bounds in (("b", Bounds(CHAIN, 1, 1, 1, 3)), ("c", Bounds(CHAIN, 1, 5, 1, LINES))):
        again = ledger.open_batch(here, bounds, key)
        ledger.settle(again.id, answer(bounds.end[1] - bounds.start[1]), sums(1, 1))
    assert rows(ledger, here) == [(1, 1, D), (2, 10, P)]
    assert ledger.exceptions(here) == refused


def test_a_segment_that_comes_back_from_quarantine_starts_without_answers(
    ledger: Ledger, here: Lane
) -> None:
    early = ledger.open_batch(here, Bounds(CHAIN, 1, 0, 1, 4), "a")
    late = ledger.open_batch(here, Bounds(CHAIN, 1, 4, 1, 8), "b")
    ledger.settle(early.id, answer(4), sums(1, 1))
    move(ledger, here, (1, 1), (P, Q), By.RECEIPT)
    ledger.settle(late.id, answer(4), sums(1, 1))
    move(ledger, here, (1, 1), (Q, P), By.REPLAY)
    assert ledger.unbatched(here) == [(CHAIN, (1, 0), (11, 0))]


def test_answers_to_some_lines_end_with_the_receipt_for_all(ledger: Ledger, here: Lane) -> None:
    batch = ledger.open_batch(here, Bounds(CHAIN, 1, 0, 1, 4), "a")
    ledger.settle(batch.id, answer(4), sums(1, 1))
    move(ledger, here, (1, 1), (P, D), By.RECEIPT)
    move(ledger, here, (1, 1), (D, P), By.REPLAY)
    assert ledger.unbatched(here) == [(CHAIN, (1, 0), (11, 0))]


def test_an_answer_counts_for_what_was_exported_or_lost_meanwhile(
    ledger: Ledger, here: Lane
) -> None:
    batch = ledger.open_batch(here, whole(1, 5), "a")
    move(ledger, here, (1, 2), (P, E), By.EXPORT)
    move(ledger, here, (3, 3), (P, L), By.LOSS)
    move(ledger, here, (4, 4), (P, Q), By.RECEIPT)
    ledger.settle(batch.id, answer(50), sums(1, 5))
    assert rows(ledger, here) == [(1, 3, D), (4, 4, Q), (5, 5, D), (6, 10, P)]


def test_a_batch_that_cannot_be_repeated_is_withdrawn(ledger: Ledger, here: Lane) -> None:
    batch = ledger.open_batch(here, whole(1, 2), "a")
    move(ledger, here, (1, 1), (P, L), By.LOSS)
    ledger.withdraw(batch.id)
    assert ledger.unbatched(here) == [(CHAIN, (2, 0), (11, 0))]


def test_a_batch_is_answered_once(ledger: Ledger, here: Lane) -> None:
    batch = ledger.open_batch(here, whole(1, 1), "a")
    ledger.settle(batch.id, answer(10), sums(1, 1))
    for again in (
        lambda: ledger.settle(batch.id, answer(10), sums(1, 1)),
        lambda: ledger.attempt(batch.id, Attempt(1, TO, SENT)),
        lambda: ledger.doubt(batch.id),
        lambda: ledger.withdraw(batch.id),
    ):
        with pytest.raises(LedgerError) as caught:
            again()
        assert caught.value.id == "ledger.no_batch"


def test_sums_of_other_segments_are_refused(ledger: Ledger, here: Lane) -> None:
    batch = ledger.open_batch(here, whole(1, 3), "a")
    for wrong in (sums(1, 2), sums(2, 4), []):
        with pytest.raises(LedgerError) as caught:
            ledger.settle(batch.id, answer(30), wrong)
        assert caught.value.id == "ledger.bounds"


def test_the_audit_is_read_from_a_time_on_and_answers_are_capped(
    ledger: Ledger, here: Lane
) -> None:
    batch = ledger.open_batch(here, whole(1, 1), "a")
    for at in range(10):
        long = Answer(at, "/x", totals(1), 503, "retry", None, "é" * 1000)
        ledger.answered(batch.id, long, doubt=True)
    assert [row.answer.at for row in ledger.audit(since=7)] == [7, 8, 9]
    assert {len(row.answer.text) for row in ledger.audit()} == {500}
