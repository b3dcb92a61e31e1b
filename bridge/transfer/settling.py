"""Begins to move what was written to its disk while more is being written.

Else all of it would wait for the sync at the end, and the disk for all of it. Nothing is durable by
this: that is the sync's alone, which also tells of what went wrong on the way.
"""

import os

STEP = 8 << 20
"""Bytes that go at once: a slow stick holds up the writing for about a second, and no longer."""


class Settling:
    """Of a file that is written from its beginning to its end."""

    def __init__(self, fd: int) -> None:
        """For the file behind ``fd``."""
        self._fd = fd
        self._written = self._begun = 0

    def wrote(self, count: int) -> None:
        """So many more bytes were written. Raises :class:`OSError`."""
        self._written += count
        if self._written - self._begun >= STEP:
            # Told that these pages are not needed, the system begins to write them, and does not wait.
            os.posix_fadvise(
                self._fd, self._begun, self._written - self._begun, os.POSIX_FADV_DONTNEED
            )
            self._begun = self._written
