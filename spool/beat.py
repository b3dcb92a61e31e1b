"""The moments at which an idle process looks around: the same ones for all of its threads.

To wake a processor that has nothing to do costs more than most looks do. So whoever looks now and then
does it on the beat, when others are awake as well; what has to be known sooner is told. Where one
thread can see for another whether there is something to do, that one sleeps until it is.
"""

import time

BEAT_S = 4.0
"""Seconds between two beats. Periods that are a multiple of it fall on it."""
PLACE_S = 0.05
"""Seconds from one place on a beat to the next: longer than a look takes, and short enough to find the
processor awake. Threads that wake at once pass the interpreter's lock to and fro instead."""


def until_beat(every_s: float, place: int = 0) -> float:
    """Seconds until ``place`` on the next beat of those ``every_s`` seconds apart; above 0."""
    return every_s - (time.monotonic() - place * PLACE_S) % every_s
