"""What is new in the lanes of a spool, told to the ledger: by the durable heads alone."""

import os
from collections.abc import Iterator
from pathlib import Path

from spool.discovery import discover
from spool.lane import Lane, lanes
from spool.ledger import Ledger


class News:
    """Remembers the heads that it saw; for one thread at a time."""

    def __init__(self, spool: Path, ledger: Ledger) -> None:
        self._spool = spool
        self._ledger = ledger
        self._seen: dict[Lane, tuple[int, int] | None] = {}

    def lanes(self) -> Iterator[Lane]:
        """Every lane there is, forks among them."""
        yield from lanes(self._spool)
        yield from self._ledger.fork_lanes(self._spool)

    def may_be_in(self, lane: Lane) -> bool:
        """Whether there may be news: its head is another one than at the last look, or it has none."""
        mark = _mark(lane)
        return mark is None or self._seen.get(lane) != mark

    def look(self, lane: Lane) -> bool:
        """Tell the ledger what is new; whether anything was. Raises as :func:`discover` does."""
        mark = _mark(lane)
        found = not lane.fork and discover(self._ledger, lane)
        self._seen[lane] = mark
        return found


def _mark(lane: Lane) -> tuple[int, int] | None:
    """What changes whenever a durable head does, which is never written to; None without one."""
    if lane.fork:
        return None
    try:
        found = os.lstat(lane.head)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
