"""What a part of the daemon tells of what it cannot do: why, and what to do about it.

For the status, another process. What lies there is shown, and decides nothing.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from keys.errors import BridgeError, VerificationError
from keys.strictjson import loads
from spool.durable import Disk, replace_file
from spool.safefile import read_whole

PARTS = ("tls", "inbox", "outbox", "writers")
"""The intake's certificate, that could not be exchanged for a newer one; the courier's folders; files
that were moved or removed while they were written."""
_FILE_MAX = 16 * 1024
"""Bytes; three texts at their longest, escaped."""
_TEXT_MAX = 300


@dataclass(frozen=True, slots=True)
class Trouble:
    """An error's id, message, hint."""

    id: str
    message: str
    hint: str

    @classmethod
    def of(cls, error: BridgeError) -> "Trouble":
        """What ``error`` says, cut to what the file holds."""
        return cls(error.id, error.message[:_TEXT_MAX], error.hint[:_TEXT_MAX])


def _path(spool: Path, part: str) -> Path:
    return spool / f"{part}.json"


def write_trouble(disk: Disk, spool: Path, part: str, trouble: Trouble | None) -> None:
    """Leave that of one of :data:`PARTS` where the status finds it; None where all is well.

    Raises :class:`OSError`.
    """
    said = None if trouble is None else asdict(trouble)
    replace_file(disk, _path(spool, part), orjson.dumps({"v": 1, "refused": said}))


def read_trouble(spool: Path, part: str) -> Trouble | None:
    """What the daemon said last; None if all was well, it never ran, or it is not from it."""
    try:
        found = loads(read_whole(_path(spool, part), _FILE_MAX, own=True), limit=_FILE_MAX)
    except (FileNotFoundError, VerificationError):
        return None
    said = found.get("refused") if isinstance(found, dict) and found.get("v") == 1 else None
    if not isinstance(said, dict):
        return None
    texts = [said.get(name) for name in ("id", "message", "hint")]
    if not all(isinstance(text, str) and text for text in texts):
        return None
    return Trouble(*map(str, texts))
