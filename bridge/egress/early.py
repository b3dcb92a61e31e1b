"""An answer that comes before its request was sent whole.

Who refuses what it has not read may neither read on nor close: a request that waits until the other
side takes more would wait until its deadline, and then know of no answer. What comes meanwhile is kept
for whoever reads. A success ends no sending: some begin to say it while they still read; and it counts
only once all was sent.
"""

import re
import select
import ssl
from collections.abc import Callable

HELD_MAX = 64 * 1024
"""Bytes; of more than that nobody looks at what comes, and the request goes on."""
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-9])[0-9]{2}[ \r\n]")
_NOTHING = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_INTERIM, _REFUSALS = b"1", (b"3", b"4", b"5")


class Early:
    """Of one connection, or of what is decrypted of one."""

    def __init__(self, receive: Callable[[int], bytes]) -> None:
        """``receive`` gives at most so many bytes of what came, as a socket that does not wait."""
        self._receive = receive
        self._held = b""
        self._looks = True

    @property
    def wanted(self) -> int:
        """What of the connection is to be waited for beside its own need; see :mod:`select`."""
        return select.POLLIN if self._looks else 0

    def refuses(self) -> bool:
        """Take what came; whether an answer has begun that is final and no success."""
        try:
            while self._looks:
                piece = self._receive(HELD_MAX - len(self._held))
                self._held += piece
                self._looks = bool(piece) and len(self._held) < HELD_MAX
        except OSError as error:  # nothing is there, or whoever reads hears of it
            self._looks = isinstance(error, _NOTHING)
        return _begins(self._held) in _REFUSALS

    def take(self, most: int) -> bytes:
        """The first of what came, at most so many bytes."""
        piece, self._held = self._held[:most], self._held[most:]
        return piece


def _begins(data: bytes) -> bytes:
    """The first digit of the final status in ``data``; empty where there is none yet."""
    while (found := _STATUS.match(data)) is not None:
        if found[1] != _INTERIM:
            return found[1]
        _, _, data = data.partition(b"\r\n\r\n")
    return b""
