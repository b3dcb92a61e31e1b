"""Reading a container back from its medium: is every byte of it what it should be?

Segments are judged by what their seals say of them, all that is between them is compared. Of what was
encrypted each chunk is opened, at its place, with the key that it was made with.
"""

import errno
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from bridge.transfer.agewriting import CHUNK, SEALED_CHUNK, AgeWriter
from bridge.transfer.beside import Beside, rooms_of
from bridge.transfer.sources import Source, Stored, check_source, layout, read_seal
from spool.errors import SpoolError

_AT_ONCE = 4 << 20
"""Bytes that are read at once: between two reads a disk has nothing to do."""
Take = Callable[[memoryview], None]
"""Gets the pieces of a file in order."""


def reread(path: Path, take: Take, progress: Callable[[int], None]) -> tuple[str, bool]:
    """The SHA-256 of what the medium has at ``path``, and whether no cache stood between.

    Its pieces are given to ``take``. The page cache is told to forget the file, and
    passed by where the file system allows it. Raises what ``take`` raises, or :class:`OSError`.
    """
    fd, direct = _open_past_the_cache(path)
    digest = hashlib.sha256()
    rooms = cycle(rooms_of(_AT_ONCE))
    try:
        with Beside() as hashing, Beside() as judging:
            while count := os.readv(fd, [room := next(rooms)]):
                piece = room[:count]
                hashing.do(digest.update, piece)
                judging.do(take, piece)
                progress(count)
            hashing.finish()
            judging.finish()
    finally:
        os.close(fd)
    return digest.hexdigest(), direct


def _open_past_the_cache(path: Path) -> tuple[int, bool]:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECT | os.O_CLOEXEC)
        direct = True
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        fd, direct = os.open(path, os.O_RDONLY | os.O_CLOEXEC), False
    # Some file systems take the flag and read by the cache all the same.
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    return fd, direct


@dataclass(frozen=True, slots=True)
class _Part:
    """Some bytes: how many, who judges their pieces, and who judges the whole."""

    size: int
    judge: Take
    end: Callable[[], None]


class Comparison:
    """Takes a container piece by piece, and compares it with the ``sources`` that it was made of."""

    def __init__(self, name: str, sources: Sequence[Source]) -> None:
        self._name = name
        self._parts = self._expected(sources)
        self._part: _Part | None = None
        self._left = 0

    def take(self, piece: memoryview) -> None:
        """The next piece. Raises :class:`SpoolError` ``medium.changed`` or ``segment.damaged``."""
        while piece:
            if self._part is None:
                self._part = next(self._parts, None)
                if self._part is None:
                    raise changed(self._name)
                self._left = self._part.size
            now, piece = piece[: self._left], piece[self._left :]
            self._part.judge(now)
            self._left -= len(now)
            if not self._left:
                self._part.end()
                self._part = None

    def finish(self) -> None:
        """Nothing, if that was all of it; raises as :meth:`take` does."""
        if self._part is not None or next(self._parts, None) is not None:
            raise changed(self._name)

    def _expected(self, sources: Sequence[Source]) -> Iterator[_Part]:
        for part in layout(sources):
            if isinstance(part, bytes):
                yield self._same(part)
                continue
            stored = part.data
            assert not isinstance(stored, bytes)  # noqa: S101 - by layout
            if stored.sealed:
                yield self._hashed(part, stored)
            yield self._same(read_seal(part, stored))

    def _same(self, data: bytes) -> _Part:
        at = 0

        def judge(piece: memoryview) -> None:
            nonlocal at
            if piece != memoryview(data)[at : at + len(piece)]:
                raise changed(self._name)
            at += len(piece)

        return _Part(len(data), judge, lambda: None)

    def _hashed(self, source: Source, stored: Stored) -> _Part:
        digest = hashlib.sha256()

        def end() -> None:
            if digest.hexdigest() != stored.sha256:
                check_source(source, stored)  # whose fault is it?
                raise changed(self._name)

        return _Part(stored.sealed, digest.update, end)


class Opening:
    """Takes what was encrypted piece by piece; is it what ``writer`` made?"""

    def __init__(self, name: str, writer: AgeWriter) -> None:
        self._name = name
        self._writer = writer
        self._start = memoryview(writer.start)
        self._opened = 0
        self._held = bytearray()
        self._room = memoryview(bytearray(CHUNK))

    def take(self, piece: memoryview) -> None:
        """The next piece. Raises :class:`SpoolError` ``medium.changed``."""
        start, piece = piece[: len(self._start)], piece[len(self._start) :]
        if start != self._start[: len(start)]:
            raise changed(self._name)
        self._start = self._start[len(start) :]
        if self._held:
            wanted = SEALED_CHUNK - len(self._held)
            self._held += piece[:wanted]
            piece = piece[wanted:]
            if len(self._held) < SEALED_CHUNK:
                return
            self._open(memoryview(self._held))
            self._held = bytearray()
        whole = len(piece) - len(piece) % SEALED_CHUNK
        for at in range(0, whole, SEALED_CHUNK):
            self._open(piece[at : at + SEALED_CHUNK])
        self._held += piece[whole:]

    def finish(self) -> None:
        """Nothing, if that was all of it; raises as :meth:`take` does."""
        if self._held:
            self._open(memoryview(self._held))
        if self._start or self._opened != self._writer.chunks:
            raise changed(self._name)

    def _open(self, sealed: memoryview) -> None:
        if not self._writer.opens(self._opened, sealed, self._room):
            raise changed(self._name)
        self._opened += 1


def changed(name: str) -> SpoolError:
    """The error for a medium that does not give back what it took."""
    return SpoolError(
        "medium.changed",
        f"What was read back from {name} is not what was written to it.",
        "The medium is bad, or somebody else writes to it; use another.",
    )
