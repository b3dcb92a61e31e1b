"""Whether it is the records: what a route refused in a row, with nothing taken between.

A hundred in a row and it is not the records: they go out again and the route is paused. While it is
paused each refusal costs a step of back-off. What was refused then goes out once more as soon as the
route takes something: it was the route. A record that is refused again after that is not counted any
more, so that a hundred bad ones side by side hold up nothing for ever.

That is slow, by the pace of probes. A person who looked at the answers, and asks for sending, says that
it is the records: of those refused next, a thousand are set aside at full speed, and what lies behind
them gets its turn.

A restart between loses nothing of that: what the ledger's answers say was refused last, with nothing
taken after it, goes out once more when something is taken: who knows whether the route was paused. It
does not count towards a hundred: it may have been final.
"""

import threading
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from bridge.egress.verdict import Kind
from spool.discovery import said_by
from spool.lane import Lane
from spool.ledger import By, Ledger, LedgerError, Lines, SegmentSums

REFUSED_MAX = 100
"""Records of a route refused in a row with none taken between: then it is not the records."""
HELD_MAX = 10_000
"""Refused records of a paused route that are remembered: some days of probes. What is refused after
that stays an exception until a person acts."""

ASIDE_MAX = 1_000
"""Refused records that one wish of a person sets aside without a pause; each request that is taken
meanwhile makes it one less."""

_Refused = tuple[Lane, SegmentSums, int]


class Refusals:
    """The refusals of one route, by all of its lanes; for any number of threads."""

    def __init__(self, ledger: Ledger, spool: Path, stream: str) -> None:
        """Go on from what the ledger says; the route is that of ``stream``."""
        self._ledger = ledger
        self._lock = threading.Lock()
        self._in_row: list[_Refused] = []
        self._earlier = list(_refused_before(ledger, spool, stream))
        self._had_again: set[tuple[Lane, int, int]] = set()
        self._paused = False
        self._aside = 0

    @property
    def paused(self) -> bool:
        """Whether it is the route, as far as anybody knows."""
        return self._paused

    def refused(self, lane: Lane, segment: SegmentSums, line: int) -> bool:
        """A record was refused, alone, and is an exception now; True where the route is to pause.

        Raises :class:`SpoolError` where those that it gives back cannot be given back.
        """
        with self._lock:
            if (lane, segment.seq, line) in self._had_again:
                return self._paused
            if self._aside:
                self._aside -= 1
                return False
            if len(self._in_row) < HELD_MAX:
                self._in_row.append((lane, segment, line))
            if self._paused or len(self._in_row) < REFUSED_MAX:
                return self._paused
            self._paused = True
            self._give_back(self._in_row)
            self._in_row.clear()
            return True

    def wanted(self) -> bool:
        """A person wants it sent now, whatever was refused; whether the route was paused for that."""
        with self._lock:
            was, self._paused = self._paused, False
            self._in_row.clear()
            self._aside = ASIDE_MAX
            return was

    def taken(self) -> None:
        """The route took something. Raises as :meth:`refused` does."""
        with self._lock:
            # A wish does not hold for ever: what is refused much later, nobody has looked at.
            self._aside = max(self._aside - 1, 0)
            again = self._earlier + (self._in_row if self._paused else [])
            self._paused = False
            if again:
                self._had_again = {(lane, sums.seq, line) for lane, sums, line in again}
                self._give_back(again)
            self._earlier.clear()
            self._in_row.clear()

    def _give_back(self, refused: Iterable[_Refused]) -> None:
        """Make them pending again, those that still are exceptions."""
        for lane, lines in _by_segment(refused):
            try:
                self._ledger.give_back(lane, [lines], by=By.GIVE_BACK)
            except LedgerError:
                # A person was faster: sent it again, gave it up, or wrote it into a bundle.
                continue


def _refused_before(ledger: Ledger, spool: Path, stream: str) -> Iterator[_Refused]:
    """What an earlier process was refused last, in the order of refusals, as far as it is held."""
    verdicts = (Kind.BISECT, Kind.SPLIT)
    found = ledger.refused_in_row(stream, verdicts, Kind.DELIVERED, HELD_MAX)
    for node, seq, line in reversed(found):
        lane = Lane(spool, node, stream)
        said = said_by(lane, seq)
        if said is not None and line < said.records:
            yield lane, SegmentSums(seq, said.before, said.totals), line


def _by_segment(refused: Iterable[_Refused]) -> Iterator[tuple[Lane, Lines]]:
    row = sorted(refused, key=lambda each: (each[0].node, each[0].stream, each[1].seq, each[2]))
    for (lane, segment), group in groupby(row, lambda each: each[:2]):
        yield lane, Lines(segment, tuple(dict.fromkeys(line for _, _, line in group)))
