"""The one door through which bytes become durable.

Whatever this project writes to a spool goes through a :class:`Disk`, so that a simulated disk can
stand in for the real one and forget what was never synced. The promises are POSIX's, no more: bytes
are durable after :meth:`Disk.sync` returned, a name after :meth:`Disk.sync_dir` of its folder did. A
descriptor whose write or sync failed is finished: the kernel may have dropped the dirty pages and
a second sync would say "done" of bytes that are gone.

Methods raise :class:`OSError`; :func:`explained` turns one into an error for people.
"""

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from keys.errors import shown
from spool import descriptors
from spool.errors import SpoolError
from spool.outoffiles import NO_DESCRIPTOR, out_of_files

FILE_MODE = 0o600
FOLDER_MODE = 0o700
PIECES_MAX = 512
"""Buffers in one ``pwritev``; the kernel takes 1,024 (IOV_MAX), half of it leaves room."""

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What the system says where a disk, or the share of a user, is full."""

_NOT_AS_THOUGHT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ELOOP})
"""What the system says where the disk is all right, and something else lies at the path, or nothing."""


class Disk(Protocol):
    """What the spool asks of a disk. What was written is never changed, zeros laid ahead excepted."""

    def create(self, path: Path) -> int:
        """Make a new file, never following or replacing what is there; its descriptor."""
        ...

    def open_write(self, path: Path) -> int:
        """Open an existing regular file for writing; its descriptor."""
        ...

    def write(self, fd: int, pieces: Sequence[bytes], at: int) -> None:
        """Write all the bytes of ``pieces`` from the offset ``at`` on, or raise."""
        ...

    def cut(self, fd: int, size: int) -> None:
        """Let the file end at ``size``."""
        ...

    def sync(self, fd: int) -> None:
        """Make the bytes of the file durable."""
        ...

    def close(self, fd: int) -> None:
        """Let go of the descriptor, and of a lock held through it."""
        ...

    def rename(self, source: Path, target: Path) -> None:
        """Give the file another name, replacing what has it."""
        ...

    def unlink(self, path: Path) -> None:
        """Take the name away."""
        ...

    def mkdir(self, path: Path) -> None:
        """Make one folder."""
        ...

    def sync_dir(self, path: Path) -> None:
        """Make the names in a folder durable."""
        ...


class OsDisk:
    """The disk of this machine."""

    def create(self, path: Path) -> int:
        """See :class:`Disk`."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return descriptors.open_kept(path, flags, FILE_MODE)

    def open_write(self, path: Path) -> int:
        """See :class:`Disk`."""
        # O_NONBLOCK: opening a FIFO for writing would wait for a reader.
        flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        fd = descriptors.open_kept(path, flags)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            descriptors.close(fd)
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        return fd

    def write(self, fd: int, pieces: Sequence[bytes], at: int) -> None:
        """See :class:`Disk`."""
        for first in range(0, len(pieces), PIECES_MAX):
            group = pieces[first : first + PIECES_MAX]
            total = sum(map(len, group))
            written = os.pwritev(fd, group, at)
            if written < total:
                self._write_rest(fd, memoryview(b"".join(group))[written:], at + written)
            at += total

    def _write_rest(self, fd: int, rest: memoryview, at: int) -> None:
        while rest:
            written = os.pwrite(fd, rest, at)
            rest, at = rest[written:], at + written

    def cut(self, fd: int, size: int) -> None:
        """See :class:`Disk`."""
        os.ftruncate(fd, size)

    def sync(self, fd: int) -> None:
        """See :class:`Disk`."""
        os.fdatasync(fd)

    def close(self, fd: int) -> None:
        """See :class:`Disk`."""
        descriptors.close(fd)

    def rename(self, source: Path, target: Path) -> None:
        """See :class:`Disk`."""
        os.rename(source, target)  # noqa: PTH104 - the system call is what is promised

    def unlink(self, path: Path) -> None:
        """See :class:`Disk`."""
        os.unlink(path)  # noqa: PTH108 - the system call is what is promised

    def mkdir(self, path: Path) -> None:
        """See :class:`Disk`."""
        os.mkdir(path, FOLDER_MODE)  # noqa: PTH102 - the system call is what is promised

    def sync_dir(self, path: Path) -> None:
        """See :class:`Disk`."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


OS_DISK = OsDisk()


def make_folders(disk: Disk, root: Path, path: Path) -> None:
    """Make ``path`` and what is missing between it and ``root``, each durable in its parent.

    The parents are synced also where nothing was missing: a sync that failed after a folder was
    made, in whatever process, would otherwise never be made good. Raises :class:`OSError`.
    """
    levels = [path, *path.parents]
    for folder in reversed(levels[: levels.index(root) + 1]):
        if folder == root and folder.is_dir():
            continue
        try:
            disk.mkdir(folder)
        except FileExistsError:
            if not folder.is_dir():
                raise
        disk.sync_dir(folder.parent)


def replace_file(disk: Disk, path: Path, data: bytes) -> None:
    """Put ``data`` in the place of the file at ``path``: afterwards the old or the new, never less.

    One process at a time writes one name (its lock sees to that); a temporary file that a crash
    left behind is written anew.
    """
    temporary = path.with_name(path.name + ".tmp")
    if os.path.lexists(temporary):
        disk.unlink(temporary)
    fd = disk.create(temporary)
    try:
        disk.write(fd, [data], 0)
        disk.sync(fd)
    finally:
        disk.close(fd)
    disk.rename(temporary, path)
    disk.sync_dir(path.parent)


def explained(error: OSError, what: str) -> SpoolError:
    """An error for people of what the disk said while ``what`` was done."""
    if error.errno in NO_ROOM:
        return SpoolError(
            "disk.full",
            f"There is no room left on the disk to {what}.",
            "Free space on the spool's file system; nothing that was acknowledged is lost.",
        )
    if error.errno in NO_DESCRIPTOR:
        return out_of_files(error, what)
    if error.errno == errno.EROFS:
        return SpoolError(
            "disk.read_only",
            f"The disk is mounted read-only: cannot {what}.",
            "Look at the kernel log for the cause, repair it and mount the disk for writing.",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return SpoolError(
            "disk.permission",
            f"This user may not {what} ({shown(error.filename or '')}).",
            "Run as the user who owns the spool, or give it to this one: chown -R USER SPOOL.",
        )
    if error.errno in _NOT_AS_THOUGHT:
        return SpoolError(
            "disk.path",
            f"Cannot {what}: {os.strerror(error.errno or 0)} ({shown(error.filename or '')}).",
            "Correct spool.path, or look who moved, removed or replaced something there.",
        )
    return SpoolError(
        "disk.failed",
        f"The disk failed to {what}: {os.strerror(error.errno or 0)}.",
        "Look at the kernel log and the disk's health; nothing that was acknowledged is lost.",
    )
