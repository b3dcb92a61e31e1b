"""Makes room in a spool: by age what was delivered, else in the order of :mod:`spool.retention`.

What was not delivered is given up in this order: the ledger says lost, a loss record is sealed, the
file goes. A crash between any two of them is made good by the next round: nothing is deleted that is
not declared, and nothing is declared twice.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise

from spool.delivered import note_delivered
from spool.discovery import discover, said_by, totals_around
from spool.durable import Disk
from spool.head import read_head
from spool.holdings import Kept, sealed_sizes, shelves
from spool.lane import Lane
from spool.ledger import Ledger, Span, State, Undeclared
from spool.ranges import Range, format_ranges, join_ranges
from spool.retention import Shelf, Taken, choose
from spool.sealing import Sealer
from spool.statement import Lost
from spool.streams import STREAMS, Kind

NO_ROOM, SWITCHED_OFF = "no_room", "switched_off"
"""Why, in a loss record."""
BY_AGE_AT_ONCE = 10_000
"""Segments of a lane that go by age in one round: a round is to end."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What went: of ``lane``, what had been in ``state``; ``size`` stored bytes."""

    lane: Lane
    state: State
    numbers: tuple[Range, ...]
    size: int


class Pruner:
    """Deletes segments of one spool.

    ``sealer_of`` gives the sealer of a lane of this node; None for one that was imported: nobody here
    can declare a loss in another's chain, so there only goes what was delivered.
    """

    def __init__(
        self, ledger: Ledger, sealer_of: Callable[[Lane], Sealer | None], disk: Disk
    ) -> None:
        self._ledger = ledger
        self._sealer_of = sealer_of
        self._disk = disk
        self.unnamed: dict[Lane, int] = {}
        """How many segments of a lane were delivered and stay for ever: its frontier has no place."""

    def declare(self, lanes: Sequence[Lane]) -> None:
        """Declare what was given up, and was not declared before a crash.

        Raises :class:`OSError` or :class:`SpoolError`.
        """
        for lane in lanes:
            for each in self._ledger.undeclared(lane):
                self._declare(lane, each)

    def make_room(
        self, lanes: Sequence[Lane], wanted: int, forks: Sequence[Lane] = ()
    ) -> Iterator[Pruned]:
        """Free ``wanted`` bytes, or as many as may be; what went, as it goes.

        Of ``forks`` only what was delivered. Raises :class:`OSError` or :class:`SpoolError`; what is
        half done is finished by the next.
        """
        self.declare(lanes)
        self._note_delivered(lanes)
        found = [shelf for lane in lanes for shelf in shelves(self._ledger, lane, wanted)]
        found += self._delivered_forks(forks)
        own = [
            shelf
            for shelf in found
            if shelf.state in (State.DELIVERED, State.LOST) or self._sealer_of(shelf.lane)
        ]
        for taken in choose(own, wanted):
            if taken.shelf.state in (State.DELIVERED, State.LOST):
                yield from self._delete(taken.shelf.lane, taken.shelf.state, taken.numbers)
            else:
                yield from self._drop(taken)

    def drop_waiting(self, lane: Lane) -> Iterator[Pruned]:
        """Give up all records that wait in ``lane``, which is switched off; what went, as it goes.

        What a request has begun to carry stays. Raises as :meth:`make_room` does.
        """
        sealer, stream = self._sealer_of(lane), STREAMS.get(lane.stream)
        if sealer is None or stream is None or not stream.droppable:
            return
        discover(self._ledger, lane)
        head = read_head(lane)
        if head is None or not waits(self._ledger, lane):
            return
        newest = said_by(lane, head.seq)
        if newest is not None and newest.records:
            sealer.heartbeat()  # the head stays, whatever it is: this one holds nothing
            discover(self._ledger, lane)
        for shelf in shelves(self._ledger, lane, sys.maxsize):
            if shelf.state is State.PENDING:
                numbers = [seq for seq, _ in shelf.segments]
                yield from self._drop(Taken(shelf, numbers, 0), SWITCHED_OFF)

    def by_age(
        self, lanes: Sequence[Lane], before: Mapping[Kind, int], copies: int | None = None
    ) -> Iterator[Pruned]:
        """Delete what was delivered and accepted before the time (ms) that its kind has.

        With ``copies`` also what was exported, in as many bundles at least: for who never hears what
        became of it. It stays exported in the ledger. Raises :class:`OSError` or :class:`SpoolError`.
        """
        self._note_delivered(lanes)
        for lane in lanes:
            stream = STREAMS.get(lane.stream)
            if stream is None:
                continue
            old = list(self._older(lane, before[stream.kind], copies))
            for state in (State.DELIVERED, State.EXPORTED):
                numbers = [seq for seq, found in old if found is state]
                if numbers:
                    yield from self._delete(lane, state, numbers)

    def forks_by_age(self, forks: Sequence[Lane], before: Mapping[Kind, int]) -> Iterator[Pruned]:
        """Delete forks that were delivered, as :meth:`by_age` does; their digests stay known."""
        for shelf in self._delivered_forks(forks):
            for seq, _ in shelf.segments:
                said = said_by(shelf.lane, seq)
                if said is not None and (said.last_at or 0) < before[shelf.stream.kind]:
                    yield from self._delete(shelf.lane, State.DELIVERED, [seq])

    def _delivered_forks(self, forks: Sequence[Lane]) -> Iterator[Shelf]:
        """Those of ``forks`` that were delivered, and that nobody works on."""
        for fork in forks:
            stream = STREAMS.get(fork.stream)
            states = {span.state for span in self._ledger.spans(fork)}
            if stream is None or states != {State.DELIVERED} or self._ledger.worked_on(fork):
                continue
            held = [(seq, fork.segment(seq).lstat().st_size) for seq in fork.sealed_numbers()]
            yield Shelf(fork, stream, State.DELIVERED, held)

    def _note_delivered(self, lanes: Sequence[Lane]) -> None:
        """What a receipt confirmed is in no frontier yet, and goes only once it is."""
        for lane in lanes:
            self.unnamed[lane] = note_delivered(self._ledger, lane, self._disk)

    def _older(self, lane: Lane, before: int, copies: int | None) -> Iterator[tuple[int, State]]:
        """Numbers that may go, and their states, up to the first that is not so old.

        Seals without records go with them.
        """
        keep = Kept(self._ledger, lane)
        found = 0
        for seq, _ in sealed_sizes(lane):
            state = keep.state_of_free(seq)
            if state is State.EXPORTED:
                if copies is None or self._ledger.copies(lane, seq) < copies:
                    continue
            elif state is not State.DELIVERED:
                continue
            said = said_by(lane, seq)
            if said is None:
                continue  # another's to judge: what is no segment is not deleted as one
            if said.last_at is not None and said.last_at >= before:
                return
            yield seq, state
            found += 1
            if found == BY_AGE_AT_ONCE:
                return

    def _drop(self, taken: Taken, why: str = NO_ROOM) -> Iterator[Pruned]:
        lane, state = taken.shelf.lane, taken.shelf.state
        for span, run in self._runs(lane, state, taken.numbers):
            head = read_head(lane)
            if head is None:  # its chain begins anew at the next start; until then nothing goes
                return
            before, after = totals_around(lane, span, run)
            what = Undeclared(run, after - before, head.seq, why)
            if not self._ledger.give_up(lane, what, state, before=before, after=after):
                continue
            self._declare(lane, what)
            yield from self._delete(lane, state, range(run.first, run.last + 1), now=State.LOST)

    def _runs(
        self, lane: Lane, state: State, numbers: Sequence[int]
    ) -> Iterator[tuple[Span, Range]]:
        """``numbers`` as stretches, each within one span of the ledger, which comes with it."""
        for span in self._ledger.spans(lane, state):
            run: list[int] = [seq for seq in numbers if span.first <= seq <= span.last]
            if not run:
                continue
            ends = [a for a, b in pairwise(run) if a + 1 != b]
            begins = [run[0], *(b for a, b in pairwise(run) if a + 1 != b)]
            for first, last in zip(begins, [*ends, run[-1]], strict=True):
                yield span, Range(first, last)

    def _declare(self, lane: Lane, what: Undeclared) -> None:
        sealer = self._sealer_of(lane)
        if sealer is None:
            return
        ranges = format_ranges([what.numbers])
        if not _is_declared(lane, ranges, what.above):
            sealer.declare_lost(Lost(ranges, what.held.records, what.held.raw_size, what.why))
        self._ledger.declared(lane, what.numbers)

    def _delete(
        self, lane: Lane, state: State, numbers: Sequence[int], *, now: State | None = None
    ) -> Iterator[Pruned]:
        """Delete those of ``numbers`` that are in ``state`` still, or ``now`` in another one.

        Since they were chosen somebody may have asked for them to be sent again.
        """
        size = 0
        gone, folders = [], set()
        for seq in numbers:
            if any(
                span.state is not (now or state)
                for span in self._ledger.spans_among(lane, Range(seq, seq))
            ):
                continue
            path = lane.segment(seq)
            with suppress(FileNotFoundError):
                size += path.lstat().st_size
                self._disk.unlink(path)
            gone.append(Range(seq, seq))
            folders.add(path.parent)
        for folder in folders:
            self._disk.sync_dir(folder)
        if gone:
            yield Pruned(lane, state, tuple(join_ranges(gone)), size)


def waits(ledger: Ledger, lane: Lane) -> bool:
    """Whether records of ``lane`` wait to be sent."""
    return any((span.after - span.before).records for span in ledger.spans(lane, State.PENDING))


def _is_declared(lane: Lane, ranges: str, above: int) -> bool:
    """Whether a loss record of ``ranges`` stands above the number ``above``."""
    head = read_head(lane)
    for seq in range(above + 1, (0 if head is None else head.seq) + 1):
        said = said_by(lane, seq)
        if said is not None and said.lost is not None and said.lost.ranges == ranges:
            return True
    return False
