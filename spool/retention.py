"""What goes first when the spool is over its budget: a pure choice, in an order that no clock decides.

What was delivered, or given up already, goes first, billing last of it. Then records of streams that
may be dropped, in the order of their rank, exported before never exported. Within a lane the lowest
numbers go first; of lanes that stand equal, the one that holds most gives next, so that a flood in one
does not empty another. Billing that was not delivered is never chosen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heapreplace
from itertools import groupby

from spool.lane import Lane
from spool.states import State
from spool.streams import Stream

BEGIN_PERCENT = 12
"""Percent of the room that is left when retention begins. The intake keeps a tenth for usage and
billing: what is old has to give way before what is new is turned away."""
END_PERCENT = 15
"""Percent of the room that is left when it ends: some rounds a day, not one a second."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """Segments of one lane in one state that may go: numbers with their stored bytes, ascending."""

    lane: Lane
    stream: Stream
    state: State
    segments: Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Taken:
    """Numbers, ascending, that go from a shelf; ``size`` stored bytes."""

    shelf: Shelf
    numbers: Sequence[int]
    size: int


def to_free(used: int, max_size: int, free: int, min_free: int) -> int:
    """Bytes that have to go; 0 while there is room.

    ``used`` of the ``max_size`` that the spool may take; ``free`` on its disk, of which ``min_free``
    are to stay so.
    """
    whole = max(min(max_size, used + free - min_free), 0)
    if 100 * used <= (100 - BEGIN_PERCENT) * whole:
        return 0
    return used - (100 - END_PERCENT) * whole // 100


def place_in_line(stream: Stream, state: State) -> tuple[int, int, int, int] | None:
    """The lower, the sooner it goes; None for what never does."""
    if state in (State.DELIVERED, State.LOST):
        return (0, stream.kind == "billing", 0, 0)
    if stream.droppable and state in (State.EXPORTED, State.PENDING):
        return (1, stream.drop_rank, -stream.rank, state is State.PENDING)
    return None


def choose(shelves: Sequence[Shelf], wanted: int) -> list[Taken]:
    """What goes so that ``wanted`` bytes are freed, or all that may go, in the order it has to go."""
    placed = [
        (place, shelf)
        for shelf in shelves
        if (place := place_in_line(shelf.stream, shelf.state)) is not None and shelf.segments
    ]
    chosen: list[Taken] = []
    for _, group in groupby(sorted(placed, key=lambda pair: pair[0]), key=lambda pair: pair[0]):
        if wanted <= 0:
            break
        taken = _from_equals([shelf for _, shelf in group], wanted)
        chosen += taken
        wanted -= sum(each.size for each in taken)
    return chosen


def _from_equals(shelves: Sequence[Shelf], wanted: int) -> list[Taken]:
    sizes = [0] * len(shelves)
    counts = [0] * len(shelves)
    left = [(-sum(size for _, size in s.segments), n) for n, s in enumerate(shelves)]
    heapify(left)
    while left and wanted > 0:
        held, n = left[0]
        _, size = shelves[n].segments[counts[n]]
        counts[n] += 1
        sizes[n] += size
        wanted -= size
        if counts[n] == len(shelves[n].segments):
            heappop(left)
        else:
            heapreplace(left, (held + size, n))
    return [
        Taken(shelf, [seq for seq, _ in shelf.segments[:count]], size)
        for shelf, count, size in zip(shelves, counts, sizes, strict=True)
        if count
    ]
