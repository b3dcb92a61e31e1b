"""What exports that were killed left on a medium: unfinished files that nobody writes any more."""

import os
import re
import stat
from contextlib import suppress
from pathlib import Path

from bridge.transfer.writing import PART
from spool.locks import try_lock


def clear_abandoned(folder: Path, sender: str, recipient: str) -> None:
    """Remove the unfinished bundles from ``sender`` to ``recipient`` in ``folder``, to make room.

    Only names that an export chooses by itself, and no file that a process still writes. What cannot
    be removed stays: the next to write there says why. Raises :class:`OSError` for a folder that
    cannot be read.
    """
    name = re.compile(rf"{sender}-to-{recipient}-[0-9]{{6,}}\.ag[br](?:\.age)?{re.escape(PART)}")
    with os.scandir(folder) as entries:
        found = [Path(entry.path) for entry in entries if name.fullmatch(entry.name)]
    for path in found:
        with suppress(OSError):
            fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                if stat.S_ISREG(os.fstat(fd).st_mode) and try_lock(fd, path):
                    path.unlink()
            finally:
                os.close(fd)
