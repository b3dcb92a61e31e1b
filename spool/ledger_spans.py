"""The numbers of a lane as spans.

Within a chain, numbers that are adjacent and in the same state are one row where their sums go on from
each other, so a million delivered segments are one row. Every span carries the chain's running totals
at its beginning and its own sums; where one is cut, the caller brings the totals at the cut, from the
seals.

Functions take a transaction and the lane's row id; what raises changes nothing.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from spool.lane import Lane
from spool.ledger_db import Transaction
from spool.states import LedgerError, State
from spool.totals import NOTHING, Totals

_SELECT = (
    "SELECT chain, first, last, state, before_records, before_raw_size, records, raw_size"
    " FROM span WHERE lane = ? "
)


@dataclass(frozen=True, slots=True)
class Span:
    """Adjacent numbers of one chain in one state.

    ``before`` are the chain's totals before ``first``; ``totals`` what first to last hold.
    """

    chain: str
    first: int
    last: int
    state: State
    before: Totals
    totals: Totals

    @property
    def after(self) -> Totals:
        """The chain's totals after ``last``."""
        return self.before + self.totals

    def joins(self, later: "Span") -> bool:
        """Whether ``later`` follows at once and both are one row.

        Of another node a segment may come whose sums do not go on from its neighbour's: two machines
        made that one, and the other of both is here. One row would fit the seals of neither.
        """
        ended = (self.chain, self.state, self.last + 1, self.after)
        return ended == (later.chain, later.state, later.first, later.before)

    def with_later(self, later: "Span") -> "Span":
        """Both as one."""
        return replace(self, last=later.last, totals=self.totals + later.totals)


def lane_id(tx: Transaction, lane: Lane) -> int | None:
    """The row of a lane; none before the lane's first segment."""
    query = "SELECT id FROM lane WHERE node = ? AND stream = ? AND fork = ?"
    row = tx.execute(query, (lane.node, lane.stream, lane.fork)).fetchone()
    return None if row is None else int(row[0])


def need_lane(tx: Transaction, lane: Lane) -> int:
    """The row of a lane, made when there is none."""
    tx.execute(
        "INSERT INTO lane (node, stream, fork) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (lane.node, lane.stream, lane.fork),
    )
    found = lane_id(tx, lane)
    assert found is not None  # noqa: S101 - it was just made
    return found


def _span(row: tuple[Any, ...]) -> Span:
    chain, first, last, state, *sums = row
    return Span(chain, first, last, State(state), Totals(*sums[:2]), Totals(*sums[2:]))


def spans(tx: Transaction, lane: int, first: int, last: int) -> list[Span]:
    """The spans that hold any of the numbers, ascending; the outer ones may reach beyond."""
    at = span_at(tx, lane, first)
    lowest = first if at is None else at.first
    rows = tx.execute(_SELECT + "AND first BETWEEN ? AND ? ORDER BY first", (lane, lowest, last))
    return [_span(row) for row in rows]


def span_at(tx: Transaction, lane: int, seq: int) -> Span | None:
    """The span that holds ``seq``."""
    query = _SELECT + "AND first <= ? ORDER BY first DESC LIMIT 1"
    row = tx.execute(query, (lane, seq)).fetchone()
    if row is None or row[2] < seq:
        return None
    return _span(row)


def last_span(tx: Transaction, lane: int) -> Span | None:
    """The span with the highest number."""
    row = tx.execute(_SELECT + "ORDER BY first DESC LIMIT 1", (lane,)).fetchone()
    return None if row is None else _span(row)


def insert(tx: Transaction, lane: int, span: Span) -> None:
    """Add a row as it is."""
    tx.execute(
        "INSERT INTO span (lane, chain, first, last, state, before_records, before_raw_size,"
        " records, raw_size) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            lane, span.chain, span.first, span.last, span.state,
            span.before.records, span.before.raw_size, span.totals.records, span.totals.raw_size,
        ),
    )  # fmt: skip


def delete(tx: Transaction, lane: int, span: Span) -> None:
    """Take a row away."""
    tx.execute("DELETE FROM span WHERE lane = ? AND first = ?", (lane, span.first))


def put(tx: Transaction, lane: int, span: Span) -> None:
    """Insert ``span``, as one row with its neighbours where they join."""
    left = span_at(tx, lane, span.first - 1)
    if left is not None and left.joins(span):
        delete(tx, lane, left)
        span = left.with_later(span)
    right = span_at(tx, lane, span.last + 1)
    if right is not None and span.joins(right):
        delete(tx, lane, right)
        span = span.with_later(right)
    insert(tx, lane, span)


def _in_order(spans: Iterable[Span], last: Span | None) -> Iterator[Span]:
    """``spans``, joined; raises when one does not follow what is before it."""
    held: Span | None = None
    for span in spans:
        _check_follows(held or last, span)
        if held is not None and held.joins(span):
            held = held.with_later(span)
            continue
        if held is not None:
            yield held
        held = span
    if held is not None:
        yield held


def _check_follows(last: Span | None, span: Span) -> None:
    floor = 0 if last is None else last.last
    if not floor < span.first <= span.last:
        raise LedgerError(
            "ledger.overlap",
            f"Segments {span.first} to {span.last} do not lie above {floor}, the last one known.",
            "Look again from the last known number; if it repeats, run: bridge doctor",
        )
    if last is None or last.chain != span.chain:
        return
    step = span.before - last.after
    adjacent = last.last + 1 == span.first
    if min(step.records, step.raw_size) < 0 or (adjacent and step != NOTHING):
        raise contradiction(span.first, span.last)


def contradiction(first: int, last: int) -> LedgerError:
    """The error for totals that do not fit."""
    return LedgerError(
        "ledger.totals",
        f"The running totals of segments {first} to {last} do not fit those in the ledger.",
        "Run bridge verify on the spool: a seal and the ledger disagree.",
    )


def append(tx: Transaction, lane: int, new: Iterable[Span]) -> None:
    """Add spans above the last known number.

    Raises :class:`LedgerError` ``ledger.overlap`` or ``ledger.totals``.
    """
    for span in _in_order(new, last_span(tx, lane)):
        put(tx, lane, span)


def is_known(tx: Transaction, lane: int, span: Span) -> bool:
    """Whether all of these numbers are in the ledger already, in this chain, in any state."""
    expected = span.first
    for found in spans(tx, lane, span.first, span.last):
        if found.chain != span.chain or found.first > expected:
            return False
        expected = found.last + 1
    return expected > span.last >= span.first
