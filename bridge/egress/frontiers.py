"""Keeps the frontier files of lanes as the ledger has them, some moments after something moved."""

import threading
from collections.abc import Callable

from bridge.egress.event import Event
from spool.clock import Clock
from spool.delivered import note_delivered
from spool.durable import Disk
from spool.lane import Lane
from spool.ledger import Ledger

SHARE = 20
"""A lane's file is behind for this many times as long as it took to write: with 100,000 records that a
person gave up that is half a second, in which others wait for the interpreter."""


class Frontiers:
    """Those of the lanes that one process sends; for any number of threads."""

    def __init__(
        self, ledger: Ledger, disk: Disk, clock: Clock, tell: Callable[[Event], None]
    ) -> None:
        self._ledger = ledger
        self._disk = disk
        self._clock = clock
        self._tell = tell
        self._lock = threading.Lock()
        self._moved: set[Lane] = set()
        self._due: dict[Lane, float] = {}

    def moved(self, lane: Lane) -> None:
        """Something was answered: the file is behind."""
        with self._lock:
            self._moved.add(lane)

    @property
    def behind(self) -> bool:
        """Whether there is one that is still to be written."""
        with self._lock:
            return bool(self._moved)

    def write_due(self) -> None:
        """Write those that are behind and may be written again. Raises :class:`SpoolError`."""
        now = self._clock.monotonic()
        self._write(lambda lane: now >= self._due.get(lane, now))

    def write(self) -> None:
        """Write all that are behind. Raises :class:`SpoolError`."""
        self._write(lambda _: True)

    def _write(self, is_due: Callable[[Lane], bool]) -> None:
        with self._lock:
            moved = set(filter(is_due, self._moved))
            self._moved -= moved
        # The file of a frontier has room for one chain's numbers once: a fork has none.
        for lane in (each for each in moved if not each.fork):
            begun = self._clock.monotonic()
            try:
                note_delivered(self._ledger, lane, self._disk)
            except OSError as error:
                # It only saves duplicates on the day the ledger is lost; the next one is written.
                fields: dict[str, object] = {"node": lane.node, "stream": lane.stream}
                self._tell(Event("lane.frontier", str(error), fields))
            ended = self._clock.monotonic()
            self._due[lane] = ended + SHARE * (ended - begun)
