"""What comes back of an encrypted file is what was made of it, each chunk at its place, or refused."""

from collections.abc import Iterator
from itertools import pairwise
from random import Random

import pytest
from pyrage.x25519 import Identity

from bridge.transfer.agewriting import CHUNK, SEALED_CHUNK, AgeWriter, sealed_size
from bridge.transfer.rereading import Opening
from spool.errors import SpoolError

SIZES = [1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 5]


def made(size: int) -> tuple[AgeWriter, bytes]:
    writer = AgeWriter([str(Identity.generate().to_public())])
    room = memoryview(bytearray(sealed_size(size)))
    used = writer.seal(memoryview(Random(size).randbytes(size)), room, last=True)
    return writer, writer.start + bytes(room[:used])


def taken(writer: AgeWriter, data: bytes, piece: int) -> bool:
    """Whether ``data``, given in pieces of that size, passes."""
    opening = Opening("name", writer)
    try:
        for at in range(0, len(data), piece):
            opening.take(memoryview(data)[at : at + piece])
        opening.finish()
    except SpoolError as error:
        assert error.id == "medium.changed"  # noqa: PT017 - or all of it passes
        return False
    return True


def changes(writer: AgeWriter, data: bytes) -> Iterator[bytes]:
    """``data`` flipped, cut, longer, and with chunks that changed places, were left out or repeated."""
    start = len(writer.start)
    for at in (0, start - 1, start, start + 1, len(data) // 2, len(data) - 1):
        yield data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    ends = [*range(start, len(data), SEALED_CHUNK), len(data)]
    yield from (data[:end] for end in (0, 1, start - 1, *ends[:-1], len(data) - 1))
    yield from (data + more for more in (b"\0", data[start:], bytes(SEALED_CHUNK)))
    chunks = [data[a:b] for a, b in pairwise(ends)]
    if len(chunks) > 1:
        head = data[:start]
        yield head + b"".join([chunks[1], chunks[0], *chunks[2:]])
        yield head + b"".join(chunks[1:])
        yield head + b"".join([chunks[0], *chunks])
        yield head + b"".join([*chunks[:-1], chunks[-2]])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("piece", [97, 4096, SEALED_CHUNK, 1 << 20], ids="pieces of {}".format)
def test_what_was_made_passes_in_pieces_of_any_size(size: int, piece: int) -> None:
    writer, data = made(size)
    assert taken(writer, data, piece)


@pytest.mark.parametrize("size", SIZES)
def test_what_is_not_what_was_made_is_refused(size: int) -> None:
    writer, data = made(size)
    some = list(changes(writer, data))
    assert not any(taken(writer, each, piece) for each in some for piece in (4096, 1 << 20))


def test_what_another_writer_made_of_the_same_is_refused() -> None:
    writer, _ = made(CHUNK + 1)
    other, data = made(CHUNK + 1)
    assert taken(other, data, 4096)
    assert not taken(writer, data, 4096)
    assert not taken(writer, writer.start + data[len(writer.start) :], 4096)
