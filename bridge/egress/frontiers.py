"""Keeps the frontier files of lanes as the ledger has them, some moments after something moved."""

import threading
from collections.abc import Callable

from bridge.egress.event import Event
from spool.delivered import note_delivered
from spool.durable import Disk
from spool.lane import Lane
from spool.ledger import Ledger


class Frontiers:
    """Those of the lanes that one process sends; for any number of threads."""

    def __init__(self, ledger: Ledger, disk: Disk, tell: Callable[[Event], None]) -> None:
        self._ledger = ledger
        self._disk = disk
        self._tell = tell
        self._lock = threading.Lock()
        self._moved: set[Lane] = set()

    def moved(self, lane: Lane) -> None:
        """Something was answered: the file is behind."""
        with self._lock:
            self._moved.add(lane)

    def write(self) -> None:
        """Write those that are behind. Raises :class:`SpoolError`."""
        with self._lock:
            moved, self._moved = self._moved, set()
        # The file of a frontier has room for one chain's numbers once: a fork has none.
        for lane in (each for each in moved if not each.fork):
            try:
                note_delivered(self._ledger, lane, self._disk)
            except OSError as error:
                # It only saves duplicates on the day the ledger is lost; the next one is written.
                fields: dict[str, object] = {"node": lane.node, "stream": lane.stream}
                self._tell(Event("lane.frontier", str(error), fields))
