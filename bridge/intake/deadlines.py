"""Ends waits that last too long, with one timer for all that begin within half a second.

A timer for each wait costs the event loop more than the wait itself.
"""

import asyncio
from typing import Any

STEP_S = 0.5
"""Seconds that one timer stands for: a wait may last so much longer than it should."""


class Deadlines:
    """Waits of at least ``seconds``; used by one event loop at a time, in its thread alone."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._loop: asyncio.AbstractEventLoop | None = None
        self._begun: set[asyncio.Future[Any]] = set()

    def watch(self, future: "asyncio.Future[Any]") -> "set[asyncio.Future[Any]]":
        """Have ``future`` end with :class:`TimeoutError` where it lasts long.

        Whoever awaits it takes it out of what is returned when it has ended: to do that here would
        take a coroutine for each.
        """
        loop = future.get_loop()
        begun = self._begun if self._loop is loop else self._begin(loop)
        begun.add(future)
        return begun

    def _begin(self, loop: asyncio.AbstractEventLoop) -> "set[asyncio.Future[Any]]":
        self._loop, self._begun = loop, set()
        loop.call_later(STEP_S, self._close, self._begun)
        loop.call_later(STEP_S + self._seconds, _end, self._begun)
        return self._begun

    def _close(self, begun: "set[asyncio.Future[Any]]") -> None:
        """The next wait begins a set of its own."""
        if begun is self._begun:
            self._loop = None


def _end(begun: "set[asyncio.Future[Any]]") -> None:
    for future in begun:
        if not future.done():
            future.set_exception(TimeoutError())
