"""What the coroutines of one event loop append within one turn of it.

It is judged and handed over together, at the end of that turn: beside a sync that all share, what each
record costs the loop is what counts, and work of one kind done in a row costs half of what it costs
between other work.
"""

import asyncio
from collections.abc import Callable, Sequence

Waiter = tuple["asyncio.Future[int]", int]
"""What a coroutine awaits, and the number of lines that it is told of when they are durable."""
Make = Callable[[], Sequence[bytes]]
"""Gives the lines of one call, once; what it raises is told to the call's own coroutine."""


class Gathering:
    """For one loop, used in its thread alone.

    ``hand_over`` takes the lines of several calls, in their order, with their waiters, and raises if it
    cannot.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        hand_over: Callable[[asyncio.AbstractEventLoop, list[bytes], list[Waiter]], None],
    ) -> None:
        self.loop = loop
        self._hand_over = hand_over
        self._calls: list[tuple[Make, asyncio.Future[int]]] = []

    def add(self, make: Make) -> "asyncio.Future[int]":
        """What to await until the lines of ``make`` are durable, or refused; how many there are.

        A call that is cancelled within the turn was never made.
        """
        loop = self.loop
        if not self._calls:
            loop.call_soon(self._turn_ends)
        future: asyncio.Future[int] = loop.create_future()
        self._calls.append((make, future))
        return future

    def _turn_ends(self) -> None:
        calls, self._calls = self._calls, []
        lines: list[bytes] = []
        waiters: list[Waiter] = []
        for make, future in calls:
            if future.done():
                continue
            try:
                made = make()
            except Exception as error:  # noqa: BLE001 - the caller's own; the others go on
                future.set_exception(error)
                continue
            if made:
                lines += made
                waiters.append((future, len(made)))
            else:
                future.set_result(0)
        if not lines:
            return
        try:
            self._hand_over(self.loop, lines, waiters)
        except Exception as error:  # noqa: BLE001 - told to each of the callers
            for future, _ in waiters:
                future.set_exception(error)
