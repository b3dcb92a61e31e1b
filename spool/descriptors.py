"""Descriptors that a forked child must not keep.

A kernel lock lives as long as any copy of its descriptor: a child that kept one would hold its
parent's lock after the parent let go, or was killed. So such a descriptor is opened and closed here:
closing it unlocks it for all its copies, and a child begins by closing its own. (``exec`` closes them
anyway: all are close-on-exec.)
"""

import fcntl
import os
import threading
from contextlib import suppress
from pathlib import Path

_kept: set[int] = set()
# Held over a fork too: a descriptor that another thread has opened and not yet written down, or
# forgotten and not yet closed, would stay open in the child.
_changing = threading.RLock()


def open_kept(path: Path, flags: int, mode: int = 0o600) -> int:
    """``os.open``, for a descriptor that a child shall not have."""
    with _changing:
        fd = os.open(path, flags, mode)
        _kept.add(fd)
    return fd


def close(fd: int) -> None:
    """Close ``fd``, and forget it; a lock held through it ends, also where a child has a copy yet."""
    with _changing:
        _kept.discard(fd)
        try:
            fcntl.flock(fd, fcntl.LOCK_UN)
        finally:
            os.close(fd)


def _close_copies() -> None:
    for fd in _kept:
        with suppress(OSError):  # one that is gone must not keep the others open
            os.close(fd)
    _kept.clear()
    _changing.release()


os.register_at_fork(
    before=_changing.acquire,
    after_in_parent=_changing.release,
    after_in_child=_close_copies,
)
