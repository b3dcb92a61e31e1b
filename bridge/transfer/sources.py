"""What a container is made of: bytes at hand, and segments as they lie in the spool.

Of a segment its seal says what the bytes before the seal hash to, so whoever reads it, here or from
the medium, can tell at once whether these are the ones that were sealed.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bridge.transfer import ustar
from spool.errors import SpoolError
from spool.safefile import open_regular

PIECE = 1 << 20
"""Bytes that are read, hashed or written at once."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A segment's file; ``sealed`` bytes stand before its seal, and have this SHA-256."""

    path: str | Path
    sealed: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Source:
    """A member: its name, its bytes, or the segment that holds them."""

    name: str
    size: int
    data: bytes | Stored


class DamagedSourceError(SpoolError):
    """The segment that was to be packed as ``name`` is not what was sealed."""

    def __init__(self, name: str) -> None:
        """For the member ``name``."""
        super().__init__(
            "segment.damaged",
            f"{name} is missing, or is not what was sealed.",
            "Run bridge verify on the spool, then export again.",
        )
        self.name = name


def layout(sources: Sequence[Source]) -> Iterator[bytes | Source]:
    """The container of ``sources``, in order: segments by themselves, all that is between them."""
    held = bytearray()
    for source in sources:
        held += ustar.header(source.name, source.size)
        if isinstance(source.data, bytes):
            held += source.data
        else:
            yield bytes(held)
            yield source
            held.clear()
        held += ustar.padding(source.size)
    yield bytes(held) + ustar.END


def open_source(source: Source, stored: Stored) -> int:
    """A descriptor of the segment's file.

    Raises :class:`DamagedSourceError`, :class:`VerificationError` ``file.kind``, or :class:`OSError`.
    """
    try:
        fd = open_regular(stored.path, own=True)
    except FileNotFoundError as error:
        raise DamagedSourceError(source.name) from error
    if os.fstat(fd).st_size != source.size:
        os.close(fd)
        raise DamagedSourceError(source.name)
    return fd


def read_seal(source: Source, stored: Stored) -> bytes:
    """The segment's seal as it lies in the spool. Raises as :func:`open_source` does."""
    fd = open_source(source, stored)
    try:
        return os.pread(fd, source.size - stored.sealed, stored.sealed)
    finally:
        os.close(fd)


def check_source(source: Source, stored: Stored) -> None:
    """Nothing, if the segment's bytes are those that were sealed; raises as :func:`open_source`."""
    digest = hashlib.sha256()
    with os.fdopen(open_source(source, stored), "rb", buffering=0) as file:
        left = stored.sealed
        while left and (piece := file.read(min(PIECE, left))):
            digest.update(piece)
            left -= len(piece)
    if left or digest.hexdigest() != stored.sha256:
        raise DamagedSourceError(source.name)
