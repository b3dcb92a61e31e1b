"""What is good in a file, and a new file of just that.

One operation for two needs: frames that turned out small, and files whose writer is gone. Whole
frames with a right checksum are good. Zeros at the end were laid ahead and never written over. Before
them a frame whose bytes did not all reach the disk, or a seal without its rename, was never
acknowledged: it is torn, and dropped. Anything else is bad: it may have been acknowledged, and whoever
calls declares it lost.
"""

import errno
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from keys.errors import VerificationError
from spool import locks
from spool.durable import Disk
from spool.frames import (
    MAGIC,
    FrameDecoder,
    FrameEncoder,
    FrameWalker,
    ReadAt,
)
from spool.gently import LeftOff, breathe
from spool.openfile import temporary_of
from spool.torn import is_torn
from spool.totals import NOTHING, Totals

FULL_FRAME = 256 * 1024
"""Raw bytes of a rewritten frame: nearly as small as one stream, and a fine bound for requests."""
SMALL_FRAME = 32 * 1024
"""Raw bytes: files whose frames are smaller on average are rewritten when they are sealed."""
_PIECE = 256 * 1024


@dataclass(slots=True)
class Findings:
    """What was found in a file.

    Stretches of good frames and of bad bytes (begin, end), how many bytes at the end are torn (zeros
    that were laid ahead are not counted), how many frames are good and what they hold; ``sha256``
    (hex) of all the good ones.
    """

    good: list[tuple[int, int]] = field(default_factory=list)
    bad: list[tuple[int, int]] = field(default_factory=list)
    torn: int = 0
    frames: int = 0
    totals: Totals = NOTHING
    sha256: str = ""

    @property
    def intact(self) -> bool:
        """Whether every byte that was written belongs to a good frame, and there is one."""
        return bool(self.frames) and not self.bad and not self.torn

    @property
    def end(self) -> int:
        """Where the last good frame ends."""
        return self.good[-1][1] if self.good else 0


def reader(fd: int) -> ReadAt:
    """Reads from the open file behind ``fd``."""
    return lambda offset, size: os.pread(fd, size, offset)


def examine(read: ReadAt, end: int) -> Findings:
    """Look at the first ``end`` bytes; every good frame is decompressed once."""
    found = Findings()
    walker, decoder, digest = FrameWalker(read, end), FrameDecoder(), hashlib.sha256()
    offset, written = 0, _end_of_written(read, end)
    while offset < written:
        breathe()
        try:
            frame = walker.frame_at(offset)
            raw, count = decoder.decode(frame)
        except VerificationError:
            again = _next_good(walker, decoder, read, offset + 1, written)
            if again is None:
                if is_torn(read, offset, written):
                    found.torn = written - offset
                else:
                    found.bad.append((offset, written))
                break
            found.bad.append((offset, again))
            offset = again
            continue
        digest.update(frame.stored)
        found.frames += 1
        found.totals += Totals(count, len(raw))
        if found.good and found.good[-1][1] == offset:
            found.good[-1] = (found.good[-1][0], frame.end)
        else:
            found.good.append((offset, frame.end))
        offset = frame.end
    found.sha256 = digest.hexdigest()
    return found


def checked(found: Findings, expected: Totals) -> Findings:
    """``found``, if it holds just what was written.

    Raises :class:`OSError` (EIO) where the disk gives back something else: whoever seals what is
    left then declares what is not, and that is a recovery.
    """
    if found.totals != expected or not found.intact:
        raise OSError(errno.EIO, "the file does not hold what was written")
    return found


def _next_good(
    walker: FrameWalker, decoder: FrameDecoder, read: ReadAt, offset: int, end: int
) -> int | None:
    while offset < end:
        piece = read(offset, min(_PIECE, end - offset))
        at = piece.find(MAGIC)
        while at >= 0:
            try:
                decoder.decode(walker.frame_at(offset + at))
            except VerificationError:
                at = piece.find(MAGIC, at + 1)
            else:
                return offset + at
        # The magic can lie across two pieces.
        offset += max(len(piece) - len(MAGIC) + 1, 1)
    return None


def _end_of_written(read: ReadAt, end: int) -> int:
    """Where the zeros begin that the first ``end`` bytes end with."""
    while end > 0:
        begin = max(end - _PIECE, 0)
        kept = len(read(begin, end - begin).rstrip(b"\0"))
        if kept:
            return begin + kept
        end = begin
    return 0


def good_lines(read: ReadAt, found: Findings) -> Iterator[bytes]:
    """The raw bytes of the good frames, in order."""
    decoder = FrameDecoder()
    for begin, end in found.good:
        walker = FrameWalker(read, end)
        offset = begin
        while offset < end:
            frame = walker.frame_at(offset)
            yield decoder.decode(frame).raw
            breathe()
            offset = frame.end


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: bytes, frames, SHA-256 (hex)."""

    size: int
    frames: int
    sha256: str


def write_full_frames(disk: Disk, fd: int, raws: Iterator[bytes]) -> Written:
    """Append the lines of ``raws`` in full frames. Raises :class:`OSError`; does not sync."""
    encoder, digest = FrameEncoder(), hashlib.sha256()
    size = frames = 0

    def put(raw: bytes) -> None:
        nonlocal size, frames
        breathe()
        stored = encoder.encode(raw)
        disk.write(fd, [stored], size)
        digest.update(stored)
        size += len(stored)
        frames += 1

    group: list[bytes] = []
    held = 0
    for raw in raws:
        if group and held + len(raw) > FULL_FRAME:
            put(b"".join(group))
            group, held = [], 0
        group.append(raw)
        held += len(raw)
    if group:
        put(b"".join(group))
    return Written(size, frames, digest.hexdigest())


def rewrite(disk: Disk, path: Path, read: ReadAt, found: Findings) -> tuple[int, Written]:
    """Replace the open file ``path``, whose lock the caller holds, by its good lines in full frames.

    A descriptor that holds the new file's lock, and what is in it; the file and its name are durable.
    This is the one replacement of a file with records that is allowed. Raises :class:`OSError`, or
    :class:`LeftOff`: then all is as it was.
    """
    temporary = temporary_of(path)
    if os.path.lexists(temporary):
        disk.unlink(temporary)
    fd = disk.create(temporary)
    try:
        if not locks.try_lock(fd, temporary):
            raise BlockingIOError(temporary)
        written = write_full_frames(disk, fd, good_lines(read, found))
        disk.sync(fd)
        disk.rename(temporary, path)
        disk.sync_dir(path.parent)
    except LeftOff:
        disk.close(fd)
        disk.unlink(temporary)
        raise
    except BaseException:
        disk.close(fd)
        raise
    return fd, written
