"""What the daemon tells others: whether anything leaves at the moment, and which lanes are stuck.

Writers read it when they seal by age: what leaves at once is sealed soon, what waits anyhow is sealed
late, so that a month of outage is thousands of files, not millions. A lane waits by itself where only
its route or its license is held up. The status shows the rest.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from keys.errors import BridgeError, VerificationError
from keys.strictjson import Fields, loads
from spool.clock import rfc3339
from spool.durable import Disk, replace_file
from spool.lane import Lane
from spool.safefile import read_whole
from spool.sender_lock import read_holder

STATES = ("up", "down", "paused", "idle", "offline")
FLOWING = ("up", "idle")
AGE_FLOWING_MS = 10_000
"""A segment's age while the lane is being uploaded."""
AGE_WAITING_MS = 600_000
"""A segment's age while nothing leaves."""
REASON_MAX = 200
"""Characters of a reason."""
FAILED_MAX = 64
"""Lanes of which it is said why they fail; one cause fails most lanes of a spool at once."""
WAITING_MAX = 256
"""Lanes that are named as waiting; where there are more, the state decides for all."""
_TEXT_MAX = 300
_TEXT = r"[^\x00-\x1f\x7f]{0,300}"
_FILE_MAX = 128 * 1024
"""Bytes; the text of every lane at its longest, escaped."""


@dataclass(frozen=True, slots=True)
class LaneFailure:
    """Why a lane cannot be sent though the beacon is not to blame: an error's id, message, hint."""

    node: str
    stream: str
    id: str
    message: str
    hint: str

    @classmethod
    def of(cls, lane: Lane, error: BridgeError) -> "LaneFailure":
        """What ``error`` means for ``lane``, cut to what the file holds."""
        return cls(
            lane.node, lane.stream, error.id, error.message[:_TEXT_MAX], error.hint[:_TEXT_MAX]
        )


@dataclass(frozen=True, slots=True)
class EgressState:
    """A state of egress, since when (RFC 3339), and why, in a few words of ours (empty if well).

    ``failed`` lanes wait whatever the state is. Nothing leaves of the ``waiting`` ones
    (``node/stream``), and all others flow; None: the state alone decides.
    """

    state: str
    since: str
    reason: str
    failed: Sequence[LaneFailure] = ()
    waiting: Sequence[str] | None = None


def _path(spool: Path) -> Path:
    return spool / "egress.json"


def write_egress_state(
    disk: Disk,
    spool: Path,
    state: str,
    since_ms: int,
    reason: str = "",
    *,
    failed: Sequence[LaneFailure] = (),
    waiting: Sequence[Lane] | None = None,
) -> None:
    """Say that egress is in ``state`` since then. Raises :class:`OSError`."""
    named = None if waiting is None or len(waiting) > WAITING_MAX else [*map(_name, waiting)]
    said = {
        "v": 1,
        "state": state,
        "since": rfc3339(since_ms),
        "reason": reason[:REASON_MAX],
        "failed": [asdict(each) for each in failed[:FAILED_MAX]],
        **({} if named is None else {"waiting": named}),
    }
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
            # An earlier version did not say it.
            [_failure(each) for each in fields.objects("failed", 0, FAILED_MAX)]
            if "failed" in fields
            else (),
            fields.texts("waiting", r"[a-z0-9-]{1,63}/[a-z]{1,32}", WAITING_MAX)
            if "waiting" in fields
            else None,
        )
        fields.done()
    except (FileNotFoundError, VerificationError):
        return None
    return said


def _failure(fields: Fields) -> LaneFailure:
    found = LaneFailure(
        fields.text("node", r"[a-z0-9-]{1,63}"),
        fields.text("stream", r"[a-z]{1,32}"),
        fields.text("id", r"[a-z0-9_.]{1,64}"),
        fields.text("message", _TEXT),
        fields.text("hint", _TEXT),
    )
    fields.done()
    return found


def _name(lane: Lane) -> str:
    return f"{lane.node}/{lane.stream}"


def seal_age_ms(lane: Lane, configured: int | None) -> int:
    """The age at which an open file of ``lane`` is sealed; ``configured`` None is automatic."""
    if configured is not None:
        return configured
    said = read_egress_state(lane.spool)
    if said is None or said.state == "offline":
        return AGE_WAITING_MS
    flows = said.state in FLOWING if said.waiting is None else _name(lane) not in said.waiting
    # What a daemon said that was killed stands there still.
    return AGE_FLOWING_MS if flows and read_holder(lane.spool) is not None else AGE_WAITING_MS
