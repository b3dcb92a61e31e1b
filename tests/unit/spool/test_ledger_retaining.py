"""What is given up is on the books until its loss is declared; old answers end, the newest never."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from spool.lane import Lane
from spool.ledger import Attempt, Bounds, By, Ledger, LedgerError, RecordException, State
from spool.ledger_batching import AUDIT_PAGE
from spool.ledger_retaining import Undeclared
from spool.ranges import Range
from spool.totals import NOTHING
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
WHY = "switched_off"


def give_up(ledger: Ledger, here: Lane, first: int, last: int) -> bool:
    before, after = totals(first - 1), totals(last)
    what = Undeclared(Range(first, last), after - before, 10, WHY)
    return ledger.give_up(here, what, P, before=before, after=after)


def test_what_is_given_up_is_lost_and_undeclared_until_it_is_declared(
    ledger: Ledger, here: Lane
) -> None:
    assert ledger.undeclared(here) == []
    assert give_up(ledger, here, 1, 3)
    assert give_up(ledger, here, 6, 6)
    assert rows(ledger, here) == [(1, 3, L), (4, 5, P), (6, 6, L), (7, 10, P)]
    assert ledger.undeclared(here) == [
        Undeclared(Range(1, 3), totals(3), 10, WHY),
        Undeclared(Range(6, 6), totals(1), 10, WHY),
    ]
    ledger.declared(here, Range(1, 3))
    assert ledger.undeclared(here) == [Undeclared(Range(6, 6), totals(1), 10, WHY)]


def test_a_lane_that_the_ledger_does_not_know_has_nothing_to_declare(
    ledger: Ledger, tmp_path: Path
) -> None:
    other = lane(tmp_path, "traces")
    assert give_up(ledger, lane(tmp_path), 1, 1)
    assert (ledger.undeclared(other), ledger.worked_on(other)) == ([], [])


@pytest.mark.parametrize(("first", "last"), [(1, 4), (4, 4), (5, 5), (6, 10), (1, 10)])
def test_what_a_request_carries_is_not_given_up(
    ledger: Ledger, here: Lane, first: int, last: int
) -> None:
    ledger.open_batch(here, whole(4, 6), "key")
    assert ledger.worked_on(here) == [Range(4, 6)]
    assert not give_up(ledger, here, first, last)
    assert (rows(ledger, here), ledger.undeclared(here)) == ([(1, 10, P)], [])


@pytest.mark.parametrize(("first", "last"), [(1, 3), (7, 10)])
def test_what_lies_beside_a_request_is_given_up(
    ledger: Ledger, here: Lane, first: int, last: int
) -> None:
    ledger.open_batch(here, whole(4, 6), "key")
    assert give_up(ledger, here, first, last)


def test_what_was_answered_in_part_is_not_given_up(ledger: Ledger, here: Lane) -> None:
    batch = ledger.open_batch(here, Bounds(CHAIN, 4, 0, 4, LINES // 2), "key")
    ledger.settle(batch.id, answer(LINES // 2), sums(4, 4))
    assert ledger.worked_on(here) == [Range(4, 4)]
    assert not give_up(ledger, here, 4, 4)


def test_what_is_not_in_the_state_that_was_named_is_not_given_up(
    ledger: Ledger, here: Lane
) -> None:
    move(ledger, here, (1, 10), (P, D), By.ANSWER)
    with pytest.raises(LedgerError) as caught:
        give_up(ledger, here, 1, 1)
    assert caught.value.id == "ledger.state"
    assert ledger.undeclared(here) == []


def answer_at(ledger: Ledger, here: Lane, seq: int, at: int, status: int = 200) -> None:
    batch = ledger.open_batch(here, whole(seq, seq), f"key-{seq}-{at}")
    ledger.attempt(batch.id, Attempt(at - 1, TO, SENT))
    told = replace(answer(LINES, status), at=at)
    if status == 200:
        ledger.settle(batch.id, told, sums(seq, seq))
    else:
        ledger.answered(batch.id, told, doubt=False)


def test_answers_from_before_a_time_are_forgotten_and_the_newest_never(
    ledger: Ledger, here: Lane
) -> None:
    for seq, at in enumerate((100, 200, 300), start=1):
        answer_at(ledger, here, seq, at)
    assert ledger.forget_audit(100) == 0
    assert ledger.forget_audit(200) == 1
    assert [row.answer.at for row in ledger.audit()] == [200, 300]
    assert ledger.forget_audit(10_000) == 1
    assert [row.answer.at for row in ledger.audit()] == [300]


def test_a_ledger_that_sent_nothing_tells_of_no_activity(ledger: Ledger) -> None:
    found = ledger.activity(50)
    assert (found.since, found.delivered) == (50, NOTHING)
    assert (found.delivered_at, found.attempted_at) == (None, None)
    assert (found.answered, found.answered_at) == (NOTHING, None)


def test_activity_is_what_was_delivered_since_and_when_anything_moved_last(
    ledger: Ledger, here: Lane
) -> None:
    for seq, at in enumerate((100, 200, 300), start=1):
        answer_at(ledger, here, seq, at)
    answer_at(ledger, here, 4, 400, status=500)
    found = ledger.activity(200)
    assert (found.since, found.delivered) == (200, totals(2))
    assert (found.delivered_at, found.attempted_at) == (300, 400)
    assert (found.answered, found.answered_at) == (totals(1), 400)
    assert ledger.activity(301).delivered == NOTHING
    assert ledger.activity(301).delivered_at == 300


def test_an_attempt_without_an_answer_is_activity_too(ledger: Ledger, here: Lane) -> None:
    answer_at(ledger, here, 1, 100)
    batch = ledger.open_batch(here, whole(2, 2), "key")
    ledger.attempt(batch.id, Attempt(150, TO, SENT))
    assert ledger.activity(0).attempted_at == 150


def test_an_answer_that_settles_nothing_is_in_the_audit_by_its_key_and_its_doubt(
    ledger: Ledger, here: Lane
) -> None:
    batch = ledger.open_batch(here, whole(1, 2), "k", Attempt(1, TO, SENT))
    ledger.answered(batch.id, answer(20, 429), doubt=True)
    ledger.attempt(batch.id, Attempt(2, TO, SENT))
    into = [(whole(1, 1), "b", SENT), (whole(2, 2), "c", SENT)]
    ledger.split(batch.id, answer(20, 413), into)
    assert [
        (row.node, row.stream, row.bounds, row.key, row.in_doubt, row.answer)
        for row in ledger.audit()
    ] == [
        ("n1", "logs", whole(1, 2), "k", False, answer(20, 429)),
        ("n1", "logs", whole(1, 2), "k", True, answer(20, 413)),
    ]


@pytest.mark.parametrize("rows", [AUDIT_PAGE - 1, AUDIT_PAGE, 2 * AUDIT_PAGE + 1])
def test_the_audit_is_read_whole_and_in_order_however_long_it_is(
    ledger: Ledger, here: Lane, rows: int
) -> None:
    batch = ledger.open_batch(here, whole(1, 1), "k", Attempt(1, TO, SENT))
    ledger.answered(batch.id, answer(10, 503), doubt=False)
    with closing(sqlite3.connect(here.spool / "ledger.db", isolation_level=None)) as copier:
        copier.row_factory = sqlite3.Row
        known = dict(copier.execute("SELECT * FROM audit").fetchone())
        del known["id"]
        names, marks = ", ".join(known), ", ".join("?" * len(known))
        copier.execute("BEGIN")
        copier.executemany(
            f"INSERT INTO audit ({names}) VALUES ({marks})",  # noqa: S608 - the table's own names
            [tuple((known | {"at": 2_000 + n}).values()) for n in range(1, rows)],
        )
        copier.execute("COMMIT")
    assert [row.answer.at for row in ledger.audit()] == [
        1_000,
        *range(2_001, 2_000 + rows),
    ]
    assert len({row.id for row in ledger.audit(since=2_000)}) == rows - 1


def test_refused_in_a_row_is_what_is_an_exception_still_since_anything_was_taken(
    ledger: Ledger, here: Lane
) -> None:
    there, other = Lane(here.spool, "n2", "logs"), lane(here.spool, "traces")
    fill(ledger, there, 1, 10)
    fill(ledger, other, 1, 10)

    def answered(of: Lane, first: int, end: int, verdict: str, *, refused: bool = True) -> None:
        bounds = Bounds(CHAIN, 1, first, 1, end)
        batch = ledger.open_batch(of, bounds, f"{of.node} {of.stream} {first}")
        said = replace(answer(end - first, 400), verdict=verdict)
        lines = [RecordException(1, n, 1, verdict, 400, "") for n in range(first, end) if refused]
        ledger.settle(batch.id, said, sums(1, 1), lines)

    def in_row(most: int = 9) -> list[tuple[str, int, int]]:
        return ledger.refused_in_row("logs", ["bisect", "split"], "delivered", most)

    assert in_row() == []
    answered(here, 0, 1, "bisect")
    assert in_row() == [("n1", 1, 0)]
    answered(here, 1, 2, "delivered", refused=False)
    assert in_row() == []
    answered(here, 2, 3, "bisect")
    answered(there, 2, 3, "split")
    answered(other, 3, 4, "bisect")  # of another stream
    answered(here, 4, 6, "bisect")  # two at once
    answered(here, 6, 7, "odd")
    answered(there, 7, 8, "bisect", refused=False)  # no exception
    answered(here, 8, 9, "bisect")
    answered(other, 9, 10, "delivered", refused=False)
    assert in_row() == [("n1", 1, 8), ("n2", 1, 2), ("n1", 1, 2)]
    assert in_row(2) == [("n1", 1, 8), ("n2", 1, 2)]
    ledger.discard(here, 1, [8], "no use")
    assert in_row() == [("n2", 1, 2), ("n1", 1, 2)]
