"""A body that grows while it comes in, its compression taken off on the way.

Nothing compressed is kept beside what it became. A small body is inflated where it is, without a
thread; whatever turns out larger is left to one.
"""

from collections.abc import Callable
from io import BytesIO

from bridge.intake.encodings import Decoder, decoder_for
from bridge.intake.refusals import RefusalError

BLOCK = 1024 * 1024
"""Bytes of a body that lie together while it comes in."""
INLINE_STORED = 16 * 1024
"""Compressed bytes that are inflated where they are, in a quarter of a millisecond."""
INLINE_MADE = 128 * 1024
"""Bytes that these may become there, in half a millisecond; what becomes more begins anew."""

Work = Callable[[], None]
"""What is to be called in a thread; raises :class:`RefusalError` 400, 413 or 503."""


class _OverflowError(Exception):
    """More came out than is made without a thread."""


class Growing:
    """Takes pieces of a body in ``coding``, ``most`` bytes decompressed.

    ``hold`` is told of bytes before they are kept.
    """

    def __init__(self, coding: str | None, hold: Callable[[int], None], most: int) -> None:
        self._coding = coding
        self._most = most
        self._hold = hold
        # Pieces of one byte in a list would take forty times what they hold; one buffer that grows
        # beside others would leave holes behind, several times its size. So: blocks of one size.
        self._made = BytesIO()
        self._blocks: list[bytes] = []
        self.size = 0
        self._stored = b""
        self._decoder: Decoder | None = None

    def add(self, piece: bytes) -> Work | None:
        """Take the next piece as it came; the work that this makes, if it is not done."""
        if self._coding is None:
            self._keep(piece)
            return None
        self._stored += piece
        if self._decoder is None and len(self._stored) <= INLINE_STORED:
            return None
        return self._feed

    def end(self) -> Work | None:
        """No more will come; the work that is left."""
        if self._coding is None:
            return None
        if self._decoder is not None:
            return self._decoder.finish
        return None if self._is_done_inline(self._coding) else self._feed_and_finish

    def content(self) -> bytes:
        """All of it; twice its size for a moment, where it is many blocks. Afterwards it is gone."""
        last, self._made = self._made.getvalue(), BytesIO()
        if not self._blocks:
            return last
        self._blocks.append(last)
        whole = b"".join(self._blocks)
        self._blocks.clear()
        return whole

    def forget(self) -> None:
        """Let go of everything: with its decoder it refers to itself, and would stay for that."""
        self._decoder = None
        self._blocks.clear()
        self._made = BytesIO()
        self._stored = b""

    def _is_done_inline(self, coding: str) -> bool:
        made: list[bytes] = []
        room = INLINE_MADE

        def keep(piece: bytes) -> None:
            nonlocal room
            room -= len(piece)
            if room < 0:
                raise _OverflowError
            made.append(piece)

        decoder = decoder_for(coding, keep)
        try:
            decoder.feed(self._stored)
            decoder.finish()
        except _OverflowError:
            return False
        self._keep(b"".join(made))
        return True

    def _feed(self) -> None:
        if self._decoder is None:
            assert self._coding is not None  # noqa: S101 - else there is nothing to inflate
            self._decoder = decoder_for(self._coding, self._keep)
        stored, self._stored = self._stored, b""
        self._decoder.feed(stored)

    def _feed_and_finish(self) -> None:
        self._feed()
        assert self._decoder is not None  # noqa: S101 - it was just made
        self._decoder.finish()

    def _keep(self, piece: bytes) -> None:
        self.size += len(piece)
        if self.size > self._most:
            raise too_large(self._most)
        self._hold(len(piece))
        self._made.write(piece)
        if self._made.tell() >= BLOCK:
            self._blocks.append(self._made.getvalue())
            self._made = BytesIO()


def too_large(most: int) -> RefusalError:
    """A body of more than ``most`` bytes, before or after decompression."""
    return RefusalError(
        413,
        "intake.too_large",
        f"The request has more than {most} bytes.",
        "Send it in smaller parts.",
    )
