"""Writing a container to a medium, and reading it back before anybody is told that it is there.

Under another name first, synced, renamed, its folder synced; then the page cache is told to forget the
file, and all of it is read again and judged. Whoever writes a name holds a lock on it.
"""

import errno
import fcntl
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bridge.transfer.enciphering import encipher
from bridge.transfer.pouring import pour
from bridge.transfer.rereading import Comparison, Opening, reread
from bridge.transfer.settling import Settling
from bridge.transfer.sources import DamagedSourceError, Source, Stored, layout, open_source
from keys.errors import shown
from spool.errors import SpoolError
from spool.locks import still_named

PART = ".part"
"""Ending of a file that is not whole."""
_COPIED = 8 << 20
"""Bytes that the kernel copies at once; between two of them a daemon may stop."""
_NO_COPY = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM})
"""What the system says where it cannot copy from one file system to another by itself."""


@dataclass(frozen=True, slots=True)
class Medium:
    """What was written: bytes, digest, and whether it was read past the page cache."""

    size: int
    sha256: str
    reread: bool


def write(
    path: Path,
    sources: Sequence[Source],
    recipients: Sequence[str],
    progress: Callable[[int], None],
) -> Medium:
    """Put a container of ``sources`` at ``path``, encrypted to ``recipients`` if there are any.

    ``progress`` is told of bytes that were written or read back. Nothing that looks whole is left by a
    failure. Raises :class:`SpoolError` ``medium.changed``, ``medium.taken`` or ``medium.busy``,
    :class:`DamagedSourceError`, or :class:`OSError`.
    """
    part = path.with_name(path.name + PART)
    if os.path.lexists(path):
        raise SpoolError(
            "medium.taken",
            f"There is a {path.name} already.",
            "Name another file or folder, or move that one away; nothing was written.",
        )
    fd = _begin(part)
    try:
        judge: Comparison | Opening
        if recipients:
            judge = Opening(path.name, encipher(fd, sources, recipients, progress))
        else:
            _plain(fd, sources, progress)
            judge = Comparison(path.name, sources)
        os.fsync(fd)
        size = os.fstat(fd).st_size
        found, past_the_cache = reread(part, judge.take, progress)
        judge.finish()
        part.rename(path)
        try:
            _sync_folder(path.parent)
        except OSError:
            take_away(path)  # whether it is there after a crash, nobody knows
            raise
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)
    return Medium(size, found, past_the_cache)


def failed(error: OSError) -> SpoolError:
    """The error for people of a medium that could not be written: it is not the spool's disk."""
    where = f" ({shown(str(error.filename))})" if error.filename else ""
    return SpoolError(
        "medium.failed",
        f"The medium could not be written: {os.strerror(error.errno or 0)}{where}.",
        "Look whether it is there, has room, and lets this user write; nothing half done looks whole.",
    )


def take_away(path: Path) -> None:
    """Remove a file that was written, where what belongs beside it could not be."""
    with suppress(OSError):
        path.unlink(missing_ok=True)
        _sync_folder(path.parent)


def _begin(part: Path) -> int:
    """A new empty file at ``part``, locked; what a crash left there goes.

    Raises :class:`SpoolError` ``medium.busy`` while another process writes it, or :class:`OSError`.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    fd = os.open(part, flags, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            ours = still_named(fd, part)
        except BlockingIOError:
            ours = False
        if not ours:
            raise SpoolError(
                "medium.busy",
                f"Another process writes {part.name}.",
                "Wait until it is done, or name another file.",
            )
        os.ftruncate(fd, 0)
        with suppress(OSError):  # a stick may keep no modes
            os.fchmod(fd, 0o600)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _plain(fd: int, sources: Sequence[Source], progress: Callable[[int], None]) -> None:
    settling = Settling(fd)

    def wrote(count: int) -> None:
        settling.wrote(count)
        progress(count)

    for part in layout(sources):
        if isinstance(part, bytes):
            pour(fd, part)
            wrote(len(part))
            continue
        stored = part.data
        assert not isinstance(stored, bytes)  # noqa: S101 - by layout
        _copy(fd, part, stored, wrote)


def _copy(fd: int, source: Source, stored: Stored, wrote: Callable[[int], None]) -> None:
    """Have the kernel copy a segment to the end of the file; it is judged when it is read back."""
    held = open_source(source, stored)
    try:
        done = 0
        while done < source.size:
            moved = _moved(held, fd, min(_COPIED, source.size - done), done)
            if not moved:
                raise DamagedSourceError(source.name)
            done += moved
            wrote(moved)
    finally:
        os.close(held)


def _moved(source: int, target: int, count: int, at: int) -> int:
    try:
        return os.copy_file_range(source, target, count, offset_src=at)
    except OSError as error:
        if error.errno not in _NO_COPY:
            raise
        return os.sendfile(target, source, at, count)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
