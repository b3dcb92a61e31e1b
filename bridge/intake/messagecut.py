"""Cuts a serialized message at one repeated field, without parsing it.

A parsed message takes up to a hundred times its bytes. Cut first, a large one can be parsed a piece
at a time. Nothing is judged here that protobuf's own parser will judge: it gets every byte.
"""

from dataclasses import dataclass

from google.protobuf.message import DecodeError

from spool.abandoning import checkpoint
from spool.jsonparts import ELEMENTS_MAX, too_many

_VARINT, _FIXED64, LENGTH, _GROUP, _GROUP_END, _FIXED32 = range(6)
_MORE = 0x80
"""The bit of a varint's byte that says that another follows."""
_VARINT_BYTES = 10
"""Bytes of the longest varint that protobuf has."""
_HEAD_BYTES = 5
"""Bytes of the longest tag or size that its parser takes; of an entry cut open it sees neither."""


@dataclass(frozen=True, slots=True)
class Cut:
    """``runs`` of entries of the field, by where they begin and end, and all else, joined.

    A run of one entry says where what the entry holds begins; else that is None.
    """

    runs: list[tuple[int, int | None, int]]
    rest: bytes


def cut(data: bytes, begin: int, end: int, number: int, most: int) -> Cut:
    """Cut the message in ``data[begin:end]`` at the entries of the field ``number`` (1 to 15).

    A run has no more than ``most`` bytes; a larger entry stands alone. Raises
    :class:`google.protobuf.message.DecodeError` for what cannot be cut, and :class:`RecordError`
    ``record.too_large`` for more than :data:`ELEMENTS_MAX` entries: each takes memory many times its
    bytes, of which there may be two.
    """
    wanted = number << 3 | LENGTH
    runs: list[tuple[int, int | None, int]] = []
    rest: list[bytes] = []
    open_at = content = closed_at = begin
    single = False
    at = begin
    entries = 0
    while at < end:
        entries += 1
        if entries > ELEMENTS_MAX:
            raise too_many()
        start = at
        # A tag of one byte and a size of one or two need no function: there may be millions of them.
        if data[at] == wanted and at + 1 < end and data[at + 1] < _MORE:
            inner = at + 2
            at = inner + data[at + 1]
        elif data[at] == wanted and at + 2 < end and data[at + 2] < _MORE:
            inner = at + 3
            at = inner + (data[at + 1] ^ _MORE | data[at + 2] << 7)
        else:
            tag, at = varint(data, at, end, _HEAD_BYTES)
            if tag != wanted:
                checkpoint()
                at = after(data, tag, at, end)
                rest.append(data[start:at])
                continue
            size, inner = varint(data, at, end, _HEAD_BYTES)
            at = inner + size
        if at > end:
            raise DecodeError
        if closed_at == start and at - open_at <= most and open_at != start:
            single = False
        else:
            checkpoint()
            if open_at != closed_at:
                runs.append((open_at, content if single else None, closed_at))
            open_at, content, single = start, inner, True
        closed_at = at
    if open_at != closed_at:
        runs.append((open_at, content if single else None, closed_at))
    return Cut(runs, b"".join(rest))


def varint(data: bytes, at: int, end: int, most: int = _VARINT_BYTES) -> tuple[int, int]:
    """The number that begins at ``at``, in at most so many bytes, and where it ends."""
    value = shift = 0
    for place in range(at, min(end, at + most)):
        byte = data[place]
        value |= (byte & 0x7F) << shift
        if byte < _MORE:
            return value, place + 1
        shift += 7
    raise DecodeError


def after(data: bytes, tag: int, at: int, end: int) -> int:
    """Where the entry ends whose ``tag`` ends at ``at``; a group ends with its last."""
    depth = 0
    while True:
        kind = tag & 7
        if kind == _VARINT:
            _, at = varint(data, at, end)
        elif kind == LENGTH:
            size, at = varint(data, at, end)
            at += size
        elif kind == _FIXED64:
            at += 8
        elif kind == _FIXED32:
            at += 4
        elif kind == _GROUP:
            depth += 1
        elif kind == _GROUP_END:
            depth -= 1
        else:
            raise DecodeError
        if at > end or depth < 0:
            raise DecodeError
        if not depth:
            return at
        tag, at = varint(data, at, end)
