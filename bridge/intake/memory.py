"""The memory that bodies in work share, and who may judge a large one.

Bodies, decompressed, and the JSON that protobuf becomes share :data:`SHARED_MAX`; beyond it a request
is asked to come again. What judging takes beside them is :data:`JUDGED_MAX` together, for which bodies
wait in line: so large ones are judged one at a time.

Measured on a whole process, which takes 63 MiB at rest: 236 MiB at the peak with one JSON body of
64 MiB, 308 with 16 of them at once (most of which are asked to come again), 389 with protobuf whose
JSON is six times as large.
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
JUDGED_MAX = BODY_MAX
"""Bytes that judging all bodies in work may take beside them, with the lines that they become."""
JUDGING_FACTOR = 24
"""How many times its bytes judging a body takes at the worst, where it holds little but brackets. More
than all of :data:`JUDGED_MAX` is counted for nobody; a record's values have a bound of their own."""
UNCOUNTED = 256 * 1024
"""Bytes of a body up to which judging it is not counted: it is done at once, one after the other."""
WAIT_S = 3.0
"""Seconds that a large body waits for those before it: with the rest less than a client's 10."""

_M_MMAP_THRESHOLD = -3
_MAPPED_FROM = MIB


def give_large_blocks_back() -> None:
    """Have memory of a MiB and more go back to the system when it is freed, for this process.

    Left to itself glibc stops that after the first large body, and keeps what lay between others.
    Where the C library knows no such thing, nothing happens.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _MAPPED_FROM)


class Budget:
    """What is free of :data:`SHARED_MAX`, for any thread, and of :data:`JUDGED_MAX`, for one loop."""

    def __init__(self) -> None:
        self._free = SHARED_MAX
        self._lock = threading.Lock()
        self._to_judge = JUDGED_MAX
        self._first = asyncio.Lock()
        self._given_back = asyncio.Event()

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

    async def take_to_judge(self, size: int) -> int:
        """Wait, in line, until a body of ``size`` bytes can be judged; how much was set aside for that.

        Raises :class:`RefusalError` 503 if that is long.
        """
        size = min(JUDGING_FACTOR * size, JUDGED_MAX)
        try:
            async with asyncio.timeout(WAIT_S), self._first:
                while size > self._to_judge:
                    self._given_back.clear()
                    await self._given_back.wait()
                self._to_judge -= size
        except TimeoutError:
            raise busy() from None
        return size

    def give_back_judged(self, size: int) -> None:
        """The end of what :meth:`take_to_judge` began."""
        self._to_judge += size
        self._given_back.set()


def busy() -> RefusalError:
    """There is no memory for one more body now."""
    return RefusalError(
        503,
        "intake.busy",
        "Too many large requests are in work.",
        "Send it again in a few seconds.",
    )
