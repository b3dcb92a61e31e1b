"""Looks how much room the spool has, beside whoever asks: a disk that hangs holds up no answer."""

import os
import threading
import time
from pathlib import Path

from bridge.intake.room import Room
from spool.streams import Kind
from spool.usage import bytes_below

LOOK_EVERY_S = 0.5
"""Seconds between two looks at the disk; what comes in meanwhile is small beside ``min_free``."""
WALK_EVERY_S = 5.0
"""Seconds between two walks through the spool."""
WALK_SHARE = 20
"""A walk begins after this many times as long as the last one took, however large the spool is."""


class RoomWatch:
    """The room of ``spool``, as of half a second ago; a thread from :meth:`start` to :meth:`stop`.

    Raises :class:`OSError` where it cannot be read at the beginning.
    """

    def __init__(self, spool: Path, *, max_size: int, min_free: int) -> None:
        self._spool = spool
        self._limits = (max_size, min_free)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="room", daemon=True)
        self._walk_at = 0.0
        self._used = 0
        self._room: Room | OSError = self._read()

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def change(self, *, max_size: int, min_free: int) -> None:
        """Go by other bounds from the next look on."""
        self._limits = (max_size, min_free)

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()
        self._thread.join()

    def has_room(self, kind: Kind) -> bool:
        """Whether records of ``kind`` are taken. Raises :class:`OSError` if the last look failed."""
        room = self._room
        if isinstance(room, OSError):
            raise room
        return room.takes(kind)

    def _watch(self) -> None:
        while not self._stop.wait(LOOK_EVERY_S):
            try:
                self._room = self._read()
            except OSError as error:
                self._room = error

    def _read(self) -> Room:
        now = time.monotonic()
        if now >= self._walk_at:
            self._used = bytes_below(self._spool)
            took = time.monotonic() - now
            self._walk_at = now + max(WALK_EVERY_S, took * WALK_SHARE)
        status = os.statvfs(self._spool)
        free = 0 if status.f_flag & os.ST_RDONLY else status.f_bavail * status.f_frsize
        max_size, min_free = self._limits
        return Room(self._used, max_size, free, min_free)
