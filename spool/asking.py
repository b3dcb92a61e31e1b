"""Asking for a sealing: whoever needs what is still open touches ``seal-request`` and waits a little.

Every writer looks once a second, also when idle, and seals what it holds; what a writer without a key
closes, or one that is gone has left, is sealed by whoever recovers the lane.
"""

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from spool.lane import Lane
from spool.openfile import open_files

WAIT_S = 5.0
"""Seconds: every live writer has looked several times by then."""
_LOOK_S = 0.1


def ask(lane: Lane) -> list[Path]:
    """Touch the lane's request; what is open at this moment. Raises :class:`OSError`."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    found = open_files(lane)
    if found:
        fd = os.open(lane.seal_request, flags, 0o600)
        try:
            os.utime(fd)
        finally:
            os.close(fd)
    return found


def ask_and_wait(lanes: Iterable[Lane], recover: Callable[[], None]) -> list[Path]:
    """Have everything sealed that is open now; what stayed open after :data:`WAIT_S` seconds.

    ``recover`` is called while waiting, to seal what nobody writes any more.
    """
    waiting = [path for lane in lanes for path in ask(lane)]
    end = time.monotonic() + WAIT_S
    recover()
    while waiting := [path for path in waiting if os.path.lexists(path)]:
        if time.monotonic() > end:
            break
        time.sleep(_LOOK_S)
        recover()
    return waiting
