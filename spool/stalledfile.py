"""What the daemon tells of itself when a part of it does nothing any more: which, and since when.

For the status, another process. What lies there is shown, and decides nothing.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from keys.errors import VerificationError
from keys.strictjson import Fields, loads
from spool.clock import rfc3339
from spool.durable import Disk, replace_file
from spool.safefile import read_whole

PARTS = ("intake", "egress", "main thread")
_FILE_MAX = 1024
"""Bytes; ours have 80."""


@dataclass(frozen=True, slots=True)
class Stalled:
    """One of :data:`PARTS`, and since when that is known (RFC 3339)."""

    part: str
    since: str


def _path(spool: Path) -> Path:
    return spool / "stalled.json"


def write_stalled(disk: Disk, spool: Path, part: str | None, at_ms: int) -> None:
    """Leave it where the status finds it; None where all parts move. Raises :class:`OSError`."""
    said = None if part is None else asdict(Stalled(part, rfc3339(at_ms)))
    replace_file(disk, _path(spool), orjson.dumps({"v": 1, "stalled": said}))


def read_stalled(spool: Path) -> Stalled | None:
    """What the daemon said last; None if all moved, it never ran, or it is not from it."""
    try:
        found = loads(read_whole(_path(spool), _FILE_MAX, own=True), limit=_FILE_MAX)
        if not isinstance(found, dict) or found.get("v") != 1 or found.get("stalled") is None:
            return None
        fields = Fields(found["stalled"], "stalled part")
        said = Stalled(fields.choice("part", PARTS), fields.text("since", r"[0-9T:.Z-]{24}"))
        fields.done()
    except (FileNotFoundError, VerificationError):
        return None
    return said
