"""Reads a request's body, and takes its compression off, within limits that hold while it is read.

What was read counts in the shared memory until nobody works with it any more. A body has to come
without long silence and at a rate: who sends a byte now and then holds no memory for long.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from starlette.types import Receive

from bridge.intake.encodings import check_codings
from bridge.intake.growing import Growing, too_large
from bridge.intake.head import Head
from bridge.intake.memory import BODY_MAX, MIB, UNCOUNTED, Budget
from bridge.intake.refusals import RefusalError
from spool.abandoning import checkpoint, while_wanted

SILENCE_S = 5.0
"""Seconds between two pieces of a body; clients give up after 10."""
BODY_S = 5.0
"""Seconds for a body to come, and one more for each :data:`RATE` bytes of it."""
RATE = 2 * MIB
"""Bytes a second that a long body comes with at least: the slowest link in a cluster has 12 MB/s."""

_T = TypeVar("_T")


class Limit(Protocol):
    """Until when a request may take; :class:`asyncio.Timeout` is one."""

    def reschedule(self, when: float | None) -> None:
        """Move it to ``when`` of the loop's time; None takes it away."""


class BodyReader:
    """Reads one body, of ``most`` bytes at most.

    Its memory counts until the ``with`` block and what it began have ended.
    """

    __slots__ = (
        "_body", "_budget", "_ended", "_failed", "_head", "_judged", "_kept", "_most", "_receive",
        "_taken", "whole_at",
    )  # fmt: skip

    def __init__(self, budget: Budget, head: Head, receive: Receive, most: int = BODY_MAX) -> None:
        self._most = most
        self._budget = budget
        self._head = head
        self._receive = receive
        self._taken = 0
        self._judged = 0
        self._ended = False
        self._failed: list[Exception] = []
        self._kept: asyncio.Future[Any] | None = None
        self._body: Growing | None = None
        self.whole_at: float | None = None
        """When the body had come, of the loop's time; None until then."""

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give its memory back, as soon as nothing works with it."""
        self._ended = True
        if self._kept is not None and not self._kept.done():
            self._kept.add_done_callback(self._ended_late)
        else:
            self._give_back()

    async def read(self, limit: Limit) -> bytes:
        """The whole body, decompressed; ``limit`` is moved while more of it comes.

        Raises :class:`RefusalError` 400, 413, 415 or 503.
        """
        _check_length(self._head, self._most)
        coding = check_codings(self._head.all("content-encoding"))
        piece, more = await self._next(0)
        if not more and coding is None:
            self._take(len(piece))
            self.whole_at = asyncio.get_running_loop().time()
            await self.make_room(len(piece), limit)
            return piece
        body = self._body = Growing(coding, self.hold, self._most)
        await self._rest(body, piece, limit, more=more)
        self.whole_at = asyncio.get_running_loop().time()
        await self.make_room(body.size, limit)
        return await self.aside(body.content) if body.size > UNCOUNTED else body.content()

    async def make_room(self, size: int, limit: Limit) -> None:
        """Room to judge ``size`` bytes of JSON, instead of what was made room for before."""
        self._give_back_judged()
        if size > UNCOUNTED:
            limit.reschedule(None)  # the wait has a bound of its own
            self._judged = await self._budget.take_to_judge(size)

    async def aside(self, work: Callable[..., _T], *arguments: object) -> _T:
        """What becomes of ``work``, which is done beside the loop.

        Once the request has ended, in time or not, it ends at its next checkpoint.
        """
        # A thread's future is in a ring with what wakes the loop. What it gives, or the frames that it
        # raises through, would be kept until somebody looks for rings, and the body with them.
        made: list[_T] = []
        failed = self._failed

        def do() -> None:
            try:
                made.append(while_wanted(self._is_ended, work, *arguments))
            except Exception as error:  # noqa: BLE001 - raised below, if somebody still waits
                failed.append(error)

        await self.finish(asyncio.get_running_loop().run_in_executor(None, do))
        if failed:
            raise failed.pop()
        return made.pop()

    def _is_ended(self) -> bool:
        return self._ended

    async def finish(self, work: "asyncio.Future[_T]") -> _T:
        """What ``work`` with the body gives; the memory is its own until it is done.

        Who is cancelled waits no longer; the work goes on.
        """
        self._kept = work
        try:
            return await asyncio.shield(work)
        finally:
            if work.done():
                # It holds its error, whose frames hold the body, and this: a ring that would stay.
                self._kept = None

    async def _rest(self, body: Growing, first: bytes, limit: Limit, *, more: bool) -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        received = len(first)
        piece = first
        while True:
            if (large := body.add(piece)) is not None:
                limit.reschedule(None)
                paused = loop.time()
                await self.aside(large)
                begun += loop.time() - paused
            if not more:
                break
            due = min(loop.time() + SILENCE_S, begun + BODY_S + received / RATE)
            limit.reschedule(due)
            piece, more = await self._next(received)
            received += len(piece)
        if (large := body.end()) is not None:
            limit.reschedule(None)
            await self.aside(large)

    async def _next(self, size: int) -> tuple[bytes, bool]:
        """The next piece after ``size`` bytes, and whether more will come."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise _cut()
        piece: bytes = message.get("body", b"")
        if size + len(piece) > self._most:
            raise too_large(self._most)
        return piece, message.get("more_body", False)

    def hold(self, size: int) -> None:
        """Count ``size`` further bytes; what works on behind a request that ended is stopped here."""
        checkpoint()
        self._take(size)

    def _take(self, size: int) -> None:
        self._budget.take(size)
        self._taken += size

    def _ended_late(self, work: "asyncio.Future[Any]") -> None:
        if not work.cancelled() and (error := work.exception()) is not None:
            # Nobody asks for it any more, and that is no fault to be logged. Its frames hold the body.
            error.with_traceback(None)
        self._give_back()

    def _give_back(self) -> None:
        self._failed.clear()
        if self._body is not None:
            self._body.forget()
            self._body = None
        self._budget.give_back(self._taken)
        self._give_back_judged()

    def _give_back_judged(self) -> None:
        if self._judged:
            self._budget.give_back_judged(self._judged)
            self._judged = 0


def _check_length(head: Head, most: int) -> None:
    for length in head.all("content-length"):
        if not length.isascii() or not length.isdigit() or len(length) > len(str(BODY_MAX)):
            raise too_large(most)
        if int(length) > most:
            raise too_large(most)


def _cut() -> RefusalError:
    return RefusalError(400, "intake.cut", "The request was broken off.", "Send it again.")
