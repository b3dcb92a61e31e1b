"""A request's body that is made while it is sent.

Stored lines are joined piece by piece, and each piece is gone when the connection has taken it: of a
body of some megabytes there is never more in memory than the lines it is made of, and what is worked
on at one time stays in the processor's cache.
"""

from collections.abc import Iterator


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
    chunks: list[bytes], *, opening: bytes, closing: bytes, head: bytes, tail: bytes, piece: int
) -> Iterator[bytes]:
    """``opening``, the lines of ``chunks`` joined by commas, ``closing``; ``chunks`` is used up.

    Each chunk holds whole lines with their line ends. ``head`` and ``tail`` are what every line
    begins and ends with and what is left out of each; they stand nowhere else beside a line end, so
    one replacement joins the lines. Pieces have about ``piece`` bytes.
    """
    seam = tail + b"\n" + head
    before = opening
    chunks.reverse()
    while chunks:
        chunk = chunks.pop()
        begin = 0
        while begin < len(chunk):
            end = _end(chunk, begin, piece)
            lines = memoryview(chunk[begin:end].replace(seam, b","))
            last = end == len(chunk) and not chunks
            inner = lines[len(head) : len(lines) - 1 - len(tail)]
            yield b"".join((before, inner, closing if last else b""))
            before = b","
            begin = end


def _end(chunk: bytes, begin: int, size: int) -> int:
    """Where whole lines from ``begin`` on end: before ``size`` bytes, unless one line is longer."""
    if len(chunk) - begin <= size:
        return len(chunk)
    return chunk.rfind(b"\n", begin, begin + size) + 1 or chunk.index(b"\n", begin + size) + 1
