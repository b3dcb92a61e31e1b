"""Which of many windows of time overlap with others that are shown one after the other.

Each belongs to somebody; only windows of the same overlap. They are half-open: where one ends the
next may begin; one without a length counts as a microsecond. Forty bytes are kept of each, and each
answer takes logarithmic time, whatever the windows are.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from struct import Struct

KEY_SIZE = 16
"""Bytes of the key that a window is known by."""
_ENTRY = Struct(f">8sQQ{KEY_SIZE}s")
_PLACE = Struct(">8sQ")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_BIAS = 1 << 62
"""Makes every time a positive number, and 0 none."""


class Windows:
    """Windows, each with a key; first all are added, then others are shown."""

    def __init__(self) -> None:
        self._entries: list[bytes] = []
        self._ends: array[int] | None = None
        self._size = 0

    def add(self, who: bytes, begin: datetime, end: datetime, key: bytes) -> None:
        """A window of ``who``; both times have an offset."""
        first, last = _span(begin, end)
        self._entries.append(_ENTRY.pack(_hash(who), first, last, key))

    def overlapping(self, who: bytes, begin: datetime, end: datetime) -> Iterator[bytes]:
        """Keys of windows of ``who`` that overlap this one and were not told before."""
        ends = self._ends if self._ends is not None else self._sorted()
        first, last = _span(begin, end)
        name = _hash(who)
        low = bisect_left(self._entries, _PLACE.pack(name, 0))
        high = bisect_left(self._entries, _PLACE.pack(name, last))
        while (at := self._ending_after(ends, low, high, first)) is not None:
            yield _ENTRY.unpack(self._entries[at])[3]
            self._forget(ends, at)

    def _sorted(self) -> "array[int]":
        """A tree of the latest ends: each node has the greater of its two below."""
        self._entries.sort()
        self._size = 1 << max(len(self._entries) - 1, 0).bit_length()
        ends = array("Q", bytes(16 * self._size))
        for at, entry in enumerate(self._entries, self._size):
            ends[at] = _ENTRY.unpack(entry)[2]
        for node in range(self._size - 1, 0, -1):
            ends[node] = max(ends[2 * node], ends[2 * node + 1])
        self._ends = ends
        return ends

    def _ending_after(self, ends: "array[int]", low: int, high: int, time: int) -> int | None:
        if low >= high:
            return None
        node = low + self._size
        while ends[node] <= time:
            while node & 1:  # nothing below its parent is further to the right
                node >>= 1
            if node == 0:
                return None
            node += 1
        while node < self._size:
            node *= 2
            if ends[node] <= time:
                node += 1
        at = node - self._size
        return at if at < high else None

    def _forget(self, ends: "array[int]", at: int) -> None:
        node = at + self._size
        ends[node] = 0
        while node > 1:
            node >>= 1
            ends[node] = max(ends[2 * node], ends[2 * node + 1])


def _hash(who: bytes) -> bytes:
    return blake2b(who, digest_size=8).digest()


def _span(begin: datetime, end: datetime) -> tuple[int, int]:
    first = _microseconds(begin)
    return first, max(_microseconds(end), first + 1)


def _microseconds(time: datetime) -> int:
    return (time - _EPOCH) // _MICROSECOND + _BIAS
