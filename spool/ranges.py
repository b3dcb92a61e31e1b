"""Numbers of segments as text: ``1-40,57``.

One set of numbers has exactly one text: ascending, ranges apart from each other, a single number
alone, no signs, spaces or leading zeros. Any other text is refused.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from keys.errors import VerificationError, shown
from spool.lane import SEQ_MAX

RANGES_MAX = 1000
"""Ranges in one text; a lane with more holes than this is sent again rather than listed."""
ITEM_LENGTH_MAX = 2 * len(str(SEQ_MAX)) + 2
"""Characters of one range: two numbers, the hyphen, the comma."""

_ITEM = re.compile(r"([1-9][0-9]{0,11})(?:-([1-9][0-9]{0,11}))?\Z", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Range:
    """The numbers from ``first`` to ``last``, both included."""

    first: int
    last: int

    def __len__(self) -> int:
        """How many numbers."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class ChainRanges:
    """Numbers of one chain, ascending, apart from each other."""

    chain: str
    ranges: tuple[Range, ...]


def _refused(text: str, why: str) -> VerificationError:
    return VerificationError(
        "ranges.form",
        f"{shown(text)} is not a list of segment numbers: {why}.",
        "Write the numbers ascending, what is adjacent as FIRST-LAST: 1-40,57.",
    )


def parse_ranges(text: str, *, limit: int = RANGES_MAX) -> tuple[Range, ...]:
    """The ranges that ``text`` names, at most ``limit`` of them, at least one.

    Raises :class:`VerificationError` ``ranges.form``.
    """
    if len(text) > limit * ITEM_LENGTH_MAX or text.count(",") >= limit:
        raise _refused(text, f"it is longer than {limit} ranges")
    ranges: list[Range] = []
    for item in text.split(","):
        match = _ITEM.match(item)
        if match is None:
            raise _refused(text, f"{shown(item)} is neither a number nor FIRST-LAST")
        first = int(match[1])
        last = int(match[2] or first)
        if match[2] is not None and last <= first:
            raise _refused(text, f"{item} does not ascend")
        if ranges and first <= ranges[-1].last + 1:
            raise _refused(text, f"{item} does not lie apart from what is before it")
        ranges.append(Range(first, last))
    return tuple(ranges)


def join_ranges(ranges: Iterable[Range]) -> list[Range]:
    """``ranges``, which may be in any order, overlap and touch, ascending and apart."""
    joined: list[Range] = []
    for item in sorted(ranges):
        if joined and item.first <= joined[-1].last + 1:
            joined[-1] = Range(joined[-1].first, max(joined[-1].last, item.last))
        else:
            joined.append(item)
    return joined


def without(ranges: Iterable[Range], others: Iterable[Range]) -> list[Range]:
    """What of ``ranges`` is in none of ``others``, ascending and apart."""
    left: list[Range] = []
    taken = iter(join_ranges(others))
    other = next(taken, None)
    for item in join_ranges(ranges):
        first = item.first
        while other is not None and other.first <= item.last:
            if first < other.first:
                left.append(Range(first, other.first - 1))
            first = max(first, other.last + 1)
            if other.last > item.last:  # the next one may lie in it, too
                break
            other = next(taken, None)
        if first <= item.last:
            left.append(Range(first, item.last))
    return left


def shared(ranges: Iterable[Range], others: Iterable[Range]) -> list[Range]:
    """What of ``ranges`` is in one of ``others``, too, ascending and apart."""
    held = join_ranges(ranges)
    return without(held, without(held, others))


def format_ranges(ranges: Iterable[Range]) -> str:
    """The text of ``ranges``, which may be in any order, overlap and touch."""
    return ",".join(
        str(item.first) if item.first == item.last else f"{item.first}-{item.last}"
        for item in join_ranges(ranges)
    )
