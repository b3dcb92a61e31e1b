"""The clocks that the guard reads: the wall's, and the boot's, which nobody can set."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from bridge.license.clockguard import Reading
from keys.ed25519 import PublicKey
from keys.errors import VerificationError
from spool.head import read_head
from spool.lane import lanes
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


def latest_record(spool: Path, node: str, keys: Mapping[str, PublicKey]) -> int:
    """The latest time in a seal of the node's own lanes, ms since 1970 UTC; 0 if there is none.

    The last segment of each lane counts, if one of ``keys`` signed it.
    """
    return max(
        (_last_at(lane.segment(head.seq), keys) for lane in lanes(spool)
         if lane.node == node and (head := read_head(lane)) is not None),
        default=0,
    )  # fmt: skip


def _last_at(path: Path, keys: Mapping[str, PublicKey]) -> int:
    try:
        with Segment.open(path) as segment:
            segment.check_signature(keys)
            return segment.statement.last_at or 0
    except (OSError, VerificationError):
        return 0
