"""What the daemon tells the writers: whether anything leaves at the moment.

Writers read it when they seal by age: what leaves at once is sealed soon, what waits anyhow is sealed
late, so that a month of outage is thousands of files, not millions.
"""

from dataclasses import dataclass
from pathlib import Path

import orjson

from keys.errors import VerificationError
from keys.strictjson import Fields, loads
from spool.clock import rfc3339
from spool.durable import Disk, replace_file
from spool.safefile import read_whole

STATES = ("up", "down", "paused", "idle", "offline")
FLOWING = ("up", "idle")
AGE_FLOWING_MS = 10_000
"""A segment's age while the lane is being uploaded."""
AGE_WAITING_MS = 600_000
"""A segment's age while nothing leaves."""
REASON_MAX = 200
"""Characters of a reason."""
_FILE_MAX = 1024


@dataclass(frozen=True, slots=True)
class EgressState:
    """A state of egress, since when (RFC 3339), and why, in a few words of ours (empty if well)."""

    state: str
    since: str
    reason: str


def _path(spool: Path) -> Path:
    return spool / "egress.json"


def write_egress_state(
    disk: Disk, spool: Path, state: str, since_ms: int, reason: str = ""
) -> None:
    """Say that egress is in ``state`` since then. Raises :class:`OSError`."""
    said = {"v": 1, "state": state, "since": rfc3339(since_ms), "reason": reason[:REASON_MAX]}
    replace_file(disk, _path(spool), orjson.dumps(said))


def read_egress_state(spool: Path) -> EgressState | None:
    """What the daemon said last; None if it never ran, or what lies there is not from it."""
    try:
        fields = Fields(
            loads(read_whole(_path(spool), _FILE_MAX, own=True), limit=_FILE_MAX), "egress"
        )
        fields.integer("v", 1, 1)
        said = EgressState(
            fields.choice("state", STATES),
            fields.text("since", r"[0-9T:.Z-]{24}"),
            fields.text("reason", r"[ -~]{0,200}"),
        )
        fields.done()
    except (FileNotFoundError, VerificationError):
        return None
    return said


def seal_age_ms(spool: Path, configured: int | None) -> int:
    """The age at which an open file is sealed; ``configured`` None is automatic."""
    if configured is not None:
        return configured
    said = read_egress_state(spool)
    return AGE_FLOWING_MS if said is not None and said.state in FLOWING else AGE_WAITING_MS
