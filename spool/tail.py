"""The file that a writer appends to, and what its seal will say of it."""

import errno
import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from spool.clock import Clock
from spool.durable import NO_ROOM, Disk
from spool.filled import Filled
from spool.group import Framed
from spool.identity import identity_at, identity_of
from spool.lane import Lane
from spool.openfile import begin_file
from spool.totals import Totals

LAID_MIN, LAID_MAX = 64 * 1024, 256 * 1024
"""Zeros that are made ready behind small commits: to write over them lengthens no file, and such a
sync takes two thirds of the time of one that does. Recovery knows them for what they are. Within
these bounds they are three times what the file has: where little is written few are to be left over.
To lay many at once takes longer than to lay few, and somebody may wait for it."""
LAID_AGAIN = 4
"""Commits of the last one's size for which zeros are left when new ones are laid ahead of need."""
SMALL = 16 * 1024
"""Stored bytes of a commit for which zeros are laid ahead; what is larger waits for its own bytes."""
HASHED_AT_ONCE = 512 * 1024
"""Stored bytes that wait for their digest: after a sync the processor is cold, and a caller who
appends one record would wait for each first step into the hash."""


class Tail:
    """An open file with its lock. Everything counted here is durable.

    ``size`` is where its frames end, ``raw_size`` the bytes of the lines in them. Behind
    the frames there may be zeros, for the next ones to be written over.
    """

    def __init__(self, disk: Disk, clock: Clock, path: Path, fd: int) -> None:
        self._disk = disk
        self._clock = clock
        self.path = path
        self._name = os.fsencode(path)
        self.fd = fd
        self._identity = identity_of(fd)
        self.size = 0
        self.raw_size = 0
        self._laid = 0
        self._last_size = 0
        self._records = 0
        self.begun = clock.monotonic()
        self._frames = 0
        self._digest = hashlib.sha256()
        self._unhashed: list[bytes] = []
        self._unhashed_size = 0
        self._first_at = self._last_at = clock.wall_ms()

    @classmethod
    def begin(cls, disk: Disk, lane: Lane, clock: Clock) -> Self:
        """A new file. Raises :class:`OSError`."""
        return cls(disk, clock, *begin_file(disk, lane, clock))

    def commit(self, frames: Sequence[Framed], records: int) -> None:
        """Append compressed frames; they are durable on return, bytes and name.

        Raises :class:`OSError`, also where the file was moved or removed meanwhile: nobody would find
        what is in it. It must not be written again then.
        """
        pieces = [frame.data for frame in frames]
        wanted = sum(map(len, pieces))
        self._lay_zeros(wanted)
        self._disk.write(self.fd, pieces, self.size)
        self._disk.sync(self.fd)
        if not self.is_there():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.path))
        self._unhashed += pieces
        self._unhashed_size += wanted
        self.size += wanted
        for frame in frames:
            self.raw_size += frame.raw_size
        self._last_size = wanted
        if self._unhashed_size >= HASHED_AT_ONCE:
            self._hash()
        self._records += records
        self._frames += len(frames)
        self._last_at = self._clock.wall_ms()

    def is_there(self) -> bool:
        """Whether its name still leads to it. Raises :class:`OSError` where nobody can tell."""
        return identity_at(self._name) == self._identity

    def _lay_zeros(self, wanted: int) -> None:
        """See to it that small commits, after the file's first one, are written over zeros."""
        if self.size + wanted > self._laid and wanted <= SMALL and self.size:
            self._lay()

    def lay_ahead(self) -> None:
        """Lay the zeros of the next small commits, if there are few left, while nobody waits for it.

        Raises :class:`OSError`; the file must not be written again then.
        """
        left = self._laid - self.size
        if self._laid and self._last_size <= SMALL and left < LAID_AGAIN * self._last_size:
            self._lay()
            self._disk.sync(self.fd)

    def _lay(self) -> None:
        ahead = min(max(LAID_MIN, 3 * self.size), LAID_MAX)
        try:
            self._disk.write(self.fd, [bytes(ahead)], self.size)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            # There may still be room for what is to be written.
            self._laid = sys.maxsize
        else:
            self._laid = self.size + ahead

    def _hash(self) -> None:
        # In one step: each lets go of the interpreter's lock, and waits for it where others want it.
        self._digest.update(b"".join(self._unhashed))
        self._unhashed.clear()
        self._unhashed_size = 0

    def settle(self) -> None:
        """Let go of what is kept of its bytes: it may wait long to be sealed, with others."""
        self._hash()

    @property
    def totals(self) -> Totals:
        """What is durable in it."""
        return Totals(self._records, self.raw_size)

    def remove(self) -> None:
        """Take the file away, in which nothing was acknowledged. Raises :class:`OSError`."""
        try:
            self._disk.unlink(self.path)
        finally:
            self._disk.close(self.fd)

    def filled(self) -> Filled:
        """The file as it is, for the sealer, which closes it."""
        self._hash()
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
            return self.filled().rewritten(self._disk)
        finally:
            self._disk.close(self.fd)
