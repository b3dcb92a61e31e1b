"""What becomes of a number whose segment is missing or damaged: named, counted, stepped over.

In a lane of our own the loss is declared by a signed loss record, good frames are rescued into a new
segment, and the original is kept in quarantine. Nobody here can declare a loss in another node's
chain: there the original is kept, too, and the next receipt asks the node for the number. Then the
ledger says lost, and the lane goes on.
"""

import os

from keys.errors import VerificationError
from spool.clock import Clock
from spool.discovery import totals_around
from spool.durable import Disk
from spool.head import read_head
from spool.lane import Lane
from spool.ledger import By, Ledger, State
from spool.quarantine import set_aside
from spool.ranges import Range
from spool.recovery import Recovery
from spool.sealing import Sealer
from spool.statement import Lost


class Mender:
    """Mends one lane: one that this node seals with ``sealer``, or one that was imported."""

    def __init__(self, disk: Disk, sealer: Sealer, ledger: Ledger, clock: Clock) -> None:
        self._disk = disk
        self._sealer = sealer
        self._lane: Lane = sealer.lane
        self._ledger = ledger
        self._clock = clock
        self._recovery = Recovery(disk, sealer, clock)

    def mend(self, seq: int) -> tuple[int, int]:
        """Take ``seq``, and what is missing right after it, out of the lane's way; first and last.

        Raises :class:`OSError`, :class:`LedgerError` or :class:`SpoolError`; what was done is done
        again then.
        """
        imported = self._lane.imported.exists()
        if not imported and read_head(self._lane) is None:
            raise VerificationError(
                "spool.head_lost",
                f"The lane {self._lane.node}/{self._lane.stream} has lost its head.",
                "Start the daemon anew; it begins a new chain.",
            )
        if not imported:
            self._sealer.settle_head()  # what was half sealed before counts, too
        for batch in self._ledger.open_batches(self._lane):
            if batch.bounds.first_seq <= seq <= batch.bounds.last_seq:
                self._ledger.withdraw(batch.id)
        spans = self._ledger.spans(self._lane, State.PENDING, State.EXPORTED)
        span = next((found for found in spans if found.first <= seq <= found.last), None)
        if span is None:  # somebody else was faster
            return seq, seq
        last = self._last_missing(seq, span.last)
        before, after = totals_around(self._lane, span, Range(seq, last))
        path = self._lane.segment(seq)
        if imported:
            if os.path.lexists(path):
                why = "it is not the segment that was imported"
                set_aside(self._disk, self._lane, path, why, self._clock)
        elif os.path.lexists(path):
            self._rescue(seq)
        else:
            held = after - before
            numbers = str(seq) if seq == last else f"{seq}-{last}"
            if not self._recovery.before.is_declared(seq, numbers):
                lost = Lost(numbers, held.records, held.raw_size, "missing")
                self._sealer.declare_lost(lost)
        self._ledger.move(
            self._lane,
            seq,
            last,
            source=span.state,
            target=State.LOST,
            by=By.LOSS,
            before_first=before,
            after_last=after,
        )
        return seq, last

    def _last_missing(self, seq: int, highest: int) -> int:
        """The end of the stretch of missing files that begins at ``seq``, up to ``highest``."""
        if os.path.lexists(self._lane.segment(seq)):
            return seq
        while seq < highest and not os.path.lexists(self._lane.segment(seq + 1)):
            seq += 1
        return seq

    def _rescue(self, seq: int) -> None:
        try:
            self._recovery.rescue(seq)
        except VerificationError as error:
            # A link, a FIFO, another user's file: not even opened.
            path = self._lane.segment(seq)
            set_aside(self._disk, self._lane, path, error.message, self._clock)
            if not self._recovery.before.is_declared(seq, str(seq)):
                self._sealer.declare_lost(Lost(str(seq), None, None, "replaced"))
