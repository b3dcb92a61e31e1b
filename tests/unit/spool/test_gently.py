"""Work that nobody waits for leaves the processor to others, until somebody does."""

import time
from collections.abc import Callable
from resource import RUSAGE_THREAD, getrusage

from spool.gently import PAUSES, STEP_S, breathe, gently

STEPS = 20


def work() -> tuple[float, float, int]:
    """Seconds that it took, those of the processor, and how often the thread let go of it."""
    begun, busy = time.monotonic(), time.thread_time()
    waits = getrusage(RUSAGE_THREAD).ru_nvcsw
    for _ in range(STEPS):
        until = time.thread_time() + STEP_S
        while time.thread_time() < until:
            pass
        breathe()
    waited = getrusage(RUSAGE_THREAD).ru_nvcsw - waits
    return time.monotonic() - begun, time.thread_time() - busy, waited


def waits_of(hurried: Callable[[], bool]) -> int:
    return gently(hurried, work)[2]


def test_it_pauses_for_several_times_as_long_as_it_works() -> None:
    took, busy, waits = gently(lambda: False, work)
    assert took > busy + PAUSES * STEPS * STEP_S
    assert waits >= STEPS


def test_it_does_not_pause_where_somebody_waits_for_it_or_it_was_not_told_to() -> None:
    assert waits_of(lambda: True) < STEPS // 2
    assert work()[2] < STEPS // 2


def test_it_goes_on_at_once_when_somebody_begins_to_wait() -> None:
    looks = iter([False, False])
    assert 2 <= waits_of(lambda: next(looks, True)) < STEPS // 2
