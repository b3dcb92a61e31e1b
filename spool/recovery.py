"""What becomes of a file whose writer is gone.

Whole good frames are sealed as they are (``handover``: the writer had no key, or was killed between
two commits). A file with a torn end or bad frames is rewritten to its good lines first
(``recovered``); the original of one with bad frames is kept in quarantine, and the loss is declared.
The same rescue serves a sealed segment of our own whose bytes have changed. Recovery twice is
recovery once.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from keys.errors import VerificationError
from spool import locks
from spool.clock import Clock
from spool.durable import Disk
from spool.openfile import begin_file, begun_at, open_files, temporary_of
from spool.quarantine import copy_aside, set_aside
from spool.rewriting import (
    Findings,
    Written,
    examine,
    good_lines,
    reader,
    rewrite,
    write_full_frames,
)
from spool.safefile import open_regular
from spool.sealing import Filled, Sealer
from spool.statement import Lost, Statement


@dataclass(frozen=True, slots=True)
class Recovered:
    """What was done with one file.

    The segment it became (None: nothing good was in it), torn bytes that were dropped, bad bytes
    that were declared lost, where the original or a copy of it lies.
    """

    name: str
    sealed: Statement | None
    torn: int
    bad: int
    kept: Path | None


class Recovery:
    """Recovers the files of one lane."""

    def __init__(self, disk: Disk, sealer: Sealer, clock: Clock) -> None:
        self._disk = disk
        self._sealer = sealer
        self._lane = sealer.lane
        self._clock = clock

    def recover(self) -> Iterator[Recovered]:
        """Take care of every file in ``open/`` that nobody writes. Raises :class:`OSError`."""
        for path in open_files(self._lane):
            try:
                # Looked at before it is opened: nothing planted here is followed or waited for.
                os.close(open_regular(path, own=True))
                fd = self._disk.open_append(path)
            except FileNotFoundError:
                continue
            except VerificationError as error:
                kept = set_aside(self._disk, self._lane, path, error.message, self._clock)
                yield Recovered(path.name, None, 0, 0, kept)
                continue
            if locks.try_lock(fd, path):
                yield self._recover_file(path, fd)
            else:
                self._disk.close(fd)

    def rescue(self, seq: int) -> Recovered:
        """Save the good frames of our sealed segment ``seq``, whose bytes are not the sealed ones.

        They become a new segment (``recovered``, ``of`` this number); the number is declared lost,
        and the file is moved to quarantine. Raises :class:`OSError`, or
        :class:`VerificationError` where it may not even be opened.
        """
        path = self._lane.segment(seq)
        with _reading(path) as source:
            size = os.fstat(source).st_size
            found = examine(reader(source), size)
            sealed = self._sealed_anew(path, source, found, seq) if found.frames else None
        self._sealer.declare_lost(Lost(str(seq), None, None, "bad_frames"))
        kept = set_aside(
            self._disk, self._lane, path, "its bytes are not the sealed ones", self._clock
        )
        return Recovered(path.name, sealed, 0, _bad_bytes(found), kept)

    def _recover_file(self, path: Path, fd: int) -> Recovered:
        """Seal what is good in the file whose lock ``fd`` holds; closes it."""
        kept = None
        try:
            with _reading(path) as source:
                read, size = reader(source), os.fstat(source).st_size
                found = examine(read, size)
                written = Written(size, found.frames, found.sha256)
                first_at, last_at = _accepted(path, source)
                if found.bad:
                    why = "it holds frames that cannot be read"
                    kept = copy_aside(self._disk, self._lane, path, source, why, self._clock)
                    # Before the rewriting: after it nothing would tell of the loss any more.
                    self._sealer.declare_lost(Lost("", None, None, "bad_frames"))
                if found.frames and not found.intact:
                    stale = fd
                    fd, written = rewrite(self._disk, path, read, found)
                    self._disk.close(stale)
        except BaseException:
            self._disk.close(fd)
            raise
        if not found.frames:
            self._remove(path, fd)
            return Recovered(path.name, None, found.torn, _bad_bytes(found), kept)
        filled = Filled(
            path,
            fd,
            written.size,
            found.totals,
            written.frames,
            written.sha256,
            first_at,
            last_at,
        )
        sealed = self._sealer.seal(filled, "handover" if found.intact else "recovered")
        return Recovered(path.name, sealed, found.torn, _bad_bytes(found), kept)

    def _sealed_anew(self, path: Path, source: int, found: Findings, seq: int) -> Statement:
        _, last_at = _accepted(path, source)
        target, fd = begin_file(self._disk, self._lane, self._clock)
        try:
            written = write_full_frames(self._disk, fd, good_lines(reader(source), found))
            self._disk.sync(fd)
        except BaseException:
            self._disk.close(fd)
            raise
        filled = Filled(
            target,
            fd,
            written.size,
            found.totals,
            written.frames,
            written.sha256,
            last_at,
            last_at,
        )
        return self._sealer.seal(filled, "recovered", of=seq)

    def _remove(self, path: Path, fd: int) -> None:
        """Take away a file in which nothing is good, and what a rewriting of it left behind."""
        try:
            if os.path.lexists(temporary_of(path)):
                self._disk.unlink(temporary_of(path))
            self._disk.unlink(path)
            self._disk.sync_dir(path.parent)
        finally:
            self._disk.close(fd)


@contextmanager
def _reading(path: Path) -> Iterator[int]:
    fd = open_regular(path, own=True)
    try:
        yield fd
    finally:
        os.close(fd)


def _accepted(path: Path, fd: int) -> tuple[int, int]:
    """When the records of an open file were accepted: from its name, and its last change."""
    changed = os.fstat(fd).st_mtime_ns // 1_000_000
    begun = begun_at(path.name)
    return (changed if begun is None else begun), changed


def _bad_bytes(found: Findings) -> int:
    return sum(end - begin for begin, end in found.bad)
