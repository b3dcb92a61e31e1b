"""The clocks that the guard reads: the wall's, and the boot's, which nobody can set."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from bridge.license.clockguard import Reading
from keys.ed25519 import PublicKey
from keys.errors import VerificationError
from spool.head import Head, read_head
from spool.lane import Lane, lanes
from spool.segment import Segment

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class GuardClock(Protocol):
    """Where readings come from."""

    def reading(self) -> Reading:
        """The clocks now."""
        ...


class SystemGuardClock:
    """The clocks of this machine."""

    def reading(self) -> Reading:
        """See :class:`GuardClock`. The boot's clock counts while the machine sleeps."""
        return Reading(
            wall=time.time_ns() // 1_000_000,
            boot_id=_BOOT_ID.read_text(encoding="ascii").strip(),
            since_boot=time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000,
        )


SYSTEM_GUARD_CLOCK = SystemGuardClock()


class Records:
    """The latest time in a seal of a node's own lanes; those of ``keys`` count.

    A statement is read and verified once: its digest, which the lane's head names, says which it is.
    """

    def __init__(self, spool: Path, node: str, keys: Mapping[str, PublicKey]) -> None:
        self._spool = spool
        self._node = node
        self._keys = keys
        self._known: dict[Lane, tuple[str, int]] = {}

    def latest(self) -> int:
        """In ms since 1970 UTC, by the last segment of each lane; 0 if there is none."""
        return max(
            (self._last_at(lane, head) for lane in lanes(self._spool)
             if lane.node == self._node and (head := read_head(lane)) is not None),
            default=0,
        )  # fmt: skip

    def _last_at(self, lane: Lane, head: Head) -> int:
        digest, last_at = self._known.get(lane, ("", 0))
        if digest == head.digest:
            return last_at
        try:
            with Segment.open(lane.segment(head.seq)) as segment:
                segment.check_signature(self._keys)
                found = segment.statement.last_at or 0
                # What a head says proves nothing, and may be of another time than the segment.
                if segment.digest == head.digest:
                    self._known[lane] = (head.digest, found)
                return found
        except (OSError, VerificationError):
            return 0
