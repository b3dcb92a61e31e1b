"""Reads a file that the configuration names: a regular one, perhaps behind a link.

Containers get their secrets as links. A pipe that nobody writes to would be waited for, for ever.
"""

import errno
import os
import stat
from pathlib import Path

NOT_REGULAR = "it is no regular file"


def read_named(path: Path, limit: int) -> bytes:
    """At most ``limit`` bytes of it. Raises :class:`OSError`, also where it is no regular file."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, NOT_REGULAR, str(path))
    with open(fd, "rb", buffering=0) as file:  # noqa: PTH123 - a descriptor, not a path
        return file.read(limit)
