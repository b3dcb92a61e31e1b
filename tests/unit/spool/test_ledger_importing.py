"""Segments of other nodes: what each is, whom it follows, and what its node says of the rest."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from spool.clock import SYSTEM_CLOCK
from spool.errors import SpoolError
from spool.lane import Lane
from spool.ledger import Arrival, By, Elsewhere, Ledger, SegmentSums, Span, State, Taken
from spool.ledger_given_up import GivenUp
from spool.ranges import Range
from spool.statement import Statement
from spool.totals import NOTHING
from tests.support.ledgers import (
    CHAIN,
    LINES,
    NEXT_CHAIN,
    answer,
    lane,
    move,
    rows,
    sums,
    totals,
    whole,
)

P, L = State.PENDING, State.LOST
KEY, OTHER_KEY = "a" * 64, "b" * 64


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path, clock=SYSTEM_CLOCK) as opened:
        yield opened


@pytest.fixture
def logs(tmp_path: Path) -> Lane:
    return lane(tmp_path)


@pytest.fixture
def traces(tmp_path: Path) -> Lane:
    return lane(tmp_path, "traces")


def digest(seq: int, mark: str = "0") -> str:
    return f"{seq:063x}{mark}"


def arrival(into: Lane, seq: int, mark: str = "0", prev: str = "0") -> Arrival:
    """``mark`` tells two segments of one number apart, ``prev`` is the mark of the one before it."""
    named = digest(seq - 1, prev)
    return Arrival(into, seq, digest(seq, mark), CHAIN, named, totals(seq - 1), totals(1))


def take(ledger: Ledger, *arrivals: Arrival) -> list[Taken]:
    return ledger.take_in_all(arrivals)


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 3, 1), (1, 3, 2)])
def test_segments_come_in_any_order_and_are_one_row_that_follows(
    ledger: Ledger, logs: Lane, order: tuple[int, ...]
) -> None:
    assert take(ledger, *(arrival(logs, seq) for seq in order)) == [Taken.NEW] * 3
    assert ledger.spans(logs) == [Span(CHAIN, 1, 3, P, NOTHING, totals(3))]
    assert ledger.unlinked(logs) == []
    assert [ledger.imported_digest(logs, seq) for seq in (1, 2, 3)] == [
        digest(seq) for seq in (1, 2, 3)
    ]


def test_a_digest_that_is_known_is_a_duplicate_and_changes_nothing(
    ledger: Ledger, logs: Lane, traces: Lane
) -> None:
    assert ledger.taken(logs, 1, digest(1)) is Taken.NEW
    take(ledger, arrival(logs, 1))
    assert ledger.taken(logs, 1, digest(1)) is Taken.DUPLICATE
    assert ledger.taken(logs, 2, digest(1)) is Taken.NEW
    assert ledger.taken(traces, 1, digest(1)) is Taken.NEW
    declares = replace(arrival(logs, 1), lost=(Range(0, 0),), key=KEY)
    assert take(ledger, declares) == [Taken.DUPLICATE]
    assert ledger.given_up(logs) == []
    assert rows(ledger, logs) == [(1, 1, P)]
    assert ledger.imported_digest(logs, 2) is None


def test_a_second_digest_of_a_number_is_a_fork_in_a_lane_of_its_own(
    ledger: Ledger, logs: Lane, tmp_path: Path
) -> None:
    take(ledger, arrival(logs, 1), arrival(logs, 2))
    assert take(ledger, arrival(logs, 2, "f"), arrival(logs, 1, "e")) == [Taken.FORK] * 2
    assert take(ledger, arrival(logs, 2, "f")) == [Taken.DUPLICATE]
    first, second = logs.fork_of(1, digest(1, "e")), logs.fork_of(2, digest(2, "f"))
    assert ledger.fork_lanes(tmp_path) == [first, second]
    assert ledger.spans(second) == [Span(CHAIN, 2, 2, P, totals(1), totals(1))]
    assert rows(ledger, logs) == [(1, 2, P)]
    assert ledger.forks(logs) == [(1, digest(1, "e")), (2, digest(2, "f"))]
    assert ledger.imported_digest(logs, 2) == digest(2)
    assert ledger.imported_digests(logs, Range(2, 3)) == {2: {digest(2), digest(2, "f")}}
    assert ledger.imported_after(logs, 1, digest(1)) == [(digest(2), False), (digest(2, "f"), True)]
    assert ledger.imported_after(logs, 1, digest(1, "e")) == []
    assert ledger.unlinked(logs) == []


def test_a_fork_stays_what_it_is_where_the_number_itself_was_lost(
    ledger: Ledger, logs: Lane
) -> None:
    take(ledger, arrival(logs, 1), arrival(logs, 1, "f"))
    move(ledger, logs, (1, 1), (P, L), By.LOSS)
    assert ledger.taken(logs, 1, digest(1, "f")) is Taken.DUPLICATE
    assert ledger.taken(logs, 1, digest(1)) is Taken.AGAIN


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_a_segment_that_names_another_before_it_than_came_is_known_by_its_number(
    ledger: Ledger, logs: Lane, order: tuple[int, int]
) -> None:
    two = {1: arrival(logs, 1), 2: arrival(logs, 2, prev="x")}
    take(ledger, *(two[seq] for seq in order))
    assert ledger.unlinked(logs) == [2]
    assert rows(ledger, logs) == [(1, 2, P)]


def test_what_comes_between_two_is_judged_on_both_sides(ledger: Ledger, logs: Lane) -> None:
    take(ledger, arrival(logs, 1), arrival(logs, 3, prev="x"), arrival(logs, 2, prev="y"))
    assert ledger.unlinked(logs) == [2, 3]


def test_a_segment_of_another_chain_follows_no_other(ledger: Ledger, logs: Lane) -> None:
    later = Arrival(logs, 3, digest(3), NEXT_CHAIN, digest(2, "x"), NOTHING, totals(1))
    take(ledger, arrival(logs, 2), later)
    assert ledger.unlinked(logs) == []
    earlier = Arrival(logs, 1, digest(1, "x"), NEXT_CHAIN, digest(0), NOTHING, totals(1))
    take(ledger, earlier)
    assert ledger.unlinked(logs) == []


def test_a_segment_of_which_an_earlier_ledger_noted_no_predecessor_is_not_called_unlinked(
    ledger: Ledger, logs: Lane
) -> None:
    take(ledger, replace(arrival(logs, 3), prev=""), arrival(logs, 2))
    assert ledger.unlinked(logs) == []


def test_what_does_not_go_on_from_the_sums_before_it_is_a_row_of_its_own_and_delivered(
    ledger: Ledger, logs: Lane
) -> None:
    # Two machines made a 2 of different size; the one came here, and the 3 of the other.
    other = replace(arrival(logs, 3, prev="x"), before=totals(5))
    take(ledger, arrival(logs, 1), other, arrival(logs, 2))
    assert ledger.unlinked(logs) == [3]
    assert rows(ledger, logs) == [(1, 2, P), (3, 3, P)]
    for bounds, segments in (
        (whole(1, 2), sums(1, 2)),
        (whole(3, 3), [SegmentSums(3, totals(5), totals(1))]),
    ):
        batch = ledger.open_batch(logs, bounds, f"key-{bounds.first_seq}")
        ledger.settle(batch.id, answer(LINES * len(segments)), segments)
    assert {span.state for span in ledger.spans(logs)} == {State.DELIVERED}
    assert ledger.counts()[0].records[State.DELIVERED] == 3 * LINES


def test_all_are_entered_or_none(ledger: Ledger, logs: Lane) -> None:
    with pytest.raises(SpoolError):
        take(ledger, arrival(logs, 1), replace(arrival(logs, 2), before=totals(-1)))
    assert ledger.spans(logs) == []
    assert ledger.taken(logs, 1, digest(1)) is Taken.NEW


def test_the_lanes_with_something_pending_are_told_and_forks_among_them(
    ledger: Ledger, logs: Lane, traces: Lane, tmp_path: Path
) -> None:
    take(ledger, arrival(logs, 1), arrival(traces, 1), arrival(traces, 1, "f"))
    move(ledger, traces, (1, 1), (P, L), By.LOSS)
    assert set(ledger.pending_lanes(tmp_path)) == {logs, traces.fork_of(1, digest(1, "f"))}


def test_what_a_loss_record_declares_is_noted_with_its_number_and_key(
    ledger: Ledger, logs: Lane, traces: Lane
) -> None:
    loss = replace(arrival(logs, 9), lost=(Range(4, 5), Range(1, 2), Range(8, 9)), key=KEY)
    assert take(ledger, loss) == [Taken.NEW]
    # Of itself, and of what comes after it, a record says nothing that counts.
    told = [GivenUp(9, Range(1, 2), KEY), GivenUp(9, Range(4, 5), KEY)]
    assert ledger.given_up(logs) == told
    assert ledger.given_up(traces) == []
    fork = replace(arrival(logs, 9, "f"), lost=(Range(6, 7),), key=KEY)
    assert take(ledger, fork) == [Taken.FORK]
    assert ledger.given_up(logs) == told


def test_a_loss_record_that_was_lost_here_is_heard_when_it_comes_again(
    ledger: Ledger, logs: Lane
) -> None:
    take(ledger, arrival(logs, 2))
    move(ledger, logs, (2, 2), (P, L), By.LOSS)
    again = replace(arrival(logs, 2), lost=(Range(1, 1),), key=KEY)
    assert take(ledger, again) == [Taken.AGAIN]
    assert ledger.given_up(logs) == [GivenUp(2, Range(1, 1), KEY)]
    assert rows(ledger, logs) == [(2, 2, P)]


def test_what_was_seen_of_a_loss_is_new_when_it_came_again_and_is_lost_once_more(
    ledger: Ledger, logs: Lane
) -> None:
    take(ledger, *(arrival(logs, seq) for seq in (1, 2, 3)))
    move(ledger, logs, (1, 3), (P, L), By.LOSS)
    ledger.see({logs: None}, L, 1, "seen")
    assert take(ledger, arrival(logs, 2)) == [Taken.AGAIN]
    assert [each.lost_seen for each in ledger.counts()] == [2]
    move(ledger, logs, (2, 2), (P, L), By.LOSS)
    assert [each.numbers for each in ledger.see({logs: None}, L, 2, "again")] == ["2"]


def test_an_arrival_is_what_its_seal_says(logs: Lane) -> None:
    said = Statement(
        node="n1", stream="logs", chain=CHAIN, seq=7, prev=digest(6), records=10, size=5,
        raw_size=1000, sha256=digest(0), before=totals(6), first_at=None, last_at=None,
        reason="size", policy=digest(0),
    )  # fmt: skip
    assert Arrival.of(logs, said, digest(7), KEY) == replace(arrival(logs, 7), key=KEY)


def told(first: int, last: int, mark: str = "0", chain: str = CHAIN) -> Elsewhere:
    return Elsewhere(chain, first, last, digest(last, mark))


def test_what_a_node_sent_another_way_is_one_range_and_counts_as_its_key_does(
    ledger: Ledger, logs: Lane, traces: Lane
) -> None:
    assert ledger.elsewhere(logs) == []
    ledger.note_elsewhere(logs, [told(1, 3), told(7, 9)], KEY)
    ledger.note_elsewhere(logs, [told(4, 5)], OTHER_KEY)
    assert ledger.elsewhere(logs) == [Range(1, 5), Range(7, 9)]
    assert ledger.elsewhere(logs, {OTHER_KEY}) == [Range(1, 3), Range(7, 9)]
    assert ledger.elsewhere(logs, {KEY}) == [Range(4, 5)]
    assert ledger.elsewhere(logs, {KEY, OTHER_KEY}) == []
    assert ledger.elsewhere(traces) == []


@pytest.mark.parametrize(("mark", "unlinked"), [("0", []), ("x", [4])])
@pytest.mark.parametrize("first", ["word", "segment"])
def test_what_follows_what_went_another_way_has_to_name_the_last_of_it(
    ledger: Ledger, logs: Lane, first: str, mark: str, unlinked: list[int]
) -> None:
    if first == "segment":
        take(ledger, arrival(logs, 4), arrival(logs, 5))
    ledger.note_elsewhere(logs, [told(1, 3, mark)], KEY)
    if first == "word":
        take(ledger, arrival(logs, 4), arrival(logs, 5))
    assert ledger.unlinked(logs) == unlinked


def test_where_two_words_differ_a_segment_may_follow_either(ledger: Ledger, logs: Lane) -> None:
    ledger.note_elsewhere(logs, [told(1, 3)], KEY)
    ledger.note_elsewhere(logs, [told(1, 3, "x")], OTHER_KEY)
    take(ledger, arrival(logs, 4))
    assert ledger.unlinked(logs) == []


@pytest.mark.parametrize(
    ("held", "word"),
    [
        (4, told(1, 2, "x")),
        (4, told(1, 4, "x")),
        (4, told(1, 3, "x", NEXT_CHAIN)),
        (3, told(1, 3, "x")),
    ],
)
def test_a_word_that_does_not_end_before_a_segment_judges_it_not(
    ledger: Ledger, logs: Lane, held: int, word: Elsewhere
) -> None:
    # 3 and 4 are adjacent; only 4 alone would follow what went another way, as far as 3.
    take(ledger, *(arrival(logs, seq) for seq in (3, 4) if seq >= held))
    ledger.note_elsewhere(logs, [word], KEY)
    assert ledger.unlinked(logs) == []


def test_a_word_on_one_lane_judges_no_segment_of_another(
    ledger: Ledger, logs: Lane, traces: Lane
) -> None:
    take(ledger, arrival(traces, 4), arrival(logs, 5), arrival(traces, 5))
    ledger.note_elsewhere(logs, [told(1, 3, "x")], KEY)
    assert ledger.unlinked(traces) == []


def test_what_is_told_again_with_more_is_kept_once_for_each_key(ledger: Ledger, logs: Lane) -> None:
    ledger.note_elsewhere(logs, [told(2, 3)], OTHER_KEY)
    for run in (told(2, 3), told(2, 5), told(1, 7)):
        ledger.note_elsewhere(logs, [run], KEY)
    assert ledger.elsewhere(logs) == [Range(1, 7)]
    assert ledger.elsewhere(logs, {KEY}) == [Range(2, 3)]
    # What was told first is known no more: a segment need not name its end.
    take(ledger, arrival(logs, 6, prev="x"), arrival(logs, 4, prev="x"))
    assert ledger.unlinked(logs) == [4]


def test_what_would_not_follow_is_told_before_anything_is_entered(
    ledger: Ledger, logs: Lane
) -> None:
    take(ledger, arrival(logs, 1))
    coming = [arrival(logs, 2, prev="x"), arrival(logs, 5)]
    words = [(logs, told(3, 4, "x"))]
    assert ledger.unlinked_after([logs], [], KEY, []) == {logs: []}
    assert ledger.unlinked_after([logs], [], KEY, coming) == {logs: [2]}
    assert ledger.unlinked_after([logs], words, KEY, coming) == {logs: [2, 5]}
    assert ledger.unlinked_after([], words, KEY, coming) == {}
    assert (ledger.unlinked(logs), ledger.elsewhere(logs)) == ([], [])
    assert [span.last for span in ledger.spans(logs)] == [1]
    ledger.note_elsewhere(logs, [run for _, run in words], KEY)
    take(ledger, *coming)
    assert ledger.unlinked(logs) == [2, 5]
