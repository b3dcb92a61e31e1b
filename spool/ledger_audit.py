"""What the beacon answered: a row for every answered request, and the exceptions.

Texts of the beacon are data from outside: stored capped, shown escaped.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from spool.ledger_batches import Batch
from spool.ledger_bounds import Bounds
from spool.ledger_db import Transaction
from spool.ranges import Range
from spool.states import LedgerError
from spool.totals import Totals

DISCARDED = "discarded"
"""The verdict of an exception that a person gave up."""
WITHDRAWN = "withdrawn"
"""The verdict on a request that was withdrawn after an attempt of unknown outcome."""
TEXT_MAX = 500
"""Characters kept of an answer; enough to see who answered what, too few to fill the disk."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to a request, with what was asked.

    ``at`` in ms since 1970 UTC; ``to`` the URL that it went to; ``sent`` what the request carried;
    ``status`` of HTTP, none if there was no request; ``accepted`` records by the beacon's own count,
    if it gave one; ``text`` an excerpt of the answer.
    """

    at: int
    to: str
    sent: Totals
    status: int | None
    verdict: str
    accepted: int | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class RecordException:
    """A single record that went another way than its segment; ``line`` counts from 0."""

    seq: int
    line: int
    at: int
    verdict: str
    status: int
    text: str


@dataclass(frozen=True, slots=True)
class AuditRow:
    """An answered request; ``key`` is none where a route carries nothing and none was made."""

    id: int
    node: str
    stream: str
    bounds: Bounds
    key: str | None
    in_doubt: bool
    answer: Answer


def write_audit(
    tx: Transaction, lane: int, bounds: Bounds, answer: Answer, batch: Batch | None
) -> None:
    """Add a row."""
    in_doubt = batch is not None and batch.in_doubt
    tx.execute(
        "INSERT INTO audit (lane, chain, first_seq, first_line, last_seq, end_line, key, in_doubt,"
        " at, path, records, raw_size, status, verdict, accepted, text)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            lane, *bounds.columns, batch.key if batch else None, in_doubt,
            answer.at, answer.to, answer.sent.records, answer.sent.raw_size, answer.status,
            answer.verdict, answer.accepted, answer.text[:TEXT_MAX],
        ),
    )  # fmt: skip


def read_audit(tx: Transaction, since: int, above: int, count: int) -> list[AuditRow]:
    """At most ``count`` rows with an id over ``above``, not older than ``since`` (ms), by id."""
    rows = tx.execute(
        "SELECT audit.id, node, stream, chain, first_seq, first_line, last_seq, end_line, key,"
        " audit.in_doubt, at, path, records, raw_size, status, verdict, accepted, text"
        " FROM audit JOIN lane ON lane.id = audit.lane"
        " WHERE audit.id > ? AND at >= ? ORDER BY audit.id LIMIT ?",
        (above, since, count),
    )
    return [_audit_row(row) for row in rows]


def _audit_row(row: tuple[Any, ...]) -> AuditRow:
    at, to, records, raw_size, status, verdict, accepted, text = row[10:]
    answer = Answer(at, to, Totals(records, raw_size), status, verdict, accepted, text)
    return AuditRow(row[0], row[1], row[2], Bounds(*row[3:8]), row[8], bool(row[9]), answer)


def write_exceptions(
    tx: Transaction, lane: int, bounds: Bounds, exceptions: Iterable[RecordException]
) -> None:
    """Add exceptions within ``bounds``; else :class:`LedgerError` ``ledger.exception``."""
    for item in exceptions:
        if not bounds.start <= (item.seq, item.line) < bounds.end:
            raise LedgerError(
                "ledger.exception",
                f"Line {item.line} of segment {item.seq} is not in the batch that was answered.",
                "This is a fault of the program; report it with this message.",
            )
        tx.execute(
            "INSERT OR REPLACE INTO exception (lane, seq, line, at, verdict, status, text)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                lane, item.seq, item.line, item.at, item.verdict, item.status,
                item.text[:TEXT_MAX],
            ),
        )  # fmt: skip


def read_exceptions(
    tx: Transaction, lane: int, within: Range | None = None
) -> Iterator[RecordException]:
    """The exceptions of a lane, all or those ``within`` some numbers, by number and line."""
    query = "SELECT seq, line, at, verdict, status, text FROM exception WHERE lane = ?"
    numbers = () if within is None else (within.first, within.last)
    between = " AND seq BETWEEN ? AND ?" if numbers else ""
    for row in tx.execute(f"{query}{between} ORDER BY seq, line", (lane, *numbers)):
        yield RecordException(*row)


IN_ROW_OF = 100_000
"""Answers, the newest, among which refusals in a row are looked for: some days of them."""


def refused_in_row(
    tx: Transaction, stream: str, refusals: Sequence[str], taken: str, most: int
) -> list[tuple[str, int, int]]:
    """Node, number and line of the exceptions of ``stream`` after the last answer that took something.

    ``refusals`` and ``taken`` are verdicts. Newest first, at most ``most``. The order is that of the
    answers, not of any clock.
    """
    rows = tx.execute(
        "SELECT lane, node, first_seq, first_line, records, verdict FROM audit"
        " JOIN lane ON lane.id = audit.lane WHERE stream = ?"
        " AND audit.id > (SELECT MAX(id) FROM audit) - ? ORDER BY audit.id DESC",
        (stream, IN_ROW_OF),
    )
    found: dict[tuple[str, int, int], None] = {}
    for lane, node, seq, line, records, verdict in rows:
        if verdict == taken or len(found) == most:
            break
        if verdict in refusals and records == 1 and _is_exception(tx, lane, seq, line):
            found[node, seq, line] = None
    return list(found)


def _is_exception(tx: Transaction, lane: int, seq: int, line: int) -> bool:
    query = "SELECT 1 FROM exception WHERE lane = ? AND seq = ? AND line = ? AND verdict != ?"
    return tx.execute(query, (lane, seq, line, DISCARDED)).fetchone() is not None


def record_sums(tx: Transaction, lane: int, in_doubt: int, partial: int) -> None:
    """Add to the lane's records in doubt, and to those that the beacon's own count lacked."""
    tx.execute(
        "UPDATE lane SET in_doubt = in_doubt + ?, partial = partial + ? WHERE id = ?",
        (in_doubt, partial, lane),
    )
