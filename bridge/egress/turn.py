"""One request is made at a time; whoever waits for the network lets the next one be made.

Making requests is work of the interpreter, which does one thing at a time however many threads there
are: side by side they only hand its lock to and fro, at a sixth of what a drain costs. Any number of
requests wait for the network meanwhile, and a distant beacon is sent as many as there are threads.

Whoever comes back from the network goes before those who have yet to begin. So a near beacon, which
answers before the next request is made, is sent by two threads in turns, whose memory is at hand.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turn:
    """Held, in a ``with``, by the one thread that works."""

    def __init__(self) -> None:
        lock = threading.Lock()
        self._begin = threading.Condition(lock)
        self._go_on = threading.Condition(lock)
        self._held = False
        self._coming_back = 0

    def __enter__(self) -> None:
        with self._begin:
            while self._held or self._coming_back:
                self._begin.wait()
            self._held = True

    def __exit__(self, *_: object) -> None:
        self._let_go()

    @contextmanager
    def let_go(self) -> Iterator[None]:
        """Within it somebody else may work; to be called by whoever holds it."""
        self._let_go()
        try:
            yield
        finally:
            with self._go_on:
                self._coming_back += 1
                while self._held:
                    self._go_on.wait()
                self._coming_back -= 1
                self._held = True

    def _let_go(self) -> None:
        with self._begin:
            self._held = False
            (self._go_on if self._coming_back else self._begin).notify()
