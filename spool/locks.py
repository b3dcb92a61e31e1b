"""Kernel locks, and nothing else: they end with their process, however it ends.

A lock counts only if, once taken, the name still leads to the file that is locked; otherwise two
processes could hold "the same" lock on two files.
"""

import errno
import fcntl
import os
import stat
from pathlib import Path

from keys.errors import shown
from spool import descriptors
from spool.errors import SpoolError
from spool.identity import identity_at, identity_of

LOCK_MODE = 0o600


def still_named(fd: int, path: Path) -> bool:
    """Whether ``path`` leads to the file behind ``fd``."""
    return identity_at(os.fsencode(path)) == identity_of(fd)


def try_lock(fd: int, path: Path, *, shared: bool = False) -> bool:
    """Lock the open file behind ``fd``, that ``path`` leads to; never waits."""
    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return still_named(fd, path)


def take(path: Path, *, shared: bool = False, wait: bool = True) -> int | None:
    """A descriptor that holds the lock file at ``path``, which is made if it is not there.

    :func:`let_go` ends it. None where another process holds it and ``wait`` is false. Raises
    :class:`SpoolError` ``lock.kind`` where something else than a lock file lies there.
    """
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    while True:
        fd = _open(path)
        try:
            fcntl.flock(fd, kind if wait else kind | fcntl.LOCK_NB)
        except BlockingIOError:
            descriptors.close(fd)
            return None
        except BaseException:
            descriptors.close(fd)
            raise
        if still_named(fd, path):
            return fd
        descriptors.close(fd)


def take_as_it_is(path: Path) -> int | None:
    """A descriptor that holds the shared lock of a lock file that may not be written; never waits.

    None where another process holds it alone. Raises as :func:`take` does, and
    :class:`FileNotFoundError` where there is none.
    """
    fd = _open(path, os.O_RDONLY)
    if try_lock(fd, path, shared=True):
        return fd
    descriptors.close(fd)
    return None


def let_go(fd: int) -> None:
    """Release the lock that :func:`take` or :func:`take_as_it_is` took."""
    descriptors.close(fd)


def _open(path: Path, access: int = os.O_RDWR | os.O_CREAT) -> int:
    flags = access | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        fd = descriptors.open_kept(path, flags, LOCK_MODE)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise _no_lock_file(path) from error
        raise
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        descriptors.close(fd)
        raise _no_lock_file(path)
    return fd


def _no_lock_file(path: Path) -> SpoolError:
    return SpoolError(
        "lock.kind",
        f"{shown(str(path))} is no lock file.",
        "Find out who put it there, and remove it.",
    )
