"""How one lane stands: what the ledger counts, what lies unsealed, what came lately."""

import os
from dataclasses import dataclass

from bridge.operate.flow import Taken, taken
from spool.discovery import said_by
from spool.lane import Lane
from spool.ledger import LaneCounts, State
from spool.openfile import open_files
from spool.streams import STREAMS


@dataclass(frozen=True, slots=True)
class LaneStatus:
    """One lane: the ledger's counts (None before its first segment), what lies unsealed, what came.

    ``open_bytes`` are stored bytes; ``oldest_pending_at`` is when the first record of the oldest
    pending segment was accepted, ms since 1970 UTC.
    """

    lane: Lane
    counts: LaneCounts | None
    open_bytes: int
    oldest_pending_at: int | None
    taken: Taken

    def segments(self, state: State) -> int:
        """How many segments are in ``state``."""
        return 0 if self.counts is None else self.counts.segments[state]

    def records(self, state: State) -> int:
        """How many records are in ``state``."""
        return 0 if self.counts is None else self.counts.records[state]

    @property
    def lost_unseen(self) -> int:
        """How many segments are lost whose loss nobody has seen yet."""
        return 0 if self.counts is None else self.segments(State.LOST) - self.counts.lost_seen

    @property
    def bytes_pending(self) -> int:
        """Bytes of records that are to be sent."""
        return 0 if self.counts is None else self.counts.bytes_pending

    @property
    def bytes_held(self) -> int:
        """Bytes of disk, about, that nobody can delete: what is neither delivered nor lost."""
        held = sum(map(self.records, (State.PENDING, State.EXPORTED, State.QUARANTINED)))
        return self.open_bytes + int(held * (self.taken.stored_per_record or 0))

    @property
    def droppable(self) -> bool:
        """Whether it holds records that are dropped when there is no room for others."""
        row = STREAMS.get(self.lane.stream)
        waiting = self.records(State.PENDING) + self.records(State.EXPORTED) + self.open_bytes
        return row is not None and row.droppable and waiting > 0


def lane_status(lane: Lane, counts: LaneCounts | None, at: int) -> LaneStatus:
    """Of ``lane`` at the time ``at`` (ms). Raises :class:`OSError`."""
    oldest = None
    if counts is not None and counts.first_pending is not None:
        said = said_by(lane, counts.first_pending)
        oldest = None if said is None else said.first_at
    unsealed = 0
    for path in open_files(lane):
        try:
            unsealed += os.lstat(path).st_size
        except FileNotFoundError:
            continue  # sealed meanwhile
    return LaneStatus(lane, counts, unsealed, oldest, taken(lane, at))
