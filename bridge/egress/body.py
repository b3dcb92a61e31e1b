"""A request's body that is made while it is sent.

Stored lines are joined piece by piece, and each piece is gone when the connection has taken it: of a
body of some megabytes there is never more in memory than the lines it is made of, and what is worked
on at one time stays in the processor's cache.
"""

from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from operator import itemgetter


class Body:
    """``size`` bytes in pieces, to be gone through once."""

    def __init__(self, size: int, pieces: Iterator[bytes]) -> None:
        self.size = size
        self._pieces = pieces

    @classmethod
    def of(cls, data: bytes) -> "Body":
        """The body that is there already."""
        return cls(len(data), iter((data,)))

    def __iter__(self) -> Iterator[bytes]:
        """What is left of it."""
        return self._pieces

    def let_go(self) -> None:
        """Hold nothing of it any longer, sent or not."""
        self._pieces = iter(())


def joined(
    chunks: list[bytes], *, opening: bytes, closing: bytes, head: int, tail: int, piece: int
) -> Iterator[bytes]:
    """``opening``, the lines of ``chunks`` joined by commas, ``closing``; ``chunks`` is used up.

    Each chunk holds whole lines with their line ends; of each line the first ``head`` bytes and the
    last ``tail`` before its end are left out. Pieces have about ``piece`` bytes.
    """
    # To look for what stands between two lines takes three times as long, unless it is one byte.
    join = (
        partial(_joined_inner, itemgetter(slice(head, -1 - tail)))
        if head or tail
        else _joined_whole
    )
    chunks.reverse()
    while chunks:
        chunk = chunks.pop()
        begin = 0
        while begin < len(chunk):
            end = _end(chunk, begin, piece)
            is_last = end == len(chunk) and not chunks
            yield join(chunk[begin:end], opening, closing if is_last else b",")
            begin, opening = end, b""


def _joined_whole(lines: bytes, before: bytes, after: bytes) -> bytes:
    text = lines.replace(b"\n", b",")
    # Nearly every piece ends as it is, with the comma for the next one, and is not copied again.
    return text if not before and after == b"," else before + text[:-1] + after


def _joined_inner(
    inner: Callable[[bytes], bytes], lines: bytes, before: bytes, after: bytes
) -> bytes:
    cut = list(map(inner, BytesIO(lines)))
    cut[0] = before + cut[0]
    cut[-1] += after
    return b",".join(cut)


def _end(chunk: bytes, begin: int, size: int) -> int:
    """Where whole lines from ``begin`` on end: before ``size`` bytes, unless one line is longer."""
    if len(chunk) - begin <= size:
        return len(chunk)
    return chunk.rfind(b"\n", begin, begin + size) + 1 or chunk.index(b"\n", begin + size) + 1
