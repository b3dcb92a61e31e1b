"""What holds a request back although its lane could send: how fast, how often, at which hours.

Limits are asked before a lane is chosen, so whoever goes when there is room again goes by priority,
and a request that has begun is never slowed down: its deadline is for the network alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class Limit(Protocol):
    """One limit; the engine's lock guards it."""

    def wait(self) -> float:
        """Seconds until a request may begin; 0 where one may now."""
        ...

    def begin(self) -> None:
        """A step begins that may become a request."""
        ...

    def end(self, sent: int, records: int, *, reached: bool) -> None:
        """The step is over: bytes of body and records that were sent, whether they were taken.

        Without bytes there was no request.
        """
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

    def end(self, sent: int, records: int, *, reached: bool) -> None:
        """Give back what it did not need."""
        del records, reached
        self._spend(sent)

    def _spend(self, sent: int) -> None:
        self._refill()
        self._left = min(self._left + self._request_max - sent, self._most)

    def _refill(self) -> None:
        now = self._monotonic()
        self._left = min(self._left + (now - self._at) * self._per_s, self._most)
        self._at = now


class RecordRate(Rate):
    """As :class:`Rate`, in records; how many a request holds is known when it has been sent."""

    def __init__(self, per_s: int, monotonic: Callable[[], float]) -> None:
        super().__init__(per_s, 0, monotonic)

    def end(self, sent: int, records: int, *, reached: bool) -> None:
        """Count what was sent."""
        del sent, reached
        self._spend(records)


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast may be sent: bytes a second, records a second; None: as fast as it goes."""

    bytes_per_s: int | None = None
    records_per_s: int | None = None


AT_FULL_SPEED = Pace()


def request_max(configured: int, pace: Pace) -> int:
    """Bytes of records in a request: at a low rate about a second's."""
    if pace.records_per_s is not None:
        configured = min(configured, REQUEST_LEAST)
    per_s = pace.bytes_per_s
    if per_s is None:
        return configured
    return min(configured, max(REQUEST_LEAST, int(per_s * RATE_SPAN_S)))
