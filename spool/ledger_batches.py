"""Batches: what one request carries, durable before its first attempt, the same at every attempt.

A batch is a row until it has its final answer. Of an answered one there remain, for segments that
it covers in part, the lines that have their answer; no line is in two batches.

An attempt whose outcome nobody came to know puts the batch in doubt: the beacon may have its
records already. That holds for an attempt that ended with the process, too.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from spool.ledger_bounds import Bounds, Position, check, tile
from spool.ledger_db import Transaction
from spool.ledger_spans import Span, span_at, spans
from spool.states import LedgerError, State
from spool.totals import NOTHING, Totals


@dataclass(frozen=True, slots=True)
class Attempt:
    """When (ms since 1970 UTC) a request begins, the URL that it goes to, what its batch carries."""

    at: int
    to: str
    sent: Totals


@dataclass(frozen=True, slots=True)
class Batch:
    """A request without a final answer.

    ``attempted_at`` is the time of the last attempt, ms since 1970 UTC, ``to`` the URL that it went to,
    ``sent`` what the batch carries, known from its first attempt on. ``under_way``: nobody has said yet
    how that attempt went. ``doubts``: of how many attempts the outcome never was known.
    """

    id: int
    bounds: Bounds
    key: str
    attempts: int = 0
    attempted_at: int | None = None
    under_way: bool = False
    doubts: int = 0
    to: str = ""
    sent: Totals = NOTHING

    @property
    def in_doubt(self) -> bool:
        """Whether the beacon may have its records already."""
        return self.doubts > 0


_SELECT = (
    "SELECT id, chain, first_seq, first_line, last_seq, end_line, key, attempts, attempted_at,"
    " under_way, in_doubt, sent_to, records, raw_size, lane FROM batch "
)


def _batch(row: tuple[Any, ...]) -> Batch:
    batch, *bounds = row[:6]
    key, attempts, attempted_at, under_way, doubts, to, records, raw_size = row[6:14]
    sent = Totals(records, raw_size)
    known = (key, attempts, attempted_at, bool(under_way), doubts, to, sent)
    return Batch(batch, Bounds(*bounds), *known)


def open_batches(tx: Transaction, lane: int) -> list[Batch]:
    """The batches of a lane, in the order of their lines."""
    query = _SELECT + "WHERE lane = ? ORDER BY first_seq, first_line"
    return [_batch(row) for row in tx.execute(query, (lane,))]


def need_batch(tx: Transaction, batch: int) -> tuple[int, Batch]:
    """The lane's row and the batch; else :class:`LedgerError` ``ledger.no_batch``."""
    row = tx.execute(_SELECT + "WHERE id = ?", (batch,)).fetchone()
    if row is None:
        raise LedgerError(
            "ledger.no_batch",
            f"Batch {batch} is not open: it was answered, split or withdrawn.",
            "Another process was faster; look at bridge status.",
        )
    return row[-1], _batch(row)


def add(
    tx: Transaction, lane: int, bounds: Bounds, key: str, attempt: Attempt | None = None
) -> Batch:
    """Make a batch of pending lines that are in no other, with an ``attempt`` that begins or without.

    Raises :class:`LedgerError` ``ledger.bounds``, ``ledger.state`` or ``ledger.batch_overlap``.
    """
    check(bounds)
    span = span_at(tx, lane, bounds.first_seq)
    if (
        span is None
        or (span.chain, span.state) != (bounds.chain, State.PENDING)
        or span.last < bounds.last_seq
    ):
        raise LedgerError(
            "ledger.state",
            f"Segments {bounds.first_seq} to {bounds.last_seq} are not all pending in one chain.",
            "Another process was faster; look at bridge status.",
        )
    for start, end in _taken(tx, lane, bounds.first_seq, bounds.last_seq):
        if start < bounds.end and bounds.start < end:
            raise LedgerError(
                "ledger.batch_overlap",
                f"Lines from {bounds.start} on, before {bounds.end}, are in a batch already.",
                "This is a fault of the program; report it with this message.",
            )
    if attempt is None:
        return _insert(tx, lane, Batch(0, bounds, key))
    return _insert(
        tx,
        lane,
        Batch(0, bounds, key, 1, attempt.at, under_way=True, to=attempt.to, sent=attempt.sent),
    )


def _insert(tx: Transaction, lane: int, batch: Batch) -> Batch:
    made = tx.execute(
        "INSERT INTO batch (lane, chain, first_seq, first_line, last_seq, end_line, key, attempts,"
        " attempted_at, under_way, in_doubt, sent_to, records, raw_size)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            lane, *batch.bounds.columns, batch.key, batch.attempts, batch.attempted_at,
            batch.under_way, batch.doubts, batch.to, batch.sent.records, batch.sent.raw_size,
        ),
    )  # fmt: skip
    assert made.lastrowid is not None  # noqa: S101 - a row was just made
    return replace(batch, id=made.lastrowid)


def _taken(
    tx: Transaction, lane: int, first: int, last: int
) -> Iterator[tuple[Position, Position]]:
    """Starts and ends of lines of these segments that are in a batch or have their answer."""
    for batch in open_batches(tx, lane):
        if batch.bounds.first_seq <= last and batch.bounds.last_seq >= first:
            yield batch.bounds.start, batch.bounds.end
    for seq, start, end in tx.execute(
        "SELECT seq, first_line, end_line FROM answered WHERE lane = ? AND seq BETWEEN ? AND ?",
        (lane, first, last),
    ):
        yield (seq, start), (seq, end)


def unbatched(tx: Transaction, lane: int) -> list[tuple[str, Position, Position]]:
    """The stretches of pending lines in no batch: chain, start, end; ascending.

    An end (n, 0) means all of segment n-1. The ledger does not know how many lines a segment has:
    a stretch that starts within one may turn out to hold no line of it.
    """
    last = 2**62
    free: list[tuple[str, Position, Position]] = []
    taken = sorted(_taken(tx, lane, 0, last))
    for span in _pending(spans(tx, lane, 0, last)):
        start, end = (span.first, 0), (span.last + 1, 0)
        for lower, upper in taken:
            if upper <= start or lower >= end:
                continue
            if start < lower:
                free.append((span.chain, start, lower))
            start = max(start, upper)
        if start < end:
            free.append((span.chain, start, end))
    return free


def _pending(found: Iterable[Span]) -> Iterator[Span]:
    return (span for span in found if span.state is State.PENDING)


def begin_attempt(tx: Transaction, batch: int, attempt: Attempt) -> Batch:
    """Count an attempt, before its first byte is sent; the batch as it is then.

    If nobody said how the attempt before went, the batch is in doubt from now on.
    """
    need_batch(tx, batch)
    tx.execute(
        "UPDATE batch SET attempts = attempts + 1, attempted_at = ?, sent_to = ?, records = ?,"
        " raw_size = ?, in_doubt = in_doubt + under_way, under_way = 1 WHERE id = ?",
        (attempt.at, attempt.to, attempt.sent.records, attempt.sent.raw_size, batch),
    )
    return need_batch(tx, batch)[1]


def end_attempt(tx: Transaction, batch: int, *, doubt: bool) -> None:
    """Say how the last attempt went: with ``doubt`` the beacon may have the records."""
    need_batch(tx, batch)
    tx.execute(
        "UPDATE batch SET under_way = 0, in_doubt = in_doubt + ? WHERE id = ?", (doubt, batch)
    )


def replace_batch(
    tx: Transaction, batch: int, parts: Sequence[tuple[Bounds, str, Totals]]
) -> list[Batch]:
    """Put smaller batches (bounds, key, what they carry) in the place of one; doubt is handed down.

    How its last attempt went was said before. Raises :class:`LedgerError` ``ledger.no_batch``, or
    ``ledger.bounds`` unless the parts are exactly the whole, in order.
    """
    lane, whole = need_batch(tx, batch)
    for bounds, *_ in parts:
        check(bounds)
    if not tile(whole.bounds, [bounds for bounds, *_ in parts]):
        raise LedgerError(
            "ledger.bounds",
            f"The parts of batch {batch} are not the whole of it.",
            "This is a fault of the program; report it with this message.",
        )
    remove(tx, batch)
    made = replace(whole, attempts=0)
    return [
        _insert(tx, lane, replace(made, bounds=bounds, key=key, sent=sent))
        for bounds, key, sent in parts
    ]


def remove(tx: Transaction, batch: int) -> None:
    """Take the row away."""
    tx.execute("DELETE FROM batch WHERE id = ?", (batch,))
