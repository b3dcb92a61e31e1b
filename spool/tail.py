"""The file that a writer appends to, and what its seal will say of it."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

from spool.clock import Clock
from spool.durable import Disk
from spool.group import Unit
from spool.lane import Lane
from spool.openfile import begin_file
from spool.rewriting import examine, reader, rewrite
from spool.sealing import Filled
from spool.totals import NOTHING, Totals


class Tail:
    """An open file with its lock. Everything counted here is durable; ``size`` is where it ends."""

    def __init__(self, disk: Disk, clock: Clock, path: Path, fd: int) -> None:
        self._disk = disk
        self._clock = clock
        self.path = path
        self.fd = fd
        self.size = 0
        self.totals = NOTHING
        self.begun = clock.monotonic()
        self._frames = 0
        self._digest = hashlib.sha256()
        self._first_at = self._last_at = clock.wall_ms()

    @classmethod
    def begin(cls, disk: Disk, lane: Lane, clock: Clock) -> Self:
        """A new file. Raises :class:`OSError`."""
        return cls(disk, clock, *begin_file(disk, lane, clock))

    def commit(self, frames: Sequence[Unit], records: int) -> None:
        """Append compressed frames; they are durable on return.

        Raises :class:`OSError`; the file must not be written again then.
        """
        stored = [frame.data for frame in frames]
        self._disk.write(self.fd, stored)
        self._disk.sync(self.fd)
        for data in stored:
            self._digest.update(data)
        self.size += sum(map(len, stored))
        self._frames += len(stored)
        self.totals += Totals(records, sum(frame.raw_size for frame in frames))
        self._last_at = self._clock.wall_ms()

    def remove(self) -> None:
        """Take the file away, in which nothing was acknowledged. Raises :class:`OSError`."""
        try:
            self._disk.unlink(self.path)
        finally:
            self._disk.close(self.fd)

    def filled(self) -> Filled:
        """The file as it is, for the sealer, which closes it."""
        return Filled(
            self.path,
            self.fd,
            self.size,
            self.totals,
            self._frames,
            self._digest.hexdigest(),
            self._first_at,
            self._last_at,
        )

    def cut_back(self) -> Filled:
        """After a failed write or sync: the file anew, up to its last acknowledged byte.

        Raises :class:`OSError`; the old file is then still there, and closed.
        """
        try:
            source = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                read = reader(source)
                fd, written = rewrite(self._disk, self.path, read, examine(read, self.size))
            finally:
                os.close(source)
        finally:
            self._disk.close(self.fd)
        return replace(
            self.filled(), fd=fd, size=written.size, frames=written.frames, sha256=written.sha256
        )
