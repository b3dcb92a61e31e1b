"""Whether anything is otherwise than it was, by a few file times and the disk's free bytes.

Little code and few objects, on purpose: it runs when nothing of it is in the processor's caches. What
file times are too coarse to tell is found by the look around that is due in any case.
"""

import os
import time
from collections.abc import Sequence

from spool.beat import CALM_LOOK_S, until_beat

MOVED = 4 * 1024 * 1024
"""Bytes of a disk's room that came or went, and may have been the spool's."""


class Glance:
    """Remembers how ``paths`` were at :meth:`note`; folders change when a name in them does.

    ``disk`` is a folder on the disk whose room is looked at.
    """

    def __init__(self, disk: str, paths: Sequence[str]) -> None:
        self._disk = disk
        self._paths = tuple(paths)
        self._marks: object = None
        self._free = -1
        self._due = 0.0

    def note(self) -> None:
        """To be called before a look around: what happens during one is seen at the next glance."""
        self._marks = self._now()
        self._free = self._free_bytes()
        self._due = time.monotonic() + until_beat(CALM_LOOK_S)

    def finds_change(self) -> bool:
        """Whether a file is another one, or was changed, or is there or gone."""
        return self._now() != self._marks

    def finds_other_room(self) -> bool:
        """Whether the disk has more or less room than when this was last asked, or at the note."""
        free = self._free_bytes()
        moved = abs(free - self._free) >= MOVED
        if moved:
            self._free = free
        return moved

    def is_due(self) -> bool:
        """Whether it is time to look around in any case."""
        return time.monotonic() >= self._due

    def _now(self) -> list[tuple[int, int] | None]:
        found: list[tuple[int, int] | None] = []
        for path in self._paths:
            try:
                status = os.stat(path)  # noqa: PTH116 - called very often
            except OSError:
                found.append(None)
            else:
                found.append((status.st_mtime_ns, status.st_ino))
        return found

    def _free_bytes(self) -> int:
        try:
            status = os.statvfs(self._disk)
        except OSError:
            return -1  # whoever looks learns of it
        return 0 if status.f_flag & os.ST_RDONLY else status.f_bavail * status.f_frsize
