"""One request is made at a time; whoever waits for the network lets the next one be made.

Making requests is work of the interpreter, which does one thing at a time however many threads there
are: side by side they only hand its lock to and fro, at a sixth of what a drain costs. Any number of
requests wait for the network meanwhile, and a distant beacon is sent as many as there are threads.

Whoever comes back from the network goes before those who have yet to begin. So a near beacon, which
answers before the next request is made, is sent by two threads in turns, whose memory is at hand.
"""

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

LONG_S = 0.05
"""Seconds of work at a stretch after which others go first."""


class Turn:
    """Held, in a ``with``, by the one thread that works."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held = False
        self._since = 0.0
        # Each waits for a lock of its own, so that it is handed over to one who is known.
        self._coming_back: deque[threading.Lock] = deque()
        self._beginning: deque[threading.Lock] = deque()

    def __enter__(self) -> None:
        self._take(self._beginning)

    def __exit__(self, *_: object) -> None:
        self._hand_over()

    @contextmanager
    def let_go(self) -> Iterator[None]:
        """Within it somebody else may work; to be called by whoever holds it."""
        self._hand_over()
        try:
            yield
        finally:
            self._take(self._coming_back)

    def give_way(self) -> None:
        """After long work, as on a slow disk, let those go first who wait; else return at once."""
        if time.monotonic() - self._since > LONG_S:
            with self.let_go():
                pass

    def _take(self, row: deque[threading.Lock]) -> None:
        mine = threading.Lock()
        with self._lock:
            if self._held:
                mine.acquire()
                row.append(mine)
            self._held = True
        mine.acquire()
        self._since = time.monotonic()

    def _hand_over(self) -> None:
        with self._lock:
            row = self._coming_back or self._beginning
            if row:
                row.popleft().release()
            else:
                self._held = False
