"""Whether the wall clock may be believed when it says that something is old enough to be deleted.

A clock that was set forward by ten years makes everything old. So the time is noted with each look: one
that comes before the last, or long after it, is believed only when it has gone on evenly for a week. A
machine that was switched off for longer keeps things a week longer, which costs nothing.
"""

from dataclasses import dataclass
from pathlib import Path

import orjson

from keys.errors import VerificationError
from keys.strictjson import Fields, loads
from spool.clock import WALL_MS_MAX
from spool.durable import Disk, replace_file
from spool.safefile import read_whole

STEP_MAX_MS = 7 * 86_400_000
"""Milliseconds between two looks that nobody wonders about, and how long a clock is doubted."""
BACK_MAX_MS = 3_600_000
"""Milliseconds that a clock may be set back when it is put right."""
FILE_MAX = 1024


@dataclass(frozen=True, slots=True)
class Look:
    """The time of a look, and until when the clock is doubted; ms since 1970 UTC."""

    at: int
    doubted_until: int

    @property
    def believed(self) -> bool:
        """Whether ages may be judged by this time."""
        return self.at >= self.doubted_until


def next_look(last: Look | None, now: int) -> Look:
    """What to think of the time ``now`` after ``last``; None: there was no look before."""
    if last is None or not -BACK_MAX_MS <= now - last.at <= STEP_MAX_MS:
        return Look(now, now + STEP_MAX_MS)
    return Look(now, last.doubted_until)


def _path(spool: Path) -> Path:
    return spool / "retention.json"


def read_look(spool: Path) -> Look | None:
    """The last look that was noted; None where there was none, or what lies there is not of us.

    Raises :class:`OSError`.
    """
    try:
        data = read_whole(_path(spool), FILE_MAX, own=True)
        fields = Fields(loads(data, limit=FILE_MAX), "note of the last look")
        fields.integer("v", 1, 1)
        look = Look(
            fields.integer("at", 0, WALL_MS_MAX),
            fields.integer("doubted_until", 0, WALL_MS_MAX + STEP_MAX_MS),
        )
        fields.done()
    except (FileNotFoundError, VerificationError):
        return None
    return look


def write_look(disk: Disk, spool: Path, look: Look) -> None:
    """Note ``look``. Raises :class:`OSError`."""
    said = {"v": 1, "at": look.at, "doubted_until": look.doubted_until}
    replace_file(disk, _path(spool), orjson.dumps(said))
