"""Reads a request's body, within limits that hold while it is read.

All bodies in work share one budget of memory; a request that does not fit is asked to come back.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import ClientDisconnect, Request

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

    def __init__(self, size: int = SHARED_MAX) -> None:
        self._free = size

    @asynccontextmanager
    async def body_of(self, request: Request) -> AsyncIterator[bytes]:
        """The whole body of ``request``; its memory is given back at the end.

        Raises :class:`RefusalError` 413, 408 or 503.
        """
        pieces: list[bytes] = []
        taken = size = 0
        try:
            _check_length(request)
            stream = aiter(request.stream())
            while True:
                piece = await _next(stream)
                if piece is None:
                    break
                size += len(piece)
                if size > BODY_MAX:
                    raise _too_large()
                taken += self._take(len(piece))
                pieces.append(piece)
            if size > LARGE:
                taken += self._take(size * (JUDGING_FACTOR - 1))
            yield pieces[0] if len(pieces) == 1 else b"".join(pieces)
        finally:
            self._free += taken

    def _take(self, size: int) -> int:
        # One large body alone may exceed what is left, or it could never be taken.
        if size > self._free and self._free < SHARED_MAX - BODY_MAX:
            raise RefusalError(
                503,
                "intake.busy",
                "Too many large requests are in work.",
                "Send it again in a few seconds.",
            )
        self._free -= size
        return size


async def _next(stream: AsyncIterator[bytes]) -> bytes | None:
    try:
        async with asyncio.timeout(SILENCE_S):
            return await anext(stream)
    except StopAsyncIteration:
        return None
    except TimeoutError:
        raise RefusalError(
            408, "intake.slow", "The rest of the request did not come.", "Send it again."
        ) from None
    except ClientDisconnect:
        raise RefusalError(
            400, "intake.cut", "The request was broken off.", "Send it again."
        ) from None


def _check_length(request: Request) -> None:
    length = request.headers.get("content-length", "0")
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
