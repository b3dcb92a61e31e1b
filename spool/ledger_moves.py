"""Moving segments from one state to another: compare, cut the span, change, join again."""

from dataclasses import dataclass, replace

from spool.ledger_again import AGAIN
from spool.ledger_db import Transaction
from spool.ledger_seen import LOST_SEEN
from spool.ledger_spans import Span, contradiction, delete, insert, put, span_at, spans
from spool.ranges import Range
from spool.states import By, LedgerError, State, check_move
from spool.totals import NOTHING, Totals

_FINISHED = frozenset({State.DELIVERED, State.QUARANTINED, State.LOST})


@dataclass(frozen=True, slots=True)
class Stretch:
    """Adjacent numbers of one chain with the chain's totals before and after them."""

    first: int
    last: int
    before: Totals
    after: Totals


def move(
    tx: Transaction,
    lane: int,
    what: Stretch,
    way: tuple[State, State],
    by: By,
    *,
    whole: bool = True,
) -> None:
    """Move numbers, all of which must be in the first state of ``way``, to its second.

    What was delivered and becomes pending goes a second time, without the lines that went another way:
    those keep their answers. Not ``whole``: only lines of it that were refused go.

    Raises :class:`LedgerError` ``ledger.illegal_move``, ``ledger.state`` (some are not in that
    state, or of several chains) or ``ledger.totals``.
    """
    source, target = way
    check_move(source, target, by)
    span = span_at(tx, lane, what.first)
    if span is None or span.state != source or not what.first <= what.last <= span.last:
        found = ", ".join(
            f"{s.first}-{s.last} {s.state}" for s in spans(tx, lane, what.first, what.last)[:5]
        )
        raise LedgerError(
            "ledger.state",
            f"Segments {what.first} to {what.last} are not all {source} and of one chain "
            f"(the ledger has: {found or 'none of them'}).",
            "Another process was faster; look at bridge status, and repeat if still needed.",
        )
    before, middle, after = _cut(span, what)
    delete(tx, lane, span)
    for rest in (before, after):
        if rest is not None:
            insert(tx, lane, rest)
    put(tx, lane, replace(middle, state=target))
    _forget_lines(tx, lane, what, way)
    if target in _FINISHED:
        AGAIN.forget(tx, lane, Range(what.first, what.last))
    elif source is State.DELIVERED and whole:
        AGAIN.note(tx, lane, Range(what.first, what.last))
    if source is State.LOST:
        LOST_SEEN.forget(tx, lane, Range(what.first, what.last))


def found_again(tx: Transaction, lane: int, span: Span, what: Stretch) -> None:
    """Make the one number ``what``, lost in ``span``, pending again, with the sums of its own seal.

    What was charged to it and to lost numbers beside it was the best that could be told without their
    seals; of those that stay lost no sum goes below nothing.
    """
    check_move(State.LOST, State.PENDING, By.REPLAY)
    seq = what.first
    delete(tx, lane, span)
    if seq > span.first:
        insert(tx, lane, replace(span, last=seq - 1, totals=_part(what.before - span.before)))
    if seq < span.last:
        rest = _part(span.after - what.after)
        insert(tx, lane, replace(span, first=seq + 1, before=what.after, totals=rest))
    put(tx, lane, Span(span.chain, seq, seq, State.PENDING, what.before, what.after - what.before))
    LOST_SEEN.forget(tx, lane, Range(seq, seq))
    _forget_lines(tx, lane, what, (State.LOST, State.PENDING))


def _part(totals: Totals) -> Totals:
    return Totals(max(totals.records, 0), max(totals.raw_size, 0))


def _cut(span: Span, what: Stretch) -> tuple[Span | None, Span, Span | None]:
    held = what.after - what.before
    left, right = what.before - span.before, span.after - what.after
    if min(*_both(held), *_both(left), *_both(right)) < 0:
        raise contradiction(what.first, what.last)
    before = replace(span, last=what.first - 1, totals=left) if what.first > span.first else None
    after = (
        replace(span, first=what.last + 1, before=what.after, totals=right)
        if what.last < span.last
        else None
    )
    if (before is None and left != NOTHING) or (after is None and right != NOTHING):
        raise contradiction(what.first, what.last)
    middle = replace(span, first=what.first, last=what.last, before=what.before, totals=held)
    return before, middle, after


def _both(totals: Totals) -> tuple[int, int]:
    return totals.records, totals.raw_size


def _forget_lines(tx: Transaction, lane: int, what: Stretch, way: tuple[State, State]) -> None:
    """Drop what was known of single lines and no longer matters."""
    source, target = way
    numbers = (lane, what.first, what.last)
    if target in _FINISHED:
        tx.execute("DELETE FROM answered WHERE lane = ? AND seq BETWEEN ? AND ?", numbers)
    if target is State.PENDING and source is State.DELIVERED:
        # Only what was delivered goes again; a line that was refused, or given up, has its answer.
        tx.execute(
            "INSERT OR IGNORE INTO answered (lane, seq, first_line, end_line)"
            " SELECT lane, seq, line, line + 1 FROM exception WHERE lane = ?"
            " AND seq BETWEEN ? AND ?",
            numbers,
        )
    elif target is State.PENDING and source in _FINISHED:
        # All lines go out again, and each gets a new answer; the audit keeps the old ones.
        tx.execute("DELETE FROM exception WHERE lane = ? AND seq BETWEEN ? AND ?", numbers)
