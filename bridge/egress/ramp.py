"""After an outage the requests begin as often as they came before it, and become more by and by.

Everybody's backlog is sent at the same time then, and a beacon that just came back must not be felled
by it. Nobody knows what it bears; what it bore is known.
"""

import math
from collections.abc import Callable

OUTAGE_S = 60.0
"""Seconds: after less there is no backlog worth a ramp, and retries are spread over as many."""
DOUBLING_S = 600.0
"""Seconds in which the requests become twice as many: a backlog of days is sent within the hour, one
of minutes at less than twice the usual rate."""
STEADY_OVER_S = 300.0
"""Seconds over which the usual rate is measured."""
STEADY_MIN = 0.1
"""Requests a second at least: a lane that flows is sealed every ten seconds."""
ENDS_AT = 50.0
"""Requests a second: faster than anybody sends."""


class Ramp:
    """A limit on requests a second, for some time after an outage."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._started = self._reached_at = monotonic()
        self._level = 0.0
        self._steady = STEADY_MIN
        self._began: float | None = None
        self._next = self._started

    def recovered(self, open_for: float) -> None:
        """A circuit closed that was open for so many seconds."""
        if open_for < OUTAGE_S:
            return
        age = max(self._reached_at - self._started, STEADY_OVER_S / 100)
        seen = 1 - math.exp(-age / STEADY_OVER_S)
        if self._began is None:
            self._steady = max(self._level / seen, STEADY_MIN)
        self._began = self._monotonic()
        # The outage says nothing of what is usual.
        self._started += self._began - self._reached_at
        self._reached_at = self._began
        self._next = self._began + self._gap()

    def release(self) -> None:
        """A person wants everything sent now."""
        self._began = None

    def wait(self) -> float:
        """Until the next request's turn."""
        if self._began is None:
            return 0.0
        if self._gap() < 1 / ENDS_AT:
            self._began = None
            return 0.0
        return max(self._next - self._monotonic(), 0.0)

    def begin(self) -> None:
        """One has its turn."""
        if self._began is not None:
            self._next = self._monotonic() + self._gap()

    def end(self, sent: int, records: int, *, reached: bool) -> None:
        """What was taken is what the beacon bears."""
        del records
        now = self._monotonic()
        if not sent:
            self._next = now
        if reached:
            decay = math.exp((self._reached_at - now) / STEADY_OVER_S)
            self._level = self._level * decay + 1 / STEADY_OVER_S
            self._reached_at = now

    def _gap(self) -> float:
        """Seconds between two requests."""
        assert self._began is not None  # noqa: S101 - asked on a ramp alone
        grown: float = 2.0 ** min((self._monotonic() - self._began) / DOUBLING_S, 32)
        return 1 / (self._steady * grown)
