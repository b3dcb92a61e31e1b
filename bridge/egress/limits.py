"""What holds a request back although its lane could send: how fast, how often, at which hours.

Limits are asked before a lane is chosen, so whoever goes when there is room again goes by priority,
and a request that has begun is never slowed down: its deadline is for the network alone.
"""

from collections.abc import Callable
from typing import Protocol


class Limit(Protocol):
    """One limit; the engine's lock guards it."""

    def wait(self) -> float:
        """Seconds until a request may begin; 0 where one may now."""
        ...

    def begin(self) -> None:
        """A step begins that may become a request."""
        ...

    def end(self, sent: int, *, reached: bool) -> None:
        """The step is over: bytes of body that were sent (0: no request), whether it was taken."""
        ...


RATE_SPAN_S = 1.0
"""Seconds whose bytes may go at once: what a request holds where the rate is low."""
REQUEST_LEAST = 64 * 1024
"""Bytes: a lower rate does not make requests smaller, or each would carry a record or two."""


class Rate:
    """Bytes a second on the average, over all lanes: a request goes whole, then there is silence.

    At no time more has been sent than ``per_s`` allows for the time since the beginning, and for
    :data:`RATE_SPAN_S`, and one request. ``request_max`` bytes are set aside for a request until it is
    known how large it was.
    """

    def __init__(self, per_s: int, request_max: int, monotonic: Callable[[], float]) -> None:
        self._per_s = per_s
        self._request_max = request_max
        self._monotonic = monotonic
        self._most = self._left = per_s * RATE_SPAN_S
        self._at = monotonic()

    def wait(self) -> float:
        """Until nothing is owed."""
        self._refill()
        return max(-self._left / self._per_s, 0.0)

    def begin(self) -> None:
        """Set the largest request aside."""
        self._refill()
        self._left -= self._request_max

    def end(self, sent: int, *, reached: bool) -> None:
        """Give back what it did not need."""
        del reached
        self._refill()
        self._left = min(self._left + self._request_max - sent, self._most)

    def _refill(self) -> None:
        now = self._monotonic()
        self._left = min(self._left + (now - self._at) * self._per_s, self._most)
        self._at = now


def request_max(configured: int, per_s: int | None) -> int:
    """Bytes of records in a request: at a low rate about a second's."""
    if per_s is None:
        return configured
    return min(configured, max(REQUEST_LEAST, int(per_s * RATE_SPAN_S)))
