"""The log of changes beside the ledger, ``ledger.db-wal``, as far as its first bytes tell.

SQLite takes a log that does not begin as one for one that is just being begun anew, and where it may
write nothing it looks again and again, for ten seconds each time that the file is opened.
"""

import struct
import time
from pathlib import Path

_HEAD = struct.Struct(">8I")
"""https://www.sqlite.org/fileformat2.html#the_write_ahead_log: magic, version, page size, number,
two salts, two checksums."""
_MAGIC = 0x377F0682
"""The last bit says in which order of bytes the checksums were made."""
_VERSION = 3007000
_LOOKS = 5
_PAUSE_S = 0.05
"""A log's beginning is written at once; who sees half of it, sees all of it at the next look."""


def is_log(path: Path) -> bool:
    """Whether the file at ``path`` is a log that SQLite reads: one that has begun, or none at all.

    Raises :class:`OSError`.
    """
    for _ in range(_LOOKS):
        try:
            with path.open("rb") as file:
                head = file.read(_HEAD.size)
        except FileNotFoundError:
            return True
        if len(head) < _HEAD.size or not any(head) or _is_head(head):
            return True
        time.sleep(_PAUSE_S)
    return False


def _is_head(head: bytes) -> bool:
    magic, version, *_, first, second = _HEAD.unpack(head)
    if magic & ~1 != _MAGIC or version != _VERSION:
        return False
    order = ">" if magic & 1 else "<"
    words = struct.unpack(f"{order}6I", head[:24])
    a = b = 0
    for one, other in zip(words[::2], words[1::2], strict=True):
        a = (a + one + b) & 0xFFFFFFFF
        b = (b + other + a) & 0xFFFFFFFF
    return (a, b) == (first, second)
