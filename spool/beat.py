"""The moments at which an idle process looks around: the same ones for all of its threads.

To wake a processor that has nothing to do costs more than most looks do. So whoever looks now and then
does it on the beat, when others are awake as well; what has to be known sooner is told. Where one
thread can see for another whether there is something to do, that one sleeps until it is.
"""

import time

BEAT_S = 4.0
"""Seconds between two beats. Periods that are a multiple of it fall on it."""


def until_beat(every_s: float) -> float:
    """Seconds until the next multiple of ``every_s`` seconds of the monotonic clock; above 0."""
    return every_s - time.monotonic() % every_s
