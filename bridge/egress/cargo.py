"""What a request carries: whole segments, whole frames of one, or lines, as they are stored.

Bounds are chosen once, when a batch is made; a batch is loaded by its bounds at every attempt, so
that its bytes never change. Lines are joined, not parsed.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bridge.egress.cursor import Cursor, Opener
from spool.lane import Lane
from spool.ledger import Bounds, Position, SegmentSums
from spool.totals import Totals

BATCH_SEGMENTS_MAX = 4096
"""Segments in one request: small ones are joined, but the sums of all have to be held."""


@dataclass(frozen=True, slots=True)
class Cargo:
    """Lines to be sent: their bounds, their bytes with line ends, the seals' sums and digests.

    Without chunks it is segments that hold no records; no request carries those.
    """

    bounds: Bounds
    chunks: list[bytes]
    segments: list[SegmentSums]
    digests: list[str]

    @property
    def sent(self) -> Totals:
        """How many records and bytes of them."""
        records = 0
        for item in self.segments:
            first, end = self.bounds.lines_of(item.seq, item.lines)
            records += end - first
        return Totals(records, sum(map(len, self.chunks)))

    @property
    def line(self) -> bytes:
        """The one line that it carries."""
        return b"".join(self.chunks).removesuffix(b"\n")

    @property
    def next_position(self) -> Position:
        """Where the next line is that it does not carry."""
        seq, line = self.bounds.end
        return (seq + 1, 0) if line == self.segments[-1].lines else (seq, line)

    def unload(self) -> list[bytes]:
        """The chunks, which it holds no longer: memory is for a body or for what it is made of."""
        chunks = self.chunks.copy()
        self.chunks.clear()
        return chunks

    def key(self, lane: Lane) -> str:
        """The request's Idempotency-Key: the same lane, chain, bounds and digests, the same key."""
        said = ["airgap-bridge batch 1", lane.node, lane.stream]
        said += [*map(str, self.bounds.columns), *self.digests]
        return hashlib.sha256("\n".join(said).encode()).hexdigest()[:32]

    def halves(self) -> list[Bounds]:
        """The bounds of its first and second half of lines; it holds at least two."""
        middle = self._position(self.sent.records // 2)
        bounds = self.bounds
        # The end of a segment is written as the end of its lines, never as the next one's begin.
        upto = middle
        if middle[1] == 0:
            before = next(item for item in self.segments if item.seq == middle[0] - 1)
            upto = (before.seq, before.lines)
        return [
            Bounds(bounds.chain, *bounds.start, *upto),
            Bounds(bounds.chain, *middle, *bounds.end),
        ]

    def _position(self, index: int) -> Position:
        """Where the line with this index among the cargo's lines stands."""
        for item in self.segments:
            first, end = self.bounds.lines_of(item.seq, item.lines)
            if index < end - first:
                return item.seq, first + index
            index -= end - first
        raise IndexError(index)


class Hold:
    """Loads what is to be sent from one lane, one after the other; for one thread at a time.

    ``give_way`` is called between segments: there may be thousands in one cargo, on a slow disk.
    """

    def __init__(self, opener: Opener, give_way: Callable[[], None] = lambda: None) -> None:
        self._opener = opener
        self._give_way = give_way
        self._cursor: Cursor | None = None

    def gather(
        self, chain: str, start: Position, end: Position, *, raw_max: int, lines_max: int
    ) -> Cargo | None:
        """The next lines from ``start`` on, before ``end``: as many as fit, at least one.

        A line larger than ``raw_max`` goes alone. Segments without records are never in one cargo
        with others. None where there is no line. Raises :class:`DamagedSegmentError`, or
        :class:`OSError` where nobody can tell.
        """
        first: Position | None = None
        last: Position = start
        cargo = Cargo(Bounds(chain, *start, *start), [], [], [])
        room, lines_left = raw_max, lines_max
        for cursor in self._cursors(start, end):
            seq, records = cursor.sums.seq, cursor.sums.lines
            limit = end[1] if seq == end[0] else records
            if cursor.line >= limit and records:
                continue
            if first is not None and bool(cargo.chunks) != bool(records):
                break
            begin = cursor.line
            taken = cursor.take(room, lines_left, limit, at_least_one=not cargo.chunks)
            if not taken and records:
                break
            first = first or (seq, begin)
            last = (seq, cursor.line)
            cargo.chunks.extend(taken)
            cargo.segments.append(cursor.sums)
            cargo.digests.append(cursor.digest)
            room -= sum(map(len, taken))
            lines_left -= cursor.line - begin
            if cursor.line < limit or len(cargo.segments) == BATCH_SEGMENTS_MAX:
                break
        if first is None:
            return None
        bounds = Bounds(chain, *first, *last)
        return Cargo(bounds, cargo.chunks, cargo.segments, cargo.digests)

    def load(self, bounds: Bounds) -> Cargo:
        """The lines within ``bounds``. Raises as :meth:`gather` does."""
        cargo = Cargo(bounds, [], [], [])
        for cursor in self._cursors(bounds.start, bounds.end):
            _, end = bounds.lines_of(cursor.sums.seq, cursor.sums.lines)
            cargo.chunks.extend(cursor.take(None, None, end, at_least_one=True))
            cargo.segments.append(cursor.sums)
            cargo.digests.append(cursor.digest)
        return cargo

    def close(self) -> None:
        """Let go of the open segment."""
        if self._cursor is not None:
            self._cursor.close()
            self._cursor = None

    def _cursors(self, start: Position, end: Position) -> Iterator[Cursor]:
        """A cursor in each segment from ``start`` on, before ``end``; the last one stays open."""
        seq, line = start
        while (seq, line) < end:
            if self._cursor is None or self._cursor.position != (seq, line):
                self.close()
                self._cursor = self._opener.open(seq, line)
            yield self._cursor
            self._give_way()
            seq, line = seq + 1, 0
