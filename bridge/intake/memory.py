"""The memory that bodies in work share, and who may judge a large one.

Bodies, decompressed, share :data:`SHARED_MAX`; beyond it a request is asked to come again. Judging
takes several times a body's size for a moment: up to :data:`LARGE` that counts as well, and larger
ones are judged one at a time.

Measured on a whole process, which takes 41 MiB at rest: 373 MiB at the peak with one JSON body of
62 MiB, 433 with three at once, 443 with 64 at once (most of which are asked to come again).
"""

import asyncio
import ctypes
import threading

from bridge.intake.refusals import RefusalError

MIB = 1024 * 1024
BODY_MAX = 64 * MIB
"""Bytes of one body, the limit that OpenTelemetry's receivers have, compressed and not."""
SHARED_MAX = 2 * BODY_MAX
"""Bytes that all bodies in work may take: one of the largest is judged while another comes in."""
LARGE = 8 * MIB
"""Bytes from which bodies are judged one at a time: clients' batches have less."""
SLOT_S = 3.0
"""Seconds that a large body waits for the one before it: with reading less than a client's 10."""

_M_MMAP_THRESHOLD = -3
_MAPPED_FROM = MIB


def give_large_blocks_back() -> None:
    """Have memory of a MiB and more go back to the system when it is freed, for this process.

    Left to itself glibc stops that after the first large body, and keeps what lay between others:
    64 large bodies at once took 601 MiB instead of 443, and left 297 instead of 55. Where the C
    library knows no such thing, nothing happens.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _MAPPED_FROM)


class Budget:
    """What is free of :data:`SHARED_MAX`; any thread may take. The slot is for one event loop."""

    def __init__(self) -> None:
        self._free = SHARED_MAX
        self._lock = threading.Lock()
        self._slot = asyncio.Lock()

    def take(self, size: int) -> None:
        """Set ``size`` bytes aside. Raises :class:`RefusalError` 503 where they are not free."""
        with self._lock:
            if size > self._free:
                raise busy()
            self._free -= size

    def give_back(self, size: int) -> None:
        """The end of what :meth:`take` began."""
        with self._lock:
            self._free += size

    async def take_slot(self) -> None:
        """Wait until no other large body is judged; :class:`RefusalError` 503 if that is long."""
        try:
            async with asyncio.timeout(SLOT_S):
                await self._slot.acquire()
        except TimeoutError:
            raise busy() from None

    def give_slot_back(self) -> None:
        """The end of what :meth:`take_slot` began."""
        self._slot.release()


def busy() -> RefusalError:
    """There is no memory for one more body now."""
    return RefusalError(
        503,
        "intake.busy",
        "Too many large requests are in work.",
        "Send it again in a few seconds.",
    )
