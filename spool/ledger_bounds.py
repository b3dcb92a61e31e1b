"""The bounds of a batch: lines of adjacent segments, half-open."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from spool.states import LedgerError

Position = tuple[int, int]
"""A segment's number and a line of it, counted from 0."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Lines of adjacent segments of one chain.

    From line ``first_line`` of ``first_seq`` up to and without line ``end_line`` of ``last_seq``;
    lines count from 0.
    """

    chain: str
    first_seq: int
    first_line: int
    last_seq: int
    end_line: int

    @property
    def start(self) -> Position:
        """The first line."""
        return self.first_seq, self.first_line

    @property
    def end(self) -> Position:
        """The line after the last one."""
        return self.last_seq, self.end_line

    @property
    def columns(self) -> tuple[str, int, int, int, int]:
        """As the tables have them."""
        return self.chain, self.first_seq, self.first_line, self.last_seq, self.end_line

    def lines_of(self, seq: int, lines: int) -> tuple[int, int]:
        """The part of a segment of ``lines`` lines that lies within, half-open."""
        first = self.first_line if seq == self.first_seq else 0
        return first, self.end_line if seq == self.last_seq else lines


def check(bounds: Bounds) -> None:
    """Nothing, or :class:`LedgerError` ``ledger.bounds`` for bounds that hold no line."""
    lines_are_sane = bounds.first_line >= 0 and bounds.end_line >= 0
    if not (lines_are_sane and bounds.start < bounds.end):
        raise LedgerError(
            "ledger.bounds",
            f"The bounds {bounds.start} to {bounds.end} hold no line.",
            "This is a fault of the program; report it with this message.",
        )


def tile(whole: Bounds, parts: Sequence[Bounds]) -> bool:
    """Whether ``parts``, at least two, are exactly ``whole``, in order."""
    return (
        len(parts) > 1
        and (parts[0].start, parts[-1].end) == (whole.start, whole.end)
        and all(part.chain == whole.chain for part in parts)
        # The end of a segment has two names: after its last line, and before the next one's first.
        and all(b.start in (a.end, (a.last_seq + 1, 0)) for a, b in pairwise(parts))
    )
