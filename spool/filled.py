"""An open file that is complete, and its rewriting in full frames."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from spool.durable import Disk
from spool.rewriting import SMALL_FRAME, checked, examine, reader, rewrite
from spool.totals import Totals


@dataclass(frozen=True, slots=True)
class Filled:
    """An open file that is complete: ``size`` bytes of whole good frames, all of it durable.

    After them there may be zeros, laid ahead. ``fd`` holds its lock and can write. Times are when
    records were accepted, ms since 1970.
    """

    path: Path
    fd: int
    size: int
    totals: Totals
    frames: int
    sha256: str
    first_at: int
    last_at: int

    @property
    def small_frames(self) -> bool:
        """Whether writing full frames would save a good part of the file."""
        return self.frames > 1 and self.totals.raw_size < SMALL_FRAME * self.frames

    def rewritten(self, disk: Disk) -> "Filled":
        """The same records in full frames, under the same name; ``fd`` stays open, and is old.

        What stands behind ``size`` is left out. Raises :class:`OSError` or :class:`LeftOff`; the file
        is then as it was.
        """
        source = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            read = reader(source)
            found = checked(examine(read, self.size), self.totals)
            fd, written = rewrite(disk, self.path, read, found)
        finally:
            os.close(source)
        return replace(self, fd=fd, size=written.size, frames=written.frames, sha256=written.sha256)
