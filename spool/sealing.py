"""Sealing: an open file that is complete becomes the next segment of its chain.

Under the chain lock, for a few milliseconds: the next number, the seal appended, sync, rename into
its place, sync of the new folder, then of the old one, then the durable head. Until the rename a seal
counts for nothing; from the head on it counts for ever.
"""

import hashlib
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from keys.ed25519 import SigningKey
from spool.chain import LOCK_WAIT_S, Chain, chain_lock
from spool.clock import Clock
from spool.durable import Disk, make_folders
from spool.filled import Filled
from spool.gently import LeftOff
from spool.head import Head, folder_mark
from spool.lane import Lane
from spool.openfile import begin_file
from spool.segment import make_seal
from spool.statement import NO_CHAIN, NO_DIGEST, Lost, Statement
from spool.totals import NOTHING

HEARTBEAT_MS = 24 * 3600 * 1000
"""A billing lane that sealed nothing for so long gets a heartbeat."""


class Sealer:
    """Seals the files of one lane with one key; any number of them, in any processes."""

    def __init__(
        self,
        disk: Disk,
        lane: Lane,
        signer: SigningKey,
        clock: Clock,
        *,
        lock_wait_s: float = LOCK_WAIT_S,
    ) -> None:
        """Every method waits ``lock_wait_s`` seconds for another process that seals in this lane.

        Then it raises :class:`SpoolError` ``lane.locked``.
        """
        self.lane = lane
        self._lock_wait_s = lock_wait_s
        self._disk = disk
        self._signer = signer
        self._clock = clock
        self._chain = Chain(disk, lane, signer, clock)

    def seal(
        self, filled: Filled, reason: str, *, of: int | None = None, as_it_is: bool = False
    ) -> Statement:
        """Seal a complete file, rewritten before if its frames are small; closes its descriptor.

        With ``as_it_is``, or where the rewriting is left off, it stays larger than it could be, which
        is quick.
        Raises :class:`OSError`; the file is then still in ``open/``, for the next recovery.
        """
        fd = filled.fd
        try:
            if filled.small_frames and not as_it_is:
                with suppress(LeftOff):
                    filled = filled.rewritten(self._disk)
                    self._disk.close(fd)
                    fd = filled.fd
            said = Statement(
                node=self.lane.node,
                stream=self.lane.stream,
                chain=NO_CHAIN,
                seq=1,
                prev=NO_DIGEST,
                records=filled.totals.records,
                size=filled.size,
                raw_size=filled.totals.raw_size,
                sha256=filled.sha256,
                before=NOTHING,
                first_at=filled.first_at,
                last_at=max(filled.first_at, filled.last_at),
                reason=reason,
                of=of,
            )
            return self._place(filled.path, fd, said)
        finally:
            self._disk.close(fd)

    def heartbeat(self) -> Statement:
        """Seal a segment without records that says: up to here there was nothing else.

        Raises :class:`OSError`.
        """
        return self._seal_bare("heartbeat", None)

    def declare_lost(self, lost: Lost) -> Statement:
        """Seal a loss record. Raises :class:`OSError`."""
        return self._seal_bare("loss", lost)

    def leave_fork(self) -> Statement:
        """Begin a new chain by a heartbeat: somebody else has given out numbers of the present one.

        Raises :class:`OSError`.
        """
        return self._seal_bare("heartbeat", None, forked=True)

    def settle_head(self, known: int = 0) -> Statement | None:
        """Finish a sealing that a crash left half done, and see to it that the lane has a head.

        A lane whose head was lost, that is a copy, or whose head lies below ``known``, a number that
        was used, begins its new chain by a heartbeat, which is returned; without a head that counts
        nothing of it would be read. Raises :class:`OSError`.
        """
        self._chain.learn()
        self._chain.known = max(self._chain.known, known)
        with chain_lock(self.lane, self._lock_wait_s):
            head = self._chain.finish()
        if head is not None and self._chain.counts(head):
            return None
        if head is None and not known and next(self.lane.sealed_numbers(), None) is None:
            return None
        return self.heartbeat()

    def _seal_bare(self, reason: str, lost: Lost | None, *, forked: bool = False) -> Statement:
        path, fd = begin_file(self._disk, self.lane, self._clock)
        try:
            said = Statement(
                node=self.lane.node,
                stream=self.lane.stream,
                chain=NO_CHAIN,
                seq=1,
                prev=NO_DIGEST,
                records=0,
                size=0,
                raw_size=0,
                sha256=hashlib.sha256().hexdigest(),
                before=NOTHING,
                first_at=None,
                last_at=None,
                reason=reason,
                lost=lost,
            )
            return self._place(path, fd, said, forked=forked)
        finally:
            self._disk.close(fd)

    def _place(self, path: Path, fd: int, said: Statement, *, forked: bool = False) -> Statement:
        """Seal the file behind ``fd`` as the next of the chain, saying what ``said`` says."""
        self._chain.learn()
        with chain_lock(self.lane, self._lock_wait_s):
            after = self._chain.next(forked=forked)
            said = replace(
                said,
                chain=after.chain,
                seq=after.seq,
                prev=after.prev,
                before=after.before,
                follows=after.follows,
            )
            seal, digest = make_seal(said, self._signer)
            if os.fstat(fd).st_size > said.size:  # zeros that its writer laid ahead
                self._disk.cut(fd, said.size)
            self._disk.write(fd, [seal], said.size)
            self._disk.sync(fd)
            place = self.lane.segment(said.seq)
            make_folders(self._disk, self.lane.sealed, place.parent)
            self._disk.rename(path, place)
            self._disk.sync_dir(place.parent)
            self._disk.sync_dir(path.parent)
            folder = folder_mark(self.lane)
            self._chain.advance(Head(said.chain, after.first, said.seq, digest, said.after, folder))
        return said
