"""When to ask for a new token, and what the daemon tells of the last time; for the status.

A token is asked for when a quarter of what is left of it has passed, a little earlier by chance, so
that bridges that began together do not ask together. What lies in the file decides nothing but what is
shown, and whether a token that ends soon is called so.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

import orjson

from bridge.license.judgement import REFRESH_MIN_MS
from keys.errors import VerificationError
from keys.strictjson import Fields, JsonValue, loads
from spool.clock import WALL_MS_MAX
from spool.durable import Disk, make_folders, replace_file
from spool.safefile import read_whole

PART = 4
"""A quarter of what is left passes before a new one is asked for."""
WAIT_MAX_MS = 86_400_000
"""A beacon that refuses is known within a day, however long its tokens live."""
AGAIN_MS, AGAIN_MAX_MS = 30_000, 900_000
"""After a failure, doubling."""
START_MS = (2_000, 10_000)
"""After a start: not at once, a producer may ask first."""
FILE_MAX = 256 * 1024


def wait_ms(left: int | None, failures: int, random: Random) -> int:
    """How long until the next request, ms; ``left`` of the token's life, None without one.

    ``failures`` in a row came before.
    """
    jitter = random.uniform(0.8, 1.0)
    if failures:
        again = min(AGAIN_MS * 2 ** min(failures - 1, 10), AGAIN_MAX_MS)
        return int(again * jitter)
    if left is None or left <= 0:
        return int(AGAIN_MAX_MS * jitter)
    return int(min(max(left // PART, REFRESH_MIN_MS), WAIT_MAX_MS) * jitter)


@dataclass(frozen=True, slots=True)
class Refresh:
    """The last request for a token: when, why it brought none (empty: it did), when the next is due.

    ms since 1970 UTC.
    """

    tried_at: int
    problem: str
    next_at: int


def _path(spool: Path) -> Path:
    return spool / "license" / "refresh"


def write_refreshes(disk: Disk, spool: Path, said: Mapping[str, Refresh]) -> None:
    """Leave them, by node, where the status finds them. Raises :class:`OSError`."""
    make_folders(disk, spool, _path(spool).parent)
    nodes = {node: asdict(each) for node, each in said.items()}
    replace_file(disk, _path(spool), orjson.dumps({"v": 1, "nodes": nodes}))


def read_refreshes(spool: Path) -> Mapping[str, Refresh]:
    """What the daemon left; nothing where it never ran, or what lies there is not from it."""
    try:
        found = loads(read_whole(_path(spool), FILE_MAX, own=True), limit=FILE_MAX)
        nodes: JsonValue = found.get("nodes") if isinstance(found, dict) else None
        if not isinstance(nodes, dict):
            return {}
        return {node: _refresh(Fields(each, "note of a refresh")) for node, each in nodes.items()}
    except (FileNotFoundError, NotADirectoryError, VerificationError):
        return {}


def _refresh(fields: Fields) -> Refresh:
    return Refresh(
        fields.integer("tried_at", 0, WALL_MS_MAX),
        fields.text("problem", r"[\x20-\x7e]{0,300}"),
        fields.integer("next_at", 0, 2 * WALL_MS_MAX),
    )
