"""Whether anything happened lately: in a calm all look around less often.

To wake a processor that was left alone costs many times what a look does. So once nothing has happened
for a minute, the beats are further apart; the first thing that happens ends that at once.
"""

import time
from collections.abc import Callable

from spool.beat import BEAT_S, CALM_BEAT_S, CALM_LOOK_S, CALM_TURN_S, TURN_S

AFTER_S = 60.0
"""Seconds without anything, after which it is calm."""


def _nobody() -> None:
    """Nobody is to be woken."""


class Calm:
    """For one daemon; its main thread :meth:`settle` s it, any thread may :meth:`stir`.

    ``wake`` has the main thread look around now; it never waits.
    """

    def __init__(
        self, wake: Callable[[], None] = _nobody, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._wake = wake
        self._monotonic = monotonic
        self._happened_at = monotonic()
        self._sleepers: list[Callable[[], None]] = []
        self.reigns = False
        """Whether it is calm."""

    def wakes(self, sleeper: Callable[[], None]) -> None:
        """Call ``sleeper``, which must not wait, when a calm ends: it has gone to sleep for long."""
        self._sleepers.append(sleeper)

    @property
    def beat_s(self) -> float:
        """Seconds between two looks of the thread that looks for all."""
        return CALM_BEAT_S if self.reigns else BEAT_S

    def turn_s(self) -> float:
        """Seconds between two turns of the thread that looks whether the main one does."""
        return CALM_TURN_S if self.reigns else TURN_S

    def quiet_s(self) -> float:
        """Seconds between two turns of a thread that has nothing to do."""
        return CALM_LOOK_S if self.reigns else TURN_S

    def stir(self) -> None:
        """Something happens. Never waits."""
        self._happened_at = self._monotonic()
        if self.reigns:
            self._is_over()
            self._wake()

    def end(self) -> None:
        """Something happened, and whoever looks around knows it already."""
        self._happened_at = self._monotonic()
        if self.reigns:
            self._is_over()

    def settle(self, *, at_rest: bool) -> None:
        """Let it be calm where nothing happened for long, and all is ``at_rest`` that beats are for."""
        if not at_rest:
            self.end()
            return
        if self._is_lively():
            return
        self.reigns = True
        # Asked once more: what happens at this moment is seen here, or finds a calm to end.
        if self._is_lively():
            self._is_over()

    def _is_lively(self) -> bool:
        return self._monotonic() - self._happened_at < AFTER_S

    def _is_over(self) -> None:
        self.reigns = False
        for sleeper in self._sleepers:
            sleeper()
