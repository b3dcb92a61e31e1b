r"""JSON's escapes as what they stand for, in pieces, as fast whatever the bytes are.

An escape looked at by itself costs a microsecond, and a hostile body has one in each second byte. So
each kind is replaced in a whole piece at once. What is no JSON comes out as something, too.
"""

import re
from collections.abc import Iterator

from spool.abandoning import checkpoint

PIECE = 64 * 1024
"""Bytes that are looked at at once: other threads wait for a fraction of a millisecond."""

_SHORT = ((b"b", b"\b"), (b"f", b"\f"), (b"n", b"\n"), (b"r", b"\r"), (b"t", b"\t"))
_BACKSLASH, _UNICODE = b"\x00", b"\x01"
"""What stands for an escaped backslash and for ``\\u`` meanwhile; JSON has neither byte."""
_UNICODE_SIZE = 6
_HIGH = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}")
"""The first half of a pair."""
_CONTINUES = range(0x80, 0xC0)
"""Bytes that go on with a character of UTF-8."""


def without_escapes(data: bytes) -> Iterator[bytes]:
    """``data`` as UTF-8 with each escape as what it stands for; joined, the pieces are all of it."""
    at = 0
    while at < len(data):
        checkpoint()
        end = _end_of_piece(data, at)
        yield _plain(data[at:end])
        at = end


def _end_of_piece(data: bytes, at: int) -> int:
    """Where a piece that begins at ``at`` ends, so that it cuts nothing in two."""
    end = at + PIECE
    if end >= len(data):
        return len(data)
    while data[end] in _CONTINUES and end > at + PIECE - 3:
        end -= 1
    if _is_escape(data, at, end - 1):
        end -= 1
    open_at = data.rfind(b"\\u", end - _UNICODE_SIZE + 1, end)
    if open_at >= 0 and _is_escape(data, at, open_at):
        end = open_at
    last = end - _UNICODE_SIZE
    return last if _HIGH.fullmatch(data, last, end) and _is_escape(data, at, last) else end


def _is_escape(data: bytes, at: int, begin: int) -> bool:
    """Whether an escape begins at ``begin``, in a piece that begins at ``at``."""
    before = data[at : begin + 1]
    return (len(before) - len(before.rstrip(b"\\"))) % 2 == 1


def _plain(piece: bytes) -> bytes:
    if b"\\" not in piece:
        return piece
    piece = piece.replace(b"\\\\", _BACKSLASH)
    for letter, byte in _SHORT:
        piece = piece.replace(b"\\" + letter, byte)
    if b"\\u" not in piece:
        return piece.replace(b"\\", b"").replace(_BACKSLASH, b"\\")
    piece = piece.replace(b"\\u", _UNICODE).replace(b"\\", b"")
    piece = piece.replace(_UNICODE, b"\\u").replace(_BACKSLASH, b"\\\\")
    if not piece.isascii():
        piece = piece.decode("utf-8", "replace").encode("ascii", "backslashreplace")
    text = piece.decode("unicode_escape", "replace")
    if not text.isascii():
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text.encode()
