"""The ledger's verbs for whoever sends: batches, attempts, answers; part of :class:`Ledger`."""

from collections.abc import Iterator, Sequence

from spool import (
    ledger_activity,
    ledger_audit,
    ledger_batches,
    ledger_settle,
    ledger_withdrawing,
)
from spool.lane import Lane
from spool.ledger_activity import Activity
from spool.ledger_audit import Answer, AuditRow, RecordException
from spool.ledger_batches import Attempt, Batch
from spool.ledger_bounds import Bounds, Position
from spool.ledger_db import Database
from spool.ledger_settle import SegmentSums
from spool.ledger_spans import lane_id, need_lane
from spool.ranges import Range
from spool.totals import Totals

AUDIT_PAGE = 1000
"""Audit rows read at once: no view is held open for as long as the caller takes to print it."""


class Batching:
    """Every method is one transaction; see :class:`spool.ledger.Ledger`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def unbatched(self, lane: Lane) -> list[tuple[str, Position, Position]]:
        """The pending lines that are in no batch and have no answer: chain, start, end.

        Half-open and ascending; an end (n, 0) means all of segment n-1. The ledger does not know
        how many lines a segment has: a start within one may be the end of it.
        """
        with self._database.read() as tx:
            row = lane_id(tx, lane)
            return [] if row is None else ledger_batches.unbatched(tx, row)

    def open_batches(self, lane: Lane) -> list[Batch]:
        """The batches without a final answer, in the order of their lines."""
        with self._database.read() as tx:
            row = lane_id(tx, lane)
            return [] if row is None else ledger_batches.open_batches(tx, row)

    def to_send(self, lane: Lane) -> tuple[Batch | None, list[tuple[str, Position, Position]]]:
        """The first of :meth:`open_batches`; where there is none, what :meth:`unbatched` says."""
        with self._database.read() as tx:
            row = lane_id(tx, lane)
            if row is None:
                return None, []
            waiting = ledger_batches.open_batches(tx, row)
            return (waiting[0], []) if waiting else (None, ledger_batches.unbatched(tx, row))

    def open_batch(
        self, lane: Lane, bounds: Bounds, key: str, attempt: Attempt | None = None
    ) -> Batch:
        """Make a batch of pending lines that are in no other, durable before its first attempt.

        With an ``attempt`` that begins here, as by :meth:`attempt`, in the same transaction.
        Raises :class:`LedgerError` ``ledger.bounds``, ``ledger.state``, ``ledger.batch_overlap``.
        """
        with self._database.write() as tx:
            return ledger_batches.add(tx, need_lane(tx, lane), bounds, key, attempt)

    def attempt(self, batch: int, attempt: Attempt) -> Batch:
        """Count an attempt, before its first byte is sent.

        The batch as it is then: in doubt, if nobody said how the attempt before went.
        """
        with self._database.write() as tx:
            return ledger_batches.begin_attempt(tx, batch, attempt)

    def doubt(self, batch: int) -> None:
        """The attempt ended and nobody knows how: the beacon may have the records."""
        with self._database.write() as tx:
            ledger_batches.end_attempt(tx, batch, doubt=True)

    def unsent(self, batch: int) -> None:
        """The attempt ended before the beacon can have got it."""
        with self._database.write() as tx:
            ledger_batches.end_attempt(tx, batch, doubt=False)

    def answered(self, batch: int, answer: Answer, *, doubt: bool) -> None:
        """An answer that settles nothing (401, 429, 503): an audit row, and the batch stays.

        With ``doubt`` the beacon may have the records all the same.
        """
        with self._database.write() as tx:
            lane, asked = ledger_batches.need_batch(tx, batch)
            ledger_audit.write_audit(tx, lane, asked.bounds, answer, asked)
            ledger_batches.end_attempt(tx, batch, doubt=doubt)

    def split(
        self, batch: int, answer: Answer | None, into: Sequence[tuple[Bounds, str, Totals]]
    ) -> list[Batch]:
        """Put smaller batches in the place of one that was refused whole, with an audit row.

        ``into`` are their bounds, their keys, and what they carry.

        Without an ``answer`` there is no such row: it could not be sent whole. They are in doubt if
        the whole was. Raises :class:`LedgerError` ``ledger.no_batch``, or ``ledger.bounds`` unless they
        are exactly the whole, in order.
        """
        with self._database.write() as tx:
            lane, asked = ledger_batches.need_batch(tx, batch)
            if answer is not None:
                ledger_audit.write_audit(tx, lane, asked.bounds, answer, asked)
            ledger_batches.end_attempt(tx, batch, doubt=False)
            return ledger_batches.replace_batch(tx, batch, into)

    def settle(
        self,
        batch: int,
        answer: Answer,
        segments: Sequence[SegmentSums],
        exceptions: Sequence[RecordException] = (),
    ) -> None:
        """Enter the final answer to a batch, and deliver the segments that it completes.

        ``segments`` are the sums of all that the batch touches, in order; ``exceptions`` the lines
        that were refused. Audit row, exceptions, sums and moves are one transaction. Raises
        :class:`LedgerError` ``ledger.no_batch``, ``ledger.bounds``, ``ledger.exception`` or
        ``ledger.totals``.
        """
        with self._database.write() as tx:
            ledger_settle.settle(tx, batch, answer, segments, exceptions)

    def settle_unsent(
        self, lane: Lane, bounds: Bounds, answer: Answer, segments: Sequence[SegmentSums]
    ) -> None:
        """Deliver segments for which the route has no request, with an audit row that says so.

        Raises :class:`LedgerError` ``ledger.bounds``, ``ledger.state`` or ``ledger.totals``.
        """
        with self._database.write() as tx:
            ledger_settle.settle_unsent(tx, need_lane(tx, lane), bounds, answer, segments)

    def withdraw(self, batch: int) -> None:
        """Forget a batch that cannot be repeated: its segments are damaged, lost or delivered.

        Its pending lines are in no batch then; an attempt of it whose outcome nobody knows stays in the
        books. Raises :class:`LedgerError` ``ledger.no_batch``.
        """
        with self._database.write() as tx:
            ledger_withdrawing.withdraw(tx, *ledger_batches.need_batch(tx, batch))

    def exceptions(self, lane: Lane, within: Range | None = None) -> list[RecordException]:
        """The exceptions of a lane, all or those ``within`` some numbers, by number and line."""
        with self._database.read() as tx:
            row = lane_id(tx, lane)
            return [] if row is None else list(ledger_audit.read_exceptions(tx, row, within))

    def refused_in_row(
        self, stream: str, refusals: Sequence[str], taken: str, most: int
    ) -> list[tuple[str, int, int]]:
        """Node, number and line of what of ``stream`` was refused after the last that was taken.

        The newest first, those that are exceptions still; ``refusals`` and ``taken`` are verdicts.
        """
        with self._database.read() as tx:
            return ledger_audit.refused_in_row(tx, stream, refusals, taken, most)

    def activity(self, since: int) -> Activity:
        """How sending went since ``since`` (ms since 1970 UTC)."""
        with self._database.read() as tx:
            return ledger_activity.activity(tx, since)

    def audit(self, since: int = 0) -> Iterator[AuditRow]:
        """Every answered request from ``since`` (ms since 1970 UTC) on, in the order of answers."""
        above = 0
        while True:
            with self._database.read() as tx:
                page = ledger_audit.read_audit(tx, since, above, AUDIT_PAGE)
            yield from page
            if len(page) < AUDIT_PAGE:
                return
            above = page[-1].id
