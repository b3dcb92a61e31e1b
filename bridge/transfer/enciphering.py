"""The container of a bundle on its way through age: read, judged, encrypted, hashed, written.

Nobody here can open what was encrypted to somebody else, so each segment is judged by its seal before
it goes in, and what comes out is hashed on its way to the disk.
"""

import hashlib
import io
import os
from collections.abc import Callable, Iterator, Sequence
from typing import IO, cast

from bridge.transfer import agefile
from bridge.transfer.beside import Beside
from bridge.transfer.sources import PIECE, DamagedSourceError, Source, Stored, layout, open_source


class _Clear(io.RawIOBase):
    """The container, to be read; ``failed`` is what ended it early."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._piece = memoryview(b"")
        self.failed: BaseException | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, room: memoryview) -> int:  # type: ignore[override]
        try:
            while not self._piece:
                piece = next(self._pieces, None)
                if piece is None:
                    return 0
                self._piece = memoryview(piece)
        except BaseException as error:
            self.failed = error
            raise
        count = min(len(room), len(self._piece))
        room[:count] = self._piece[:count]
        self._piece = self._piece[count:]
        return count


class _Enciphered(io.RawIOBase):
    """Where the encrypted file goes."""

    def __init__(self, put: Callable[[bytes], None]) -> None:
        self._put = put
        self._held = bytearray()
        self.failed: BaseException | None = None

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._held += data
        if len(self._held) >= PIECE:
            self.flush()
        return len(data)

    def flush(self) -> None:
        if self._held:
            try:
                self._put(bytes(self._held))
            except BaseException as error:
                self.failed = error
                raise
            self._held.clear()


def encipher(
    fd: int, sources: Sequence[Source], recipients: Sequence[str], progress: Callable[[int], None]
) -> str:
    """Write the container of ``sources`` to ``fd``, encrypted; the SHA-256 of what was written.

    Raises :class:`DamagedSourceError`, :class:`VerificationError` ``recipient.form``, :class:`OSError`,
    or what ``progress`` raises.
    """
    digest = hashlib.sha256()

    def put(data: bytes) -> None:
        digest.update(data)
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]

    with Beside() as beside:
        clear = _Clear(_pieces(sources, beside, progress))
        target = _Enciphered(lambda data: beside.do(put, data))
        try:
            # The library asks for 8 KiB at a time.
            source = io.BufferedReader(clear, 1 << 20)
            agefile.encrypt(source, cast("IO[bytes]", target), list(recipients))
            target.flush()
            beside.finish()
        except BaseException:
            # What comes out of age's library has lost its kind.
            for failed in (clear.failed, target.failed):
                if failed is not None:
                    raise failed from None
            raise
    return digest.hexdigest()


def _pieces(
    sources: Sequence[Source], beside: Beside, progress: Callable[[int], None]
) -> Iterator[bytes]:
    for part in layout(sources):
        if isinstance(part, bytes):
            yield part
            continue
        stored = part.data
        assert not isinstance(stored, bytes)  # noqa: S101 - by layout
        yield from _judged(part, stored, beside, progress)


def _judged(
    source: Source, stored: Stored, beside: Beside, progress: Callable[[int], None]
) -> Iterator[bytes]:
    """The segment's bytes; raises at their end unless they are the ones that were sealed."""
    digest = hashlib.sha256()

    def judge() -> None:
        if digest.hexdigest() != stored.sha256:
            raise DamagedSourceError(source.name)

    with os.fdopen(open_source(source, stored), "rb", buffering=0) as file:
        done = 0
        while done < source.size:
            piece = file.read(min(PIECE, source.size - done))
            if not piece:
                raise DamagedSourceError(source.name)
            beside.do(digest.update, memoryview(piece)[: max(stored.sealed - done, 0)])
            done += len(piece)
            progress(len(piece))
            yield piece
    beside.do(judge)
