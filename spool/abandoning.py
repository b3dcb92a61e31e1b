"""Long work in a thread ends soon after nobody waits for it any more.

Python cannot end a thread from outside. So whoever begins work that may take long says how to know
that it is not wanted any more, and loops that a hostile input makes long call :func:`checkpoint`: the
work ends there. It must not have begun anything by then that stays half done.
"""

import threading
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


class AbandonedError(Exception):
    """Nobody waits for the work any more. Never shown to anybody."""


class _Local(threading.local):
    """How the thread's work knows; None where somebody waits for it however long it takes."""

    abandoned: Callable[[], bool] | None = None


_local = _Local()


def while_wanted(abandoned: Callable[[], bool], work: Callable[..., _T], *arguments: object) -> _T:
    """What becomes of ``work``, done by this thread; it ends at a checkpoint once ``abandoned()``.

    Raises :class:`AbandonedError`, at once where nobody waits already.
    """
    _local.abandoned = abandoned
    try:
        checkpoint()
        return work(*arguments)
    finally:
        _local.abandoned = None


def checkpoint() -> None:
    """Raise :class:`AbandonedError` where nobody waits for what this thread does."""
    abandoned = _local.abandoned
    if abandoned is not None and abandoned():
        raise AbandonedError
