"""Asking the process that sends to try again now, whatever it waits for.

A file is made anew, which wakes who watches the spool's folder; a process that is not there needs no
waking.
"""

import os
from contextlib import suppress
from pathlib import Path

WAKE_NAME = "wake-request"


def ask_to_wake(spool: Path) -> None:
    """Make the request anew. Raises :class:`OSError`."""
    path = spool / WAKE_NAME
    path.unlink(missing_ok=True)
    with suppress(FileExistsError):  # somebody else asks at this moment
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def asked_at(spool: Path) -> int:
    """When that was, ns since 1970 UTC; 0 if never."""
    try:
        return os.lstat(f"{spool}/{WAKE_NAME}").st_mtime_ns
    except FileNotFoundError:
        return 0
