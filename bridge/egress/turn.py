"""One request is made at a time; whoever waits for the network lets the next one be made.

Making requests is work of the interpreter, which does one thing at a time however many threads there
are: side by side they only hand its lock to and fro, at a sixth of what a drain costs. Any number of
requests wait for the network meanwhile, and a distant beacon is sent as many as there are threads.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turn:
    """Held, in a ``with``, by the one thread that works."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    @contextmanager
    def let_go(self) -> Iterator[None]:
        """Within it somebody else may work; to be called by whoever holds it."""
        self._lock.release()
        try:
            yield
        finally:
            self._lock.acquire()
