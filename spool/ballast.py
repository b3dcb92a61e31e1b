"""A file that holds some room, to be let go when the disk is full.

Without it a full disk could not even take the loss record by which room is made.
"""

import os
from pathlib import Path

from spool.durable import Disk
from spool.usage import BALLAST

_PIECE = 1024 * 1024
"""Bytes written at once."""


class Ballast:
    """The ballast of ``spool``: ``size`` bytes, none where that is 0."""

    def __init__(self, disk: Disk, spool: Path, size: int) -> None:
        self._disk = disk
        self._path = spool / BALLAST
        self._size = size

    def wants(self, free: int) -> bool:
        """Whether the file is missing, and ``free`` bytes leave it room. Raises :class:`OSError`."""
        return free >= 2 * self._size and self._held() < self._size

    def take(self, free: int) -> bool:
        """Make the file where it is missing and ``free`` bytes leave it room; whether it was made.

        Raises :class:`OSError`; nothing half-written stays.
        """
        if not self.wants(free):
            return False
        temporary = self._path.with_name(f"{BALLAST}.tmp")
        if os.path.lexists(temporary):
            self._disk.unlink(temporary)
        fd = self._disk.create(temporary)
        try:
            # A file system that compresses would give zeros no room.
            piece = os.urandom(min(_PIECE, self._size))
            for at in range(0, self._size, _PIECE):
                self._disk.write(fd, [piece[: self._size - at]], at)
            self._disk.sync(fd)
        except BaseException:
            self._disk.close(fd)
            self._disk.unlink(temporary)
            raise
        self._disk.close(fd)
        self._disk.rename(temporary, self._path)
        self._disk.sync_dir(self._path.parent)
        return True

    def let_go(self) -> bool:
        """Give its room back; whether there was any. Raises :class:`OSError`."""
        try:
            self._disk.unlink(self._path)
        except FileNotFoundError:
            return False
        return True

    def _held(self) -> int:
        try:
            return self._path.lstat().st_size
        except FileNotFoundError:
            return 0
