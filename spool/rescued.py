"""What of a lane was rescued or declared lost before, by the segments above it.

A rescue is several sealings and a move; whatever ends it between two of them, it is begun again, and
what was sealed by then must not be sealed a second time: it would be sent twice, under two numbers.
"""

from collections.abc import Iterable

from spool.discovery import said_by
from spool.head import read_head
from spool.lane import SHARD, Lane


class Rescued:
    """Of one lane. Segments are looked at once; what is sealed later is looked at when it is there."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._from = self._upto = 0
        self._saved: set[int] = set()
        self._lost: set[str] = set()

    def is_saved(self, seq: int) -> bool:
        """Whether the good frames of ``seq`` are a segment of their own. Raises :class:`OSError`."""
        self._look(seq)
        return seq in self._saved

    def is_declared(self, seq: int, ranges: str) -> bool:
        """Whether a loss record of ``ranges``, the first number of which is ``seq``, stands above it.

        Raises :class:`OSError`.
        """
        self._look(seq)
        return ranges in self._lost

    def _look(self, seq: int) -> None:
        head = read_head(self._lane)
        if head is None:
            return
        if not self._from or seq < self._from:
            self._from, self._upto = seq, seq
        for number in self._above(self._upto, head.seq):
            said = said_by(self._lane, number)
            if said is not None and said.of is not None:
                self._saved.add(said.of)
            if said is not None and said.lost is not None:
                self._lost.add(said.lost.ranges)
        self._upto = max(self._upto, head.seq)

    def _above(self, known: int, head: int) -> Iterable[int]:
        """The numbers above ``known`` up to ``head``: few are tried, of many those that are there."""
        if head - known <= SHARD:
            return range(known + 1, head + 1)
        return (number for number in self._lane.sealed_numbers() if known < number <= head)
