"""What the coroutines of one event loop append within one turn of it.

It is judged and handed over together, at the end of that turn: beside a sync that all share, what each
record costs the loop is what counts, and work of one kind done in a row costs half of what it costs
between other work.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence

Waiter = tuple["asyncio.Future[int]", int]
"""What a coroutine awaits, and the number of lines that it is told of when they are durable."""
Judge = Callable[[Iterable[bytes]], Sequence[bytes]]


class Gathering:
    """For one loop, used in its thread alone.

    ``judge`` makes lines of records; ``hand_over`` takes the lines of several calls, in their order,
    with their waiters, and raises if it cannot.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        judge: Judge,
        hand_over: Callable[[asyncio.AbstractEventLoop, list[bytes], list[Waiter]], None],
    ) -> None:
        self.loop = loop
        self._judge = judge
        self._hand_over = hand_over
        self._calls: list[tuple[Judge, Iterable[bytes], asyncio.Future[int]]] = []

    def add(self, records: Iterable[bytes], *, judged: bool = False) -> "asyncio.Future[int]":
        """What to await until ``records`` are durable, or refused; how many lines they became.

        A call that is cancelled within the turn was never made.
        """
        loop = self.loop
        if not self._calls:
            loop.call_soon(self._turn_ends)
        future: asyncio.Future[int] = loop.create_future()
        self._calls.append((_as_they_are if judged else self._judge, records, future))
        return future

    def _turn_ends(self) -> None:
        calls, self._calls = self._calls, []
        lines: list[bytes] = []
        waiters: list[Waiter] = []
        for judge, records, future in calls:
            if future.done():
                continue
            try:
                made = judge(records)
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


def _as_they_are(lines: Iterable[bytes]) -> Sequence[bytes]:
    return list(lines)
