"""What whoever made the ledger anew tells of it: when, why, and what became of the old one, each time.

A file of its own: the ledger that could tell it is the one that was lost. What lies there is shown, and
decides nothing.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
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
LOSSES_MAX = 40
"""The newest so many are kept; whoever loses more ledgers has another trouble."""
_FILE_MAX = 8192
"""Bytes; of 40 losses ours have 6,000."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """One time: RFC 3339, and the old ledger's name in the spool, empty where nothing is left.

    ``made``: the new one was begun, so what is lost after that is another loss. ``told``: a daemon's
    log has a line of it.
    """

    at: str
    why: Why
    kept: str = ""
    made: bool = False
    told: bool = False


def _path(spool: Path) -> Path:
    return spool / "rebuilt.json"


def add_rebuilt(disk: Disk, spool: Path, said: Rebuilt) -> None:
    """Leave it where daemon and status find it, beside those before. Raises :class:`OSError`."""
    write_rebuilt(disk, spool, [*read_rebuilt(spool), said])


def note_made(disk: Disk, spool: Path) -> None:
    """The ledger that replaces the last one that was lost was begun. Raises :class:`OSError`."""
    said = read_rebuilt(spool)
    if said and not said[-1].made:
        write_rebuilt(disk, spool, [*said[:-1], replace(said[-1], made=True)])


def write_rebuilt(disk: Disk, spool: Path, said: Sequence[Rebuilt]) -> None:
    """Leave the newest of ``said``, which are in order. Raises :class:`OSError`."""
    losses = [
        {**asdict(each), "made": int(each.made), "told": int(each.told)}
        for each in said[-LOSSES_MAX:]
    ]
    replace_file(disk, _path(spool), orjson.dumps({"v": 2, "losses": losses}))


def read_rebuilt(spool: Path) -> list[Rebuilt]:
    """What was said, oldest first; nothing if no ledger was lost, or the file is not ours."""
    try:
        fields = Fields(
            loads(read_whole(_path(spool), _FILE_MAX, own=True), limit=_FILE_MAX), "note"
        )
        fields.integer("v", 2, 2)
        said = [_loss(each) for each in fields.objects("losses", 1, LOSSES_MAX)]
        fields.done()
    except (FileNotFoundError, VerificationError):
        return []
    return said


def _loss(fields: Fields) -> Rebuilt:
    said = Rebuilt(
        fields.text("at", r"[0-9T:.Z-]{24}"),
        cast("Why", fields.choice("why", _WHYS)),
        fields.text("kept", r"(?:ledger\.db\.[0-9T:.Z-]{24}\.bad)?"),
        bool(fields.integer("made", 0, 1)),
        bool(fields.integer("told", 0, 1)),
    )
    fields.done()
    return said


def is_missed(spool: Path, *, had_lock: bool) -> bool:
    """Whether a ledger that is not there was there once, and no word of it was left yet.

    ``had_lock``: somebody opened one before. The lane of a writer that nobody has served yet has a
    head, too. Of one that was put aside, and whoever was about to make the new one did not come to it,
    there is word already. Raises :class:`OSError`.
    """
    said = read_rebuilt(spool)
    if said and not said[-1].made:
        return False
    return any(
        lane.delivered.exists() or (had_lock and (lane.head.exists() or lane.imported.exists()))
        for lane in lanes(spool)
    )
