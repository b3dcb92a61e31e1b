"""Work on pieces of a large file in a second thread, in order, with few of them waiting."""

import mmap
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

WAITING_MAX = 2
"""Pieces that wait: enough to keep both threads at work, few enough to bound memory."""


class Beside:
    """Does what it is given, one after the other, beside the caller; to be used in a ``with``.

    What fails is raised by a later :meth:`do`, or by :meth:`finish`; what waits then is not done.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="beside")
        self._waiting: deque[Future[object]] = deque()

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the thread; what was not finished is given up."""
        self._thread.shutdown(cancel_futures=True)

    def do(self, work: Callable[..., object], *arguments: Any) -> None:  # noqa: ANN401 - of ``work``
        """Have ``work`` done; waits while too much of it is waiting."""
        self.finish(WAITING_MAX - 1)
        self._waiting.append(self._thread.submit(work, *arguments))

    def finish(self, left: int = 0) -> None:
        """Wait until all of it is done, or all but ``left``."""
        while len(self._waiting) > left:
            self._waiting.popleft().result()


def rooms_of(size: int) -> list[memoryview]:
    """Rooms for pieces, to be used in turn: one is filled while the others wait for their work.

    They begin where pages do, as reads past the page cache ask for.
    """
    return [memoryview(mmap.mmap(-1, size)) for _ in range(WAITING_MAX + 1)]
