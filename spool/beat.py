"""The moments at which an idle process looks around: the same ones for all of its threads.

To wake a processor that has nothing to do costs more than most looks do. So whoever looks now and then
does it on the beat, when others are awake as well; what has to be known sooner is told. Where one
thread can see for another whether there is something to do, that one sleeps until it is. In a calm,
when nothing has happened for a while, the beats are further apart.
"""

import time
from collections.abc import Callable

BEAT_S = 4.0
"""Seconds between two beats. Periods that are a multiple of it fall on it."""
TURN_S = 3 * BEAT_S
"""Seconds between two turns of a thread that has nothing to do: they show that it lives."""
CALM_BEAT_S = 4 * BEAT_S
"""Seconds between two beats in a calm."""
CALM_TURN_S = 4 * CALM_BEAT_S
"""The turns in a calm of the thread that looks whether the one that looks for all does so."""
CALM_LOOK_S = 4 * CALM_TURN_S
"""Seconds between two looks around in a calm, and between two turns of any other thread."""
PLACE_S = 0.25
"""Seconds from one place on a beat to the next: longer than a look takes where all is cold. Threads
that are awake at once hand the interpreter's lock to and fro at each call of the system."""


def until_beat(every_s: float, place: int = 0) -> float:
    """Seconds until ``place`` on the next beat of those ``every_s`` seconds apart; above 0."""
    return every_s - (time.monotonic() - place * PLACE_S) % every_s


class Pulse:
    """What a thread that turns lets others see: when it will have turned again at the latest.

    Any thread may ask; the first turn is due after :data:`TURN_S`.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._due = monotonic() + TURN_S

    def turn(self, next_in_s: float) -> None:
        """It lives, and turns again within so many seconds."""
        self._due = self._monotonic() + next_in_s

    def hurry(self, seconds: float) -> None:
        """It turns again within so many seconds, whatever it said before: it is woken now."""
        self._due = min(self._due, self._monotonic() + seconds)

    def is_late(self, seconds: float) -> bool:
        """Whether its turn was due so many seconds ago, and did not come."""
        return self._monotonic() - self._due > seconds
