"""The container of a bundle on its way through age: read, judged, encrypted, written.

Whoever opens it elsewhere cannot say what went wrong here, so each segment is judged by its seal before
it goes in. To encrypt and to write is the work of a second thread.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle

from bridge.transfer.agewriting import AgeWriter, sealed_size
from bridge.transfer.beside import Beside, rooms_of
from bridge.transfer.pouring import pour
from bridge.transfer.settling import Settling
from bridge.transfer.sources import PIECE, DamagedSourceError, Source, Stored, layout, open_source


def encipher(
    fd: int, sources: Sequence[Source], recipients: Sequence[str], progress: Callable[[int], None]
) -> AgeWriter:
    """Write the container of ``sources`` to ``fd``, encrypted; by whom, who knows it again.

    ``progress`` is told of bytes that go in. Raises :class:`DamagedSourceError`,
    :class:`VerificationError` ``recipient.form``, :class:`OSError`, or what ``progress`` raises.
    """
    writer = AgeWriter(recipients)
    settling = Settling(fd)
    sealed = memoryview(bytearray(sealed_size(PIECE)))

    def put(data: bytes | memoryview) -> None:
        pour(fd, data)
        settling.wrote(len(data))

    def seal(piece: memoryview, last: bool = False) -> None:  # noqa: FBT001, FBT002 - called by a thread
        put(sealed[: writer.seal(piece, sealed, last=last)])

    with Beside() as beside:
        beside.do(put, writer.start)
        room = _Room(lambda piece: beside.do(seal, piece))
        for part in layout(sources):
            for count in _filled(room, part):
                progress(count)
        beside.do(seal, room.taken(), True)  # noqa: FBT003
        beside.finish()
    return writer


class _Room:
    """The piece that is being filled; one that is full is sealed when more comes, and the next begun.

    Not before: it may be the last one, and age takes no empty one after it.
    """

    def __init__(self, seal: Callable[[memoryview], None]) -> None:
        self._seal = seal
        # One is filled while those before it are sealed.
        self._views = cycle(rooms_of(PIECE))
        self._view = next(self._views)
        self._used = 0

    def free(self, most: int) -> memoryview:
        """Where the next bytes go, which there are; at most so many."""
        if self._used == PIECE:
            self._seal(self.taken())
        return self._view[self._used : self._used + most]

    def take(self, count: int) -> None:
        """So many bytes were put there."""
        self._used += count

    def taken(self) -> memoryview:
        """What was put there; it stays until as many pieces follow as there are rooms."""
        held, self._used = self._view[: self._used], 0
        self._view = next(self._views)
        return held


def _filled(room: _Room, part: bytes | Source) -> Iterator[int]:
    """Put ``part`` into ``room``; how many bytes, piece by piece."""
    if not isinstance(part, bytes):
        stored = part.data
        assert not isinstance(stored, bytes)  # noqa: S101 - by layout
        yield from _judged(room, part, stored)
        return
    left = memoryview(part)
    while left:
        free = room.free(len(left))
        free[:] = left[: len(free)]
        room.take(len(free))
        left = left[len(free) :]
        yield len(free)


def _judged(room: _Room, source: Source, stored: Stored) -> Iterator[int]:
    """Put the segment into ``room``; raises at its end unless its bytes are those that were sealed."""
    digest = hashlib.sha256()
    with os.fdopen(open_source(source, stored), "rb", buffering=0) as file:
        done = 0
        while done < source.size:
            free = room.free(source.size - done)
            count = file.readinto(free)
            if not count:
                raise DamagedSourceError(source.name)
            digest.update(free[: min(count, max(stored.sealed - done, 0))])
            room.take(count)
            done += count
            yield count
    if digest.hexdigest() != stored.sha256:
        raise DamagedSourceError(source.name)
