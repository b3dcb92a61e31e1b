"""What of a lane is held and may go: sealed segments by state, without those that somebody works on.

A segment with an exception that nobody dealt with stays, and one that a request carries or that was
answered in part; so does the last one of all. What was delivered may go only once the lane's frontier
says so, for the day the ledger is lost: nothing else would tell that it had not vanished. Loss records
and heartbeats do not go for want of room: they are small, and they are the declaration.
"""

import os
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator

from spool.discovery import said_by
from spool.frontier import read_frontier
from spool.head import read_head
from spool.lane import SHARD, SUFFIX, Lane
from spool.ledger import Ledger, State
from spool.ranges import Range, join_ranges
from spool.retention import Shelf
from spool.segment import SEAL_MAX
from spool.streams import STREAMS

BARE_MAX = SEAL_MAX + 64
"""Bytes of a segment without records, at most: it is a seal alone."""


def sealed_sizes(lane: Lane) -> Iterator[tuple[int, int]]:
    """The numbers for which there is a name in ``sealed/``, ascending, with their stored bytes."""
    folder = os.fspath(lane.sealed)
    for seq in lane.sealed_numbers():
        try:
            size = os.lstat(f"{folder}/{seq // SHARD:08d}/{seq:012d}{SUFFIX}").st_size
        except FileNotFoundError:
            continue
        yield seq, size


class Numbers:
    """A set of numbers, kept as ranges."""

    def __init__(self, ranges: Iterable[Range]) -> None:
        """Of ``ranges`` in any order; they may overlap."""
        self._ranges = join_ranges(ranges)
        self._firsts = [each.first for each in self._ranges]

    def __contains__(self, seq: int) -> bool:
        """Whether ``seq`` is one of them."""
        at = bisect_right(self._firsts, seq) - 1
        return at >= 0 and seq <= self._ranges[at].last


def shelves(ledger: Ledger, lane: Lane, wanted: int) -> list[Shelf]:
    """The oldest of ``lane`` that may go if there must be room, by state; of each ``wanted`` bytes.

    Raises :class:`OSError`.
    """
    stream = STREAMS.get(lane.stream)
    if stream is None:
        return []
    keep = Kept(ledger, lane)
    found: dict[State, list[tuple[int, int]]] = {}
    sizes: Counter[State] = Counter()
    for seq, size in sealed_sizes(lane):
        state = keep.state_of_free(seq)
        if state is None or sizes[state] >= wanted or _is_bare(lane, seq, size):
            continue
        sizes[state] += size
        found.setdefault(state, []).append((seq, size))
    return [Shelf(lane, stream, state, segments) for state, segments in found.items()]


def _is_bare(lane: Lane, seq: int, size: int) -> bool:
    """Whether it is a heartbeat or a loss record: what stands for what is gone does not go itself."""
    if size > BARE_MAX:
        return False
    said = said_by(lane, seq)
    return said is not None and not said.records


class Kept:
    """What of a lane has to stay, whatever room is needed, as of now."""

    def __init__(self, ledger: Ledger, lane: Lane) -> None:
        """Raises :class:`OSError`."""
        self._spans = ledger.spans(lane)
        self._firsts = [span.first for span in self._spans]
        busy = ledger.worked_on(lane)
        busy += [each.numbers for each in ledger.undeclared(lane)]
        head = read_head(lane)
        if head is not None:  # the next segment of its chain is judged by it
            busy.append(Range(head.seq, head.seq))
        self._busy = Numbers(busy)
        self._delivered = Numbers(r for chain in read_frontier(lane).chains for r in chain.ranges)

    def state_of_free(self, seq: int) -> State | None:
        """The state of ``seq`` if nothing holds it, else None."""
        at = bisect_right(self._firsts, seq) - 1
        if at < 0 or seq > self._spans[at].last or seq in self._busy:
            return None
        state = self._spans[at].state
        if state is State.DELIVERED and seq not in self._delivered:
            return None
        return state
