"""When the time is noted for the clock guard, and the kept tokens are judged anew.

Within a boot the guard needs no notes: the machine's own clock tells how long ago the last one was.
What passes after it is forgotten by a crash across a boot, and only then.
"""

from math import inf

from bridge.daemon.calm import Calm
from spool.clock import MS, Clock

EVERY_S = 60.0
"""Seconds between two notes: at most so much is forgotten."""
CALM_EVERY_S = 600.0
"""The same in a calm: who gains by a clock that was set back asks for a token, and so ends the calm."""
STEP_MS = 1000
"""By so much the wall clock went another way than the machine's own: somebody set it."""
STAYS_S = 60.0
"""Seconds for which a clock that was set forward stays so before that is noted out of turn: what is
noted is believed for ever, and a slip of the hand is put right soon."""


class Noting:
    """The next moment (monotonic seconds), of one daemon."""

    def __init__(self, clock: Clock, calm: Calm) -> None:
        self._clock = clock
        self._calm = calm
        self._noted_at = self._changes_at = -inf
        self._offset_ms = self._offset()
        self._ahead_since: float | None = None

    @property
    def due(self) -> float:
        """When it is time: also once a token has ended, and where the wall clock was set."""
        if self.is_clock_set():
            return -inf
        every_s = CALM_EVERY_S if self._calm.reigns else EVERY_S
        return min(self._noted_at + every_s, max(self._changes_at, self._noted_at + EVERY_S))

    def is_clock_set(self) -> bool:
        """Whether the wall clock was set since the last note: back, or forward and it stays so."""
        moved = self._offset() - self._offset_ms
        if moved < STEP_MS:
            self._ahead_since = None
            return moved <= -STEP_MS
        now = self._clock.monotonic()
        if self._ahead_since is None:
            self._ahead_since = now
        return now - self._ahead_since >= STAYS_S

    def begin(self) -> None:
        """It is done now; one that fails is tried again soon."""
        self._noted_at, self._offset_ms = self._clock.monotonic(), self._offset()
        self._changes_at = -inf

    def done(self, change_in_ms: int | None) -> None:
        """It was done; a token ends in so many ms, None: none does."""
        self._changes_at = inf if change_in_ms is None else self._noted_at + change_in_ms / MS

    def _offset(self) -> float:
        """By how much (ms) the wall clock is ahead of the machine's own, which nobody can set."""
        return self._clock.wall_ms() - self._clock.monotonic() * MS
