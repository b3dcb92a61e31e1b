"""Who is taken in while room runs out: telemetry gives way first, then usage, billing last.

A pure policy. The room is what the spool may take, or what its disk has, whichever is less.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from spool.streams import Kind

RESERVED: Mapping[Kind, int] = MappingProxyType({"operational": 10, "usage": 5, "billing": 0})
"""Percent of the room that each kind leaves to those that matter more. Billing is small: a tenth
of what a spool takes unless told otherwise is half a GiB, which holds years of it."""

HasRoom = Callable[[Kind], bool]
"""Whether records of a kind are taken now. Raises :class:`OSError` where nobody can tell."""


@dataclass(frozen=True)
class Room:
    """What was read of a spool and its disk, in bytes.

    ``used`` of the ``max_size`` that it may take; ``free`` on its disk, of which ``min_free`` are to
    stay so.
    """

    used: int
    max_size: int
    free: int
    min_free: int

    @property
    def whole(self) -> int:
        """Bytes that the spool may have, with what it has already."""
        return min(self.max_size, self.used + self.free - self.min_free)

    @property
    def left(self) -> int:
        """Bytes that may still come; below zero where there are too many."""
        return self.whole - self.used

    def takes(self, kind: Kind) -> bool:
        """Whether records of ``kind`` are taken; where billing is not, nothing is."""
        return kind in self._taken

    @cached_property
    def _taken(self) -> frozenset[Kind]:
        """Worked out once: each request asks, and a look at the disk holds for thousands."""
        left, whole = self.left, self.whole
        if left <= 0:
            return frozenset()
        return frozenset(kind for kind, kept in RESERVED.items() if 100 * left > kept * whole)
