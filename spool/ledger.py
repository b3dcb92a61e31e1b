"""The ledger: what happened to each segment, an index with memory beside the segments.

The segments are the truth. Lost or damaged, the ledger begins anew, and whoever opened it tells it
again what there is (:meth:`Ledger.adopt`); the result is duplicates at worst.

Any number of threads and processes use it at the same time. Every change is one transaction that
compares before it changes and is on disk when the method returns; readers never wait. Methods raise
:class:`~spool.states.LedgerError` where the ledger says otherwise, and
:class:`~spool.errors.SpoolError` ``ledger.full``, ``ledger.readonly``, ``ledger.busy``,
``ledger.io`` or ``ledger.corrupt`` where the disk fails; nothing was changed then.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from keys.errors import BridgeError
from spool import ledger_counts, ledger_frontier, ledger_spans
from spool.clock import Clock
from spool.errors import SpoolError
from spool.frontier import Frontier
from spool.lane import SEQ_MAX, Lane
from spool.ledger_audit import DISCARDED, Answer, AuditRow, RecordException
from spool.ledger_batches import Attempt, Batch
from spool.ledger_bounds import Bounds, Position
from spool.ledger_bundles import Written
from spool.ledger_condition import Condition, examine
from spool.ledger_counts import LaneCounts
from spool.ledger_db import Database
from spool.ledger_elsewhere import Elsewhere
from spool.ledger_file import open_file
from spool.ledger_importing import Arrival, Taken
from spool.ledger_moves import Stretch, move
from spool.ledger_reading import is_only_read, open_file_to_read
from spool.ledger_receipts import Receipts
from spool.ledger_replay import Lines
from spool.ledger_retaining import Undeclared
from spool.ledger_seen import Seen
from spool.ledger_settle import SegmentSums
from spool.ledger_spans import Span
from spool.ledger_trial import open_copy
from spool.locks import let_go
from spool.ranges import Range
from spool.states import By, LedgerError, State
from spool.totals import Totals

__all__ = [
    "DISCARDED", "Answer", "Arrival", "Attempt", "AuditRow", "Batch", "Bounds", "By", "Elsewhere",
    "LaneCounts", "LanePosition", "Ledger", "LedgerError", "Lines", "Position", "RecordException",
    "Seen", "SegmentSums", "Span", "State", "Taken", "Undeclared", "Written",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class LanePosition:
    """The last number of a lane that the ledger knows, and its chain's totals after it."""

    chain: str
    seq: int
    totals_after: Totals


class Ledger(Receipts):
    """An open ledger; a context manager. Not to be used across a ``fork``."""

    def __init__(self, database: Database, lock: int | None, *, fresh: bool) -> None:
        super().__init__(database)
        self._lock = lock
        self.fresh = fresh
        """Made just now: none of the lanes is known."""

    @classmethod
    def open(cls, spool: Path, *, clock: Clock) -> Self:
        """Open or make the ledger of ``spool``.

        A lane for which :meth:`last` is None is unknown, also when a process died between making
        the ledger and telling it; then call :meth:`adopt` with what the seals and the lane's
        frontier say. Raises :class:`~keys.errors.ConfigError` ``spool.missing``, ``ledger.newer``
        (nothing is touched), ``ledger.foreign``, or :class:`~spool.errors.SpoolError` ``ledger.*``,
        ``disk.*``.
        """
        database, lock, fresh = open_file(spool, clock)
        return cls(database, lock, fresh=fresh)

    @classmethod
    def open_to_read(cls, spool: Path, *, clock: Clock) -> Self:
        """As :meth:`open`, for one who only looks; where the spool may not be written, as it is.

        Then it is not :attr:`writable`, and every change raises ``ledger.readonly``. Raises also
        ``ledger.needs_writing`` where it is missing, damaged or of an earlier version there.
        """
        if not is_only_read(spool):
            return cls.open(spool, clock=clock)
        database, lock = open_file_to_read(spool)
        return cls(database, lock, fresh=False)

    @classmethod
    def open_on_trial(cls, spool: Path, *, clock: Clock) -> Self:
        """As :meth:`open`, for a dry run; where the spool may not be written, a copy, gone when closed.

        Raises also ``ledger.needs_writing``, as :meth:`open_to_read` does.
        """
        if not is_only_read(spool):
            return cls.open(spool, clock=clock)
        return cls(open_copy(spool), None, fresh=False)

    @property
    def writable(self) -> bool:
        """Whether it can be told anything; see :meth:`open_to_read`."""
        return self._database.writable

    def close(self) -> None:
        """Let go; no thread may be using it."""
        try:
            self._database.close()
        finally:
            if self._lock is not None:
                let_go(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def check_in_place(self) -> None:
        """Nothing, while the file that is open is the one that others open.

        Raises :class:`SpoolError` ``ledger.vanished``, or :class:`OSError`.
        """
        if not self._database.in_place:
            raise SpoolError(
                "ledger.vanished",
                "The ledger was removed or exchanged while it was in use.",
                "Start again: it is rebuilt from the segments, and at worst something is sent twice.",
            )

    @property
    def is_damaged(self) -> bool:
        """Whether whoever opens it next will put it aside and begin anew; it is read for that."""
        try:
            return examine(self._database.path) is Condition.DAMAGED
        except BridgeError:
            return False

    def mark(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """What changes with the ledger; nothing is read of it. File times may be too coarse to tell.

        Raises :class:`OSError`.
        """
        return self._database.mark()

    def last(self, lane: Lane) -> LanePosition | None:
        """The last known number; None for an unknown lane."""
        with self._database.read() as tx:
            found = ledger_spans.lane_id(tx, lane)
            span = None if found is None else ledger_spans.last_span(tx, found)
        return None if span is None else LanePosition(span.chain, span.last, span.after)

    def spans(self, lane: Lane, *states: State) -> list[Span]:
        """The spans in any of ``states`` (all without), ascending."""
        with self._database.read() as tx:
            found = ledger_spans.lane_id(tx, lane)
            spans = [] if found is None else ledger_spans.spans(tx, found, 1, SEQ_MAX)
        return [span for span in spans if not states or span.state in states]

    def spans_among(self, lane: Lane, numbers: Range) -> list[Span]:
        """The spans that hold any of ``numbers``, ascending; the outer ones may reach beyond."""
        with self._database.read() as tx:
            found = ledger_spans.lane_id(tx, lane)
            if found is None:
                return []
            return ledger_spans.spans(tx, found, numbers.first, numbers.last)

    def frontier(self, lane: Lane) -> Frontier:
        """What was delivered, and what of it went another way, for the frontier file."""
        with self._database.read() as tx:
            found = ledger_spans.lane_id(tx, lane)
            return Frontier() if found is None else ledger_frontier.frontier(tx, found)

    def extend(
        self, lane: Lane, chain: str, first: int, last: int, *, before: Totals, totals: Totals
    ) -> None:
        """Add pending segments above the last known number; those known already stay as they are.

        ``before`` are the chain's totals before ``first``, ``totals`` what all of them hold.
        Raises :class:`LedgerError` ``ledger.overlap`` or ``ledger.totals``.
        """
        span = Span(chain, first, last, State.PENDING, before, totals)
        with self._database.write() as tx:
            row = ledger_spans.need_lane(tx, lane)
            if not ledger_spans.is_known(tx, row, span):
                ledger_spans.append(tx, row, [span])

    def adopt(self, lane: Lane, spans: Iterable[Span], frontier: Frontier | None = None) -> None:
        """Tell an unknown lane, all at once, what there is; adjacent spans are joined.

        Of ``frontier`` it takes the exceptions within what is delivered, and the sums.

        Raises :class:`LedgerError` ``ledger.overlap`` if the lane is known or the spans do not
        ascend, ``ledger.totals`` if they contradict each other.
        """
        with self._database.write() as tx:
            row = ledger_spans.need_lane(tx, lane)
            known = ledger_spans.last_span(tx, row)
            if known is not None:
                raise LedgerError(
                    "ledger.overlap",
                    f"The ledger knows this lane already, up to segment {known.last}.",
                    "Another process was faster; go on from the last known number.",
                )
            ledger_spans.append(tx, row, spans)
            if frontier is not None:
                ledger_frontier.take_over(tx, row, frontier)

    def move(
        self,
        lane: Lane,
        first: int,
        last: int,
        *,
        source: State,
        target: State,
        by: By,
        before_first: Totals,
        after_last: Totals,
    ) -> None:
        """Move segments, all of them in ``source`` and of one chain, to ``target``.

        The totals are the chain's, from the seals of the two ends. Raises :class:`LedgerError`
        ``ledger.illegal_move``, ``ledger.state`` or ``ledger.totals``.
        """
        stretch = Stretch(first, last, before_first, after_last)
        with self._database.write() as tx:
            row = ledger_spans.need_lane(tx, lane)
            move(tx, row, stretch, (source, target), by)

    def counts(self) -> list[LaneCounts]:
        """What stands where, of all lanes at one moment, by node and stream."""
        with self._database.read() as tx:
            return ledger_counts.counts(tx)
