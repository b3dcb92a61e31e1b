"""Asking the process that sends to try again now, whatever it waits for.

A file is touched, as for a sealing; a process that is not there needs no waking.
"""

import os
from pathlib import Path


def _path(spool: Path) -> Path:
    return spool / "wake-request"


def ask_to_wake(spool: Path) -> None:
    """Touch the request. Raises :class:`OSError`."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    fd = os.open(_path(spool), flags, 0o600)
    try:
        os.utime(fd)
    finally:
        os.close(fd)


def asked_at(spool: Path) -> int:
    """When it was touched last, ns since 1970 UTC; 0 if never."""
    try:
        return os.lstat(_path(spool)).st_mtime_ns
    except FileNotFoundError:
        return 0
