"""Single lines that go out again, or never will: what a person decides of exceptions.

A line that goes out again loses its exception; the other lines of its segment keep their answers, so
that nothing else is sent twice. A discarded one keeps its row, for the audit, and counts as lost.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from spool.ledger_audit import DISCARDED, TEXT_MAX, RecordException
from spool.ledger_db import Transaction
from spool.ledger_moves import Stretch, move
from spool.ledger_settle import SegmentSums
from spool.ledger_spans import span_at
from spool.states import By, LedgerError, State


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of one segment, counted from 0, ascending; ``segment`` says how many it has."""

    segment: SegmentSums
    numbers: tuple[int, ...]


def give_back(tx: Transaction, lane: int, lines: Lines, by: By) -> None:
    """Let these lines, exceptions all of them, go out again.

    Raises :class:`LedgerError` ``ledger.exception`` where one is no exception (any more), or
    ``ledger.illegal_move``.
    """
    seq = lines.segment.seq
    kept = _without(tx, lane, lines)
    parts = tx.execute(
        "SELECT first_line, end_line FROM answered WHERE lane = ? AND seq = ?", (lane, seq)
    ).fetchall()
    span = span_at(tx, lane, seq)
    if span is not None and span.state is not State.PENDING:
        parts = [(0, lines.segment.lines)]
        after = lines.segment.before + lines.segment.totals
        stretch = Stretch(seq, seq, lines.segment.before, after)
        move(tx, lane, stretch, (span.state, State.PENDING), by, whole=False)
    tx.execute("DELETE FROM exception WHERE lane = ? AND seq = ?", (lane, seq))
    tx.execute("DELETE FROM answered WHERE lane = ? AND seq = ?", (lane, seq))
    tx.executemany(
        "INSERT INTO exception (lane, seq, line, at, verdict, status, text)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(lane, x.seq, x.line, x.at, x.verdict, x.status, x.text) for x in kept],
    )
    tx.executemany(
        "INSERT INTO answered (lane, seq, first_line, end_line) VALUES (?, ?, ?, ?)",
        [(lane, seq, *part) for part in _less(parts, lines.numbers)],
    )


def discard(tx: Transaction, lane: int, seq: int, lines: Iterable[int], note: str) -> None:
    """Give these exceptions up, for the reason in ``note``; a loss record says so already.

    Raises :class:`LedgerError` ``ledger.exception`` where one is no exception (any more).
    """
    for line in lines:
        changed = tx.execute(
            "UPDATE exception SET verdict = ?, text = ? WHERE lane = ? AND seq = ? AND line = ?"
            " AND verdict != ?",
            (DISCARDED, note[:TEXT_MAX], lane, seq, line, DISCARDED),
        )
        if not changed.rowcount:
            raise _no_exception(seq, line)


def _without(tx: Transaction, lane: int, lines: Lines) -> list[RecordException]:
    """The other exceptions of the segment."""
    query = (
        "SELECT seq, line, at, verdict, status, text FROM exception"
        " WHERE lane = ? AND seq = ? ORDER BY line"
    )
    found = [RecordException(*row) for row in tx.execute(query, (lane, lines.segment.seq))]
    known = {item.line for item in found if item.verdict != DISCARDED}
    for number in lines.numbers:
        if number not in known:
            raise _no_exception(lines.segment.seq, number)
    return [item for item in found if item.line not in lines.numbers]


def _no_exception(seq: int, line: int) -> LedgerError:
    return LedgerError(
        "ledger.exception",
        f"Line {line} of segment {seq} is no exception, or not any more.",
        "Another process was faster; look at bridge status.",
    )


def _less(parts: Sequence[tuple[int, int]], numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Half-open ``parts`` without ``numbers``."""
    left: list[tuple[int, int]] = []
    for first, end in sorted(parts):
        begin = first
        for number in numbers:
            if begin <= number < end:
                if begin < number:
                    left.append((begin, number))
                begin = number + 1
        if begin < end:
            left.append((begin, end))
    return left
