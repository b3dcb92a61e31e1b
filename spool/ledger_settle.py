"""The final answer to a batch: audit, exceptions, sums and moves in one transaction.

A segment is delivered when all its lines have an answer, exceptions included.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from spool.ledger_again import AGAIN
from spool.ledger_audit import (
    Answer,
    RecordException,
    record_sums,
    write_audit,
    write_exceptions,
)
from spool.ledger_batches import Batch, need_batch, remove
from spool.ledger_bounds import Bounds
from spool.ledger_db import Transaction
from spool.ledger_moves import Stretch, move
from spool.ledger_spans import span_at, spans
from spool.ranges import Range
from spool.states import By, LedgerError, State, may_move
from spool.totals import Totals

_UNFINISHED = frozenset({State.PENDING, State.EXPORTED})
"""Where the other lines still wait for their answer."""


@dataclass(frozen=True, slots=True)
class SegmentSums:
    """What a segment's seal says: its number, the chain's totals before it, its own."""

    seq: int
    before: Totals
    totals: Totals

    @property
    def lines(self) -> int:
        """A record is one line."""
        return self.totals.records


def settle(
    tx: Transaction,
    batch: int,
    answer: Answer,
    segments: Sequence[SegmentSums],
    exceptions: Sequence[RecordException],
) -> None:
    """Enter the final answer to ``batch``; see :meth:`spool.ledger.Ledger.settle`."""
    lane, asked = need_batch(tx, batch)
    _check_segments(asked.bounds, segments)
    write_audit(tx, lane, asked.bounds, answer, asked)
    write_exceptions(tx, lane, asked.bounds, exceptions)
    known = len(exceptions) + _sent_again(tx, lane, asked.bounds, segments)
    record_sums(tx, lane, *_sums(asked, answer, known))
    remove(tx, batch)
    _deliver(tx, lane, _complete(tx, lane, asked.bounds, segments))


def settle_unsent(
    tx: Transaction, lane: int, bounds: Bounds, answer: Answer, segments: Sequence[SegmentSums]
) -> None:
    """Deliver segments for which there is no request; the audit row says why."""
    _check_segments(bounds, segments)
    write_audit(tx, lane, bounds, answer, None)
    _deliver(tx, lane, segments)


def _check_segments(bounds: Bounds, segments: Sequence[SegmentSums]) -> None:
    wanted = range(bounds.first_seq, bounds.last_seq + 1)
    if len(segments) != len(wanted) or any(
        a.seq != b for a, b in zip(segments, wanted, strict=True)
    ):
        raise LedgerError(
            "ledger.bounds",
            f"The sums are not those of segments {bounds.first_seq} to {bounds.last_seq}.",
            "This is a fault of the program; report it with this message.",
        )


def _sent_again(tx: Transaction, lane: int, bounds: Bounds, segments: Sequence[SegmentSums]) -> int:
    """How many records were taken before, and went a second time on purpose."""
    stretches = AGAIN.within(tx, lane, Range(bounds.first_seq, bounds.last_seq))
    count = 0
    for item in segments if stretches else ():
        if any(part.first <= item.seq <= part.last for part in stretches):
            first, end = bounds.lines_of(item.seq, item.lines)
            count += end - first
    return count


def _sums(asked: Batch, answer: Answer, known: int) -> tuple[int, int]:
    """How often records may be there once more, and how many the beacon's own count lacks.

    It need not count the ``known`` ones: those that it refused, or took before.
    After an attempt of unknown outcome a lower count only says that the beacon knew them already; and
    what is refused after it may be there all the same.
    """
    if asked.in_doubt:
        return answer.sent.records * asked.doubts, 0
    if answer.accepted is None:
        return 0, 0
    return 0, max(0, answer.sent.records - known - answer.accepted)


def _complete(
    tx: Transaction, lane: int, bounds: Bounds, segments: Sequence[SegmentSums]
) -> list[SegmentSums]:
    """Note the answered lines; those segments of which there are no others."""
    query = "SELECT DISTINCT seq FROM answered WHERE lane = ? AND seq BETWEEN ? AND ?"
    in_part = {seq for (seq,) in tx.execute(query, (lane, bounds.first_seq, bounds.last_seq))}
    return [
        item
        for item in segments
        # Most are small and whole: a query for each would cost more than all the rest.
        if (item.seq not in in_part and bounds.lines_of(item.seq, item.lines) == (0, item.lines))
        or _cover(tx, lane, bounds, item)
    ]


def _cover(tx: Transaction, lane: int, bounds: Bounds, segment: SegmentSums) -> bool:
    """Note the answered lines of a segment; whether these are all it has."""
    first, end = bounds.lines_of(segment.seq, segment.lines)
    query = "SELECT first_line, end_line FROM answered WHERE lane = ? AND seq = ?"
    parts = sorted([(first, end), *tx.execute(query, (lane, segment.seq))])
    joined = list(_joined(parts))
    tx.execute("DELETE FROM answered WHERE lane = ? AND seq = ?", (lane, segment.seq))
    if not segment.lines or joined == [(0, segment.lines)]:
        return True
    span = span_at(tx, lane, segment.seq)
    if span is None or span.state not in _UNFINISHED:
        return False
    tx.executemany(
        "INSERT INTO answered (lane, seq, first_line, end_line) VALUES (?, ?, ?, ?)",
        [(lane, segment.seq, *part) for part in joined if part[0] < part[1]],
    )
    return False


def _joined(parts: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    start, end = parts[0]
    for lower, upper in parts[1:]:
        if lower > end:
            yield start, end
            start = lower
        end = max(end, upper)
    yield start, end


def _deliver(tx: Transaction, lane: int, segments: Sequence[SegmentSums]) -> None:
    """Move what an answer may move; what a person or a receipt moved meanwhile stays.

    ``segments`` are adjacent: a batch covers only its first and its last in part.
    """
    if not segments:
        return
    lowest, highest = segments[0].seq, segments[-1].seq
    for span in spans(tx, lane, lowest, highest):
        if may_move(span.state, State.DELIVERED, By.ANSWER):
            first, last = (
                segments[number - lowest]
                for number in (max(span.first, lowest), min(span.last, highest))
            )
            stretch = Stretch(first.seq, last.seq, first.before, last.before + last.totals)
            move(tx, lane, stretch, (span.state, State.DELIVERED), By.ANSWER)
