"""Descriptors that a forked child must not keep.

A kernel lock lives as long as any copy of its descriptor: a child that kept one would hold its
parent's lock after the parent let go. So whoever opens such a descriptor keeps it here, and a child
begins by closing its copies. (``exec`` closes them anyway: all are close-on-exec.)
"""

import os

_kept: set[int] = set()


def keep(fd: int) -> int:
    """Remember ``fd``; it is returned."""
    _kept.add(fd)
    return fd


def close(fd: int) -> None:
    """Close ``fd``, and forget it."""
    _kept.discard(fd)
    os.close(fd)


def _close_copies() -> None:
    for fd in _kept:
        os.close(fd)
    _kept.clear()


os.register_at_fork(after_in_child=_close_copies)
