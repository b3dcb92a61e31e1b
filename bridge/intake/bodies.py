"""Reads a request's body, within limits that hold while it is read.

All bodies in work share one budget of memory; a request that does not fit is asked to come back.
"""

import asyncio
from types import TracebackType
from typing import Self

from starlette.datastructures import Headers
from starlette.types import Receive

from bridge.intake.refusals import RefusalError

MIB = 1024 * 1024
BODY_MAX = 64 * MIB
"""Bytes of one body, the limit that OpenTelemetry's receivers have."""
SHARED_MAX = 128 * MIB
"""Bytes that all bodies in work may take together, with what judging them takes."""
LARGE = MIB
JUDGING_FACTOR = 5
"""A body above a MiB is taken apart to be split: 64 MiB were seen to take 370 MiB at the peak."""
SILENCE_S = 5.0
"""Seconds between two pieces of a body; clients give up after 10."""


class Budget:
    """The memory that bodies in work share; for one event loop."""

    def __init__(self) -> None:
        self._free = SHARED_MAX

    def take(self, size: int) -> None:
        """Set ``size`` bytes aside. Raises :class:`RefusalError` 503 where they are not free."""
        # While half is free, one large body may have more than is left, or it could never be taken.
        if size > self._free and self._free < SHARED_MAX - BODY_MAX:
            raise RefusalError(
                503,
                "intake.busy",
                "Too many large requests are in work.",
                "Send it again in a few seconds.",
            )
        self._free -= size

    def give_back(self, size: int) -> None:
        """The end of what :meth:`take` began."""
        self._free += size


class BodyReader:
    """Reads one body; its memory counts until the ``with`` block ends."""

    __slots__ = ("_budget", "_headers", "_receive", "_taken")

    def __init__(self, budget: Budget, headers: Headers, receive: Receive) -> None:
        self._budget = budget
        self._headers = headers
        self._receive = receive
        self._taken = 0

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give its memory back."""
        self._budget.give_back(self._taken)

    async def read(self) -> bytes:
        """The whole body. Raises :class:`RefusalError` 400, 408, 413 or 503."""
        _check_length(self._headers)
        try:
            async with asyncio.timeout(SILENCE_S) as silence:
                piece, more = await self._next(0)
                if more:
                    piece = await self._rest(piece, silence)
        except TimeoutError:
            raise RefusalError(
                408,
                "intake.slow",
                "The rest of the request did not come.",
                "Send it again.",
                {"Connection": "close"},
            ) from None
        if len(piece) > LARGE:
            self._take(len(piece) * (JUDGING_FACTOR - 1))
        return piece

    async def _rest(self, first: bytes, silence: asyncio.Timeout) -> bytes:
        # Not a list: of pieces of one byte it would take forty times what they hold.
        body = bytearray(first)
        more = True
        while more:
            silence.reschedule(asyncio.get_running_loop().time() + SILENCE_S)
            piece, more = await self._next(len(body))
            body += piece
        return bytes(body)

    async def _next(self, size: int) -> tuple[bytes, bool]:
        """The next piece after ``size`` bytes, and whether more will come."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise RefusalError(400, "intake.cut", "The request was broken off.", "Send it again.")
        piece: bytes = message.get("body", b"")
        if size + len(piece) > BODY_MAX:
            raise _too_large()
        self._take(len(piece))
        return piece, message.get("more_body", False)

    def _take(self, size: int) -> None:
        self._budget.take(size)
        self._taken += size


def _check_length(headers: Headers) -> None:
    length = headers.get("content-length", "0")
    if not length.isascii() or not length.isdigit() or len(length) > len(str(BODY_MAX)):
        raise _too_large()
    if int(length) > BODY_MAX:
        raise _too_large()


def _too_large() -> RefusalError:
    return RefusalError(
        413,
        "intake.too_large",
        f"The request has more than {BODY_MAX} bytes.",
        "Send it in smaller parts.",
    )
