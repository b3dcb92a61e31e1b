"""What the coroutines of one event loop append within one turn of it.

It is judged and handed over together, at the end of that turn: beside a sync that all share, what each
record costs the loop is what counts, and work of one kind done in a row costs half of what it costs
between other work.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

_Call = TypeVar("_Call")

Waiter = tuple["asyncio.Future[int]", int]
"""What a coroutine awaits, and the number of lines that it is told of when they are durable."""
Made = Sequence[bytes] | Exception
"""The lines of one call, or why it has none."""
Make = Callable[[], Sequence[bytes]]
"""Gives the lines of one call, once; what it raises is told to the call's own coroutine."""


class Gathering(Generic[_Call]):
    """For one loop, used in its thread alone.

    ``make`` gives what becomes of each of several calls, in their order. ``hand_over`` takes the lines
    of several calls, in their order, with their waiters, and raises if it cannot.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        make: Callable[[Sequence[_Call]], Sequence[Made]],
        hand_over: Callable[[asyncio.AbstractEventLoop, list[bytes], list[Waiter]], None],
    ) -> None:
        self.loop = loop
        self._make = make
        self._hand_over = hand_over
        self._calls: list[_Call] = []
        self._futures: list[asyncio.Future[int]] = []

    def add(self, call: _Call) -> "asyncio.Future[int]":
        """What to await until the lines of ``call`` are durable, or refused; how many there are.

        A call that is cancelled within the turn was never made.
        """
        loop = self.loop
        if not self._calls:
            loop.call_soon(self._turn_ends)
        future: asyncio.Future[int] = loop.create_future()
        self._calls.append(call)
        self._futures.append(future)
        return future

    def _turn_ends(self) -> None:
        calls, futures = self._calls, self._futures
        self._calls, self._futures = [], []
        left = [at for at, future in enumerate(futures) if not future.done()]
        if len(left) < len(futures):
            calls, futures = [calls[at] for at in left], [futures[at] for at in left]
        try:
            self._hand_over_made(calls, futures)
        except Exception as error:  # noqa: BLE001 - told to each of the callers
            for future in futures:
                if not future.done():
                    future.set_exception(error)

    def _hand_over_made(
        self, calls: Sequence[_Call], futures: Sequence["asyncio.Future[int]"]
    ) -> None:
        lines: list[bytes] = []
        waiters: list[Waiter] = []
        for future, made in zip(futures, self._make(calls), strict=True):
            if isinstance(made, Exception):
                future.set_exception(made)
            elif made:
                lines += made
                waiters.append((future, len(made)))
            else:
                future.set_result(0)
        if lines:
            self._hand_over(self.loop, lines, waiters)


def made_by(calls: Sequence[Make]) -> list[Made]:
    """What each of ``calls`` gives or raises."""
    made: list[Made] = []
    for make in calls:
        try:
            made.append(make())
        except Exception as error:  # noqa: BLE001 - the caller's own; the others go on
            made.append(error)
    return made
