"""What the daemon tells of its certificate: why a new one was not taken into use, if one was not.

For the status, another process. What lies there is shown, and decides nothing.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from keys.errors import BridgeError, VerificationError
from keys.strictjson import loads
from spool.durable import Disk, replace_file
from spool.safefile import read_whole

_FILE_MAX = 16 * 1024
"""Bytes; three texts at their longest, escaped."""
_TEXT_MAX = 300


@dataclass(frozen=True, slots=True)
class TlsRefusal:
    """Why a pair of certificate and key is not served: an error's id, message, hint."""

    id: str
    message: str
    hint: str

    @classmethod
    def of(cls, error: BridgeError) -> "TlsRefusal":
        """What ``error`` says, cut to what the file holds."""
        return cls(error.id, error.message[:_TEXT_MAX], error.hint[:_TEXT_MAX])


def _path(spool: Path) -> Path:
    return spool / "tls.json"


def write_tls(disk: Disk, spool: Path, refused: TlsRefusal | None) -> None:
    """Leave it where the status finds it; None where all is well. Raises :class:`OSError`."""
    said = None if refused is None else asdict(refused)
    replace_file(disk, _path(spool), orjson.dumps({"v": 1, "refused": said}))


def read_tls(spool: Path) -> TlsRefusal | None:
    """What the daemon said last; None if all was well, it never ran, or it is not from it."""
    try:
        found = loads(read_whole(_path(spool), _FILE_MAX, own=True), limit=_FILE_MAX)
    except (FileNotFoundError, VerificationError):
        return None
    said = found.get("refused") if isinstance(found, dict) and found.get("v") == 1 else None
    if not isinstance(said, dict):
        return None
    texts = [said.get(name) for name in ("id", "message", "hint")]
    if not all(isinstance(text, str) and text for text in texts):
        return None
    return TlsRefusal(*map(str, texts))
