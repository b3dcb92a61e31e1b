"""Reading a container back from its medium: is every byte of it what it should be?

Segments are judged by what their seals say of them, all that is between them is compared. What was
encrypted cannot be opened here: it is compared with the digest of what was written.
"""

import errno
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from bridge.transfer.beside import Beside, rooms_of
from bridge.transfer.sources import PIECE, Source, Stored, check_source, layout, read_seal
from spool.errors import SpoolError

Take = Callable[[memoryview], None]
"""Gets the pieces of a file in order."""


def reread(path: Path, take: Take | None, progress: Callable[[int], None]) -> tuple[str, bool]:
    """The SHA-256 of what the medium has at ``path``, and whether no cache stood between.

    Its pieces are given to ``take``, if there is one. The page cache is told to forget the file, and
    passed by where the file system allows it. Raises what ``take`` raises, or :class:`OSError`.
    """
    fd, direct = _open_past_the_cache(path)
    digest = hashlib.sha256()
    rooms = cycle(rooms_of(PIECE))
    try:
        with Beside() as hashing, Beside() as judging:
            while count := os.readv(fd, [room := next(rooms)]):
                piece = room[:count]
                hashing.do(digest.update, piece)
                if take is not None:
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


def changed(name: str) -> SpoolError:
    """The error for a medium that does not give back what it took."""
    return SpoolError(
        "medium.changed",
        f"What was read back from {name} is not what was written to it.",
        "The medium is bad, or somebody else writes to it; use another.",
    )
