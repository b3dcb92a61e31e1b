"""Looks how much room the spool has, beside whoever asks: a disk that hangs holds up no answer."""

import os
import threading
import time
from dataclasses import replace
from pathlib import Path

from bridge.config import Config
from bridge.daemon.calm import Calm
from bridge.daemon.ending import end
from bridge.daemon.glancing import MOVED
from bridge.intake.room import Room
from spool.durable import explained
from spool.streams import Kind
from spool.usage import Usage, held_by

LOOK_EVERY_S = 0.5
"""Seconds between two looks at the disk while somebody asks; what comes in meanwhile is small beside
``min_free``."""
WALK_EVERY_S = 5.0
"""Seconds between two walks through the spool while somebody asks."""
QUIET_WALK_S = 60.0
"""The same while nobody does, and the room on the disk stays what it was."""
CALM_WALK_S = 600.0
"""The same in a calm, whatever the disk's room does: what makes the spool grow ends a calm."""
WALK_SHARE = 20
"""A walk begins after this many times as long as the last one took, however large the spool is."""
FIRST_WALK_S = 0.5
"""Seconds that :meth:`RoomWatch.start` waits for the first walk. A million files take longer, and
nobody shall wait for that; until it is done, the disk's room alone decides."""


class RoomWatch:
    """The room of ``spool``, as of half a second ago; a thread from :meth:`start` to :meth:`stop`.

    Who asks first after a silence is told what the last look found, and has it looked at anew. While
    nobody asks, :meth:`glance` looks. Asking ends a ``calm``. The spool is walked through each
    ``walk_every_s`` seconds at most.

    Raises :class:`OSError` where its disk cannot be read at the beginning.
    """

    def __init__(
        self,
        spool: Path,
        *,
        max_size: int,
        min_free: int,
        calm: Calm | None = None,
        walk_every_s: float = WALK_EVERY_S,
    ) -> None:
        self._spool = spool
        self._walk_every_s = walk_every_s
        self._calm = calm or Calm()
        self._limits = (max_size, min_free)
        self._stopping = False
        self._asked = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="room", daemon=True)
        self._usage = Usage()
        self._walk_at = self._quiet_walk_at = self._walked_at = 0.0
        self._used = self._free_walked = 0
        self._walked = threading.Event()
        self._looked_at = 0.0
        self._room: Room | OSError = self._of_disk()
        self.broken: BaseException | None = None
        """What ended the thread; the process must say so and stop."""

    @property
    def is_readable(self) -> bool:
        """Whether the last look found how much room there is."""
        return isinstance(self._room, Room)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()
        self._walked.wait(FIRST_WALK_S)

    def change(self, *, max_size: int, min_free: int) -> None:
        """Go by other bounds from the next look on, which is soon."""
        self._limits = (max_size, min_free)
        self._asked.set()

    def stop(self) -> None:
        """Look no more; a look that does not end by then, ends with the process."""
        self._stopping = True
        self._asked.set()
        end(self._thread)

    def freed(self, size: int) -> None:
        """So many bytes of the spool were deleted since the last walk."""
        self._used = max(self._used - size, 0)
        room = self._room
        if isinstance(room, Room):
            self._room = replace(room, used=self._used)

    def look(self) -> Room:
        """What there is. Raises :class:`OSError`."""
        self._walk_if_due()
        return self._of_disk()

    def glance(self) -> None:
        """Look at the disk, and have the spool walked through where it may have grown.

        To be called on the beat; only other programs fill the disk while nobody asks. What a walk met
        stands until another one has ended: nobody knows until then how much the spool holds.
        """
        if isinstance(self._room, OSError):
            self._asked.set()
            return
        try:
            room = self._of_disk()
        except OSError as error:
            self._room = error
            return
        self._room = room
        if self._calm.reigns:
            walk_at = self._walked_at + CALM_WALK_S
        elif abs(room.free - self._free_walked) >= MOVED:
            walk_at = self._walk_at
        else:
            walk_at = self._quiet_walk_at
        if time.monotonic() >= walk_at:
            self._asked.set()

    def now(self) -> Room:
        """What the last look found. Raises :class:`OSError` if it failed."""
        room = self._room
        if isinstance(room, OSError):
            raise room
        return room

    def has_room(self, kind: Kind) -> bool:
        """Whether records of ``kind`` are taken. Raises :class:`OSError` if the last look failed."""
        if time.monotonic() - self._looked_at > LOOK_EVERY_S and not self._asked.is_set():
            self._asked.set()
            self._calm.stir()
        elif self._calm.reigns:  # the disk was looked at just now, and not for this one
            self._calm.stir()
        return self.knows_room(kind)

    def knows_room(self, kind: Kind) -> bool:
        """The same, as the last look or glance found it; nobody looks for that."""
        return self.now().takes(kind)

    def _watch(self) -> None:
        try:
            while not self._stopping:
                try:
                    self._room = self.look()
                except OSError as error:
                    self._room = error
                self._looked_at = time.monotonic()
                self._walked.set()
                self._asked.wait()
                self._asked.clear()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the process must learn of it
            self.broken = error
            self._calm.stir()

    def _walk_if_due(self) -> None:
        now = time.monotonic()
        if now >= self._walk_at:
            self._free_walked = self._of_disk().free
            self._used = held_by(self._spool, self._usage)
            took = time.monotonic() - now
            self._walked_at = now
            self._walk_at = now + max(self._walk_every_s, took * WALK_SHARE)
            self._quiet_walk_at = max(self._walk_at, now + QUIET_WALK_S)

    def _of_disk(self) -> Room:
        status = os.statvfs(self._spool)
        free = 0 if status.f_flag & os.ST_RDONLY else status.f_bavail * status.f_frsize
        max_size, min_free = self._limits
        return Room(self._used, max_size, free, min_free)


def room_watch_for(
    config: Config, calm: Calm | None = None, *, walk_every_s: float = WALK_EVERY_S
) -> RoomWatch:
    """The watch of the spool that ``config`` names. Raises :class:`SpoolError` ``disk.*``."""
    spool = config.spool
    try:
        return RoomWatch(
            spool.path,
            max_size=spool.max_size,
            min_free=spool.min_free,
            calm=calm,
            walk_every_s=walk_every_s,
        )
    except OSError as error:
        raise explained(error, "look how much room there is") from error
