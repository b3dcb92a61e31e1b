"""What becomes of a file whose writer is gone.

Whole good frames are sealed as they are (``handover``: the writer had no key, or was killed between
two commits). A file with a torn end or bad frames is rewritten to its good lines first
(``recovered``); the original of one with bad frames is kept in quarantine, and the loss is declared.
The same rescue serves a sealed segment of our own whose bytes have changed. Recovery twice is
recovery once.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from keys.errors import VerificationError
from spool import locks
from spool.clock import WALL_MS_MAX, Clock
from spool.durable import Disk
from spool.filled import Filled
from spool.gently import to_the_end
from spool.openfile import begun_at, open_files, temporary_of
from spool.quarantine import copied_before, copy_aside, has_reason, say_why, set_aside
from spool.rescued import Rescued
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
from spool.sealing import Sealer
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
        self.before = Rescued(sealer.lane)
        """What an attempt that was cut short has sealed already."""

    def recover(self) -> Iterator[Recovered]:
        """Take care of every file in ``open/`` that nobody writes.

        Raises :class:`LeftOff` where that is left off; the file at hand stays as it was.
        One that cannot be taken care of stays there and holds up none of the others; at the end,
        the first :class:`OSError` or :class:`VerificationError` of those is raised.
        """
        failed: OSError | VerificationError | None = None
        for path in open_files(self._lane):
            try:
                done = self._take_care(path)
            except FileNotFoundError:
                continue
            except (OSError, VerificationError) as error:
                failed = failed or error
                continue
            if done is not None:
                yield done
        if failed is not None:
            raise failed

    def _take_care(self, path: Path) -> Recovered | None:
        try:
            # Looked at before it is opened: nothing planted here is followed or waited for.
            os.close(open_regular(path, own=True))
            fd = self._disk.open_write(path)
        except VerificationError as error:
            return self._set_aside(path, error.message)
        except PermissionError:
            return self._set_aside(path, "this user may not read and write it")
        if locks.try_lock(fd, path):
            return self._recover_file(path, fd)
        self._disk.close(fd)
        return None

    def _set_aside(self, path: Path, why: str) -> Recovered:
        kept = set_aside(self._disk, self._lane, path, why, self._clock)
        return Recovered(path.name, None, 0, 0, kept)

    def rescue(self, seq: int) -> Recovered:
        """Save the good frames of our sealed segment ``seq``, whose bytes are not the sealed ones.

        They become a new segment (``recovered``, ``of`` this number); the number is declared lost,
        and the file is moved to quarantine. What a rescue that was cut short has done is not done
        again. Raises :class:`OSError`, or :class:`VerificationError` where it may not even be opened.
        """
        path = self._lane.segment(seq)
        with self._rescuing(), _reading(path) as source:
            self._sealer.settle_head()  # what was half sealed counts, too
            found = examine(reader(source), os.fstat(source).st_size)
            anew = bool(found.frames) and not self.before.is_saved(seq)
            sealed = self._sealed_anew(path, source, found, seq) if anew else None
            if not self.before.is_declared(seq, str(seq)):
                self._sealer.declare_lost(Lost(str(seq), None, None, "bad_frames"))
            why = "its bytes are not the sealed ones"
            kept = set_aside(self._disk, self._lane, path, why, self._clock)
        return Recovered(path.name, sealed, 0, _bad_bytes(found), kept)

    @contextmanager
    def _rescuing(self) -> Iterator[None]:
        """By one process at a time: two would each seal the same."""
        lock = locks.take(self._lane.rescue_lock, wait=False)
        if lock is None:
            raise BlockingIOError(errno.EBUSY, "another process rescues", str(self._lane.folder))
        try:
            yield
        finally:
            locks.let_go(lock)

    def _recover_file(self, path: Path, fd: int) -> Recovered:
        """Seal what is good in the file whose lock ``fd`` holds; closes it."""
        kept = None
        try:
            if os.path.lexists(temporary_of(path)):
                # Of a rewriting that a crash ended: whoever rewrites has the lock that we have.
                self._disk.unlink(temporary_of(path))
            with _reading(path) as source:
                read, size = reader(source), os.fstat(source).st_size
                found = examine(read, size)
                written = Written(found.end, found.frames, found.sha256)
                first_at, last_at = _accepted(path, source)
                if found.bad:
                    kept = self._declare_bad(path, source)
                if found.frames and not found.intact:
                    stale = fd
                    # Given up after the loss was declared, it would be declared twice.
                    with to_the_end() if found.bad else nullcontext():
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

    def _declare_bad(self, path: Path, source: int) -> Path:
        """Keep a copy of a file with bad frames, and declare the loss; where the copy lies.

        Before the rewriting: after it nothing would tell of the loss any more. What an attempt that
        failed later has done of it is not done again: that would fill the disk.
        """
        kept = copied_before(self._lane, path, source)
        if kept is None:
            kept = copy_aside(self._disk, self._lane, path, source)
        if not has_reason(kept):
            self._sealer.declare_lost(Lost("", None, None, "bad_frames"))
            say_why(self._disk, kept, path, "it holds frames that cannot be read", self._clock)
        return kept

    def _sealed_anew(self, path: Path, source: int, found: Findings, seq: int) -> Statement:
        _, last_at = _accepted(path, source)
        # No name of an open file: what is cut short is left to the next rescue, not sealed by itself.
        target = self._lane.open / f"rescue-{seq:012d}.tmp"
        if os.path.lexists(target):
            self._disk.unlink(target)
        fd = self._disk.create(target)
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
        """Take away a file in which nothing is good."""
        try:
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
    """When the records of an open file were accepted: from its name, and its last change.

    Both are labels that anybody can set: before 1970 or after 9999 no statement could hold them.
    """
    changed = min(max(os.fstat(fd).st_mtime_ns // 1_000_000, 0), WALL_MS_MAX)
    begun = begun_at(path.name)
    return (changed if begun is None else begun), changed


def _bad_bytes(found: Findings) -> int:
    return sum(end - begin for begin, end in found.bad)
