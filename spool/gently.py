"""Long work beside threads that somebody waits for: it pauses between its steps.

Python runs one thread at a time, and a thread that wants to go on waits until another lets go. So a
second of work that nobody waits for, done in one go, makes each step of the others late; done with
pauses it is late itself, and they hardly are. What is better left undone than waited for is left off
between two steps.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

STEP_S = 0.0005
"""Seconds of processor time that are worked without a pause."""
PAUSES = 3
"""How many times as long as it has worked it pauses: a fourth of a processor is enough for it."""
_PAUSE_MAX_S = 0.02

_T = TypeVar("_T")


class _Local(threading.local):
    """How the thread's work knows that it is waited for; None where it need not ask."""

    hurried: Callable[[], bool] | None = None
    left_off: Callable[[], bool] | None = None
    paused_at = 0.0


class LeftOff(Exception):  # noqa: N818 - no error: nobody waits for it any longer
    """The work was not finished, and is not to be."""


_local = _Local()


def gently(hurried: Callable[[], bool], work: Callable[..., _T], *arguments: object) -> _T:
    """What becomes of ``work``, done by this thread with pauses while it is not ``hurried()``."""
    _local.hurried = hurried
    _local.paused_at = time.thread_time()
    try:
        return work(*arguments)
    finally:
        _local.hurried = None


@contextmanager
def may_leave_off(left_off: Callable[[], bool]) -> Iterator[None]:
    """The work of this thread in here raises :class:`LeftOff` at its next step once that is true."""
    _local.left_off = left_off
    try:
        yield
    finally:
        _local.left_off = None


@contextmanager
def to_the_end() -> Iterator[None]:
    """The work of this thread in here is not left off: what was begun would have to be begun twice."""
    left_off, _local.left_off = _local.left_off, None
    try:
        yield
    finally:
        _local.left_off = left_off


def breathe() -> None:
    """Pause, where this thread works gently and has worked for a while.

    Raises :class:`LeftOff` where the work is left off.
    """
    if _local.left_off is not None and _local.left_off():
        raise LeftOff
    hurried = _local.hurried
    if hurried is None:
        return
    worked = time.thread_time() - _local.paused_at
    if worked >= STEP_S and not hurried():
        time.sleep(min(PAUSES * worked, _PAUSE_MAX_S))
        _local.paused_at = time.thread_time()
