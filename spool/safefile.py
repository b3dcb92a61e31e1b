"""Opening files that somebody else may have put there.

Nothing planted in a spool is followed, waited for or read: a symbolic link, a FIFO, a device, a
second hard link, a file of another user. The file that was opened is the file that is read, whatever
happens to its name meanwhile.
"""

import os
import stat
from pathlib import Path

from keys.errors import VerificationError, shown


def _refused(path: Path | str, what: str, *, own: bool) -> VerificationError:
    return VerificationError(
        "file.kind",
        f"{shown(str(path))} is {what}; it was not read.",
        "Find out who put it there, and remove it."
        if own
        else "Name a regular file itself: no folder, no link.",
    )


def open_regular(path: Path | str, *, own: bool) -> int:
    """A descriptor for reading the regular file at ``path``; never waits.

    With ``own`` it must belong to this user or to root and have one name only. Raises
    :class:`VerificationError` ``file.kind``, or :class:`OSError` where it cannot be opened.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    # Looked at before it is opened: opening a device can have effects of its own.
    kind = os.lstat(path).st_mode
    if not stat.S_ISREG(kind):
        raise _refused(
            path, "a symbolic link" if stat.S_ISLNK(kind) else "no regular file", own=own
        )
    fd = os.open(path, flags)
    status = os.fstat(fd)
    problem = None
    if not stat.S_ISREG(status.st_mode):
        problem = "no regular file"
    elif own and status.st_uid not in (os.geteuid(), 0):
        problem = f"a file of another user (uid {status.st_uid})"
    elif own and status.st_nlink > 1:
        problem = "a file with a second name (hard link)"
    if problem is not None:
        os.close(fd)
        raise _refused(path, problem, own=own)
    return fd


def read_whole(path: Path, limit: int, *, own: bool) -> bytes:
    """The bytes of a regular file of at most ``limit`` bytes.

    Raises :class:`VerificationError` ``file.kind`` or ``file.too_large``, or :class:`OSError`.
    """
    fd = open_regular(path, own=own)
    with open(fd, "rb", buffering=0) as file:  # noqa: PTH123 - a descriptor, not a path
        data = file.read(limit + 1)
    if len(data) > limit:
        raise VerificationError(
            "file.too_large",
            f"{shown(str(path))} is larger than {limit} bytes.",
            "It is not what belongs there; find out who put it there.",
        )
    return data
