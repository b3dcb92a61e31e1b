"""What whoever made the ledger anew tells of it: when, why, and what became of the old one.

A file of its own: the ledger that could tell it is the one that was lost. What lies there is shown, and
decides nothing.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, cast

import orjson

from keys.errors import VerificationError
from keys.strictjson import Fields, loads
from spool.durable import Disk, replace_file
from spool.lane import lanes
from spool.safefile import read_whole

Why = Literal["missing", "damaged"]
_WHYS: tuple[Why, ...] = ("missing", "damaged")
_FILE_MAX = 1024
"""Bytes; ours have 150."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """The last time: RFC 3339, and the old ledger's name in the spool, empty where nothing is left.

    ``told``: a daemon's log has a line of it.
    """

    at: str
    why: Why
    kept: str = ""
    told: bool = False


def _path(spool: Path) -> Path:
    return spool / "rebuilt.json"


def write_rebuilt(disk: Disk, spool: Path, said: Rebuilt) -> None:
    """Leave it where daemon and status find it. Raises :class:`OSError`."""
    replace_file(disk, _path(spool), orjson.dumps({"v": 1, **asdict(said), "told": int(said.told)}))


def read_rebuilt(spool: Path) -> Rebuilt | None:
    """What was said last; None if the ledger never was made anew, or the file is not ours."""
    try:
        fields = Fields(
            loads(read_whole(_path(spool), _FILE_MAX, own=True), limit=_FILE_MAX), "note"
        )
        fields.integer("v", 1, 1)
        said = Rebuilt(
            fields.text("at", r"[0-9T:.Z-]{24}"),
            cast("Why", fields.choice("why", _WHYS)),
            fields.text("kept", r"(?:ledger\.db\.[0-9T:.Z-]{24}\.bad)?"),
            bool(fields.integer("told", 0, 1)),
        )
        fields.done()
    except (FileNotFoundError, VerificationError):
        return None
    return said


def is_missed(spool: Path, *, had_lock: bool) -> bool:
    """Whether a ledger that is not there was there once.

    ``had_lock``: somebody opened one before. The lane of a writer that nobody has served yet has a
    head, too. Raises :class:`OSError`.
    """
    return any(
        lane.delivered.exists() or (had_lock and (lane.head.exists() or lane.imported.exists()))
        for lane in lanes(spool)
    )


def is_cut_short(spool: Path) -> bool:
    """Whether what was said last is still so: the old ledger was put aside, and no daemon began since.

    Whoever was about to make the new one did not come to it. Raises :class:`OSError`.
    """
    said = read_rebuilt(spool)
    return said is not None and not said.told and said.kept != "" and (spool / said.kept).exists()
