"""What the daemon tells of its intake: sums since its start, for the status, another process.

Names in it are printable and hold no secret; whoever counts sees to that. What lies there is not
believed beyond its form: it is shown, and decides nothing.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import orjson

from keys.errors import VerificationError
from keys.strictjson import JsonValue, loads
from spool.clock import rfc3339
from spool.durable import Disk, replace_file
from spool.safefile import read_whole

FILE_MAX = 256 * 1024
"""Bytes; 64 unrouted paths of 120 characters are the most of it."""
_Sums = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class IntakeSums:
    """Requests by path, refusals by id, unrouted requests by shown path; the rest by stream.

    ``records`` are lines, ``filtered`` log records below a warning, ``dropped`` OTLP records that
    held a secret, ``switched_off`` requests, ``unknown`` protobuf fields that were not kept,
    ``repeated`` transactions whose id came before.
    """

    requests: _Sums = field(default_factory=dict)
    records: _Sums = field(default_factory=dict)
    filtered: _Sums = field(default_factory=dict)
    dropped: _Sums = field(default_factory=dict)
    switched_off: _Sums = field(default_factory=dict)
    unknown: _Sums = field(default_factory=dict)
    refused: _Sums = field(default_factory=dict)
    unrouted: _Sums = field(default_factory=dict)
    repeated: int = 0


@dataclass(frozen=True, slots=True)
class IntakeSaid:
    """Sums ``since`` the daemon's start as they were ``at`` a time, both RFC 3339."""

    since: str
    at: str
    sums: IntakeSums


def _path(spool: Path) -> Path:
    return spool / "intake.json"


def write_intake(disk: Disk, spool: Path, sums: IntakeSums, *, since_ms: int, at_ms: int) -> None:
    """Leave ``sums`` where the status finds them. Raises :class:`OSError`."""
    said = IntakeSaid(rfc3339(since_ms), rfc3339(at_ms), sums)
    replace_file(disk, _path(spool), orjson.dumps({"v": 1, **asdict(said)}))


def read_intake(spool: Path) -> IntakeSaid | None:
    """What the daemon said last; None if it never ran, or what lies there is not from it."""
    try:
        found = loads(read_whole(_path(spool), FILE_MAX, own=True), limit=FILE_MAX)
    except (FileNotFoundError, VerificationError):
        return None
    if not isinstance(found, dict) or found.get("v") != 1:
        return None
    since, at, sums = found.get("since"), found.get("at"), found.get("sums")
    if not isinstance(since, str) or not isinstance(at, str) or not isinstance(sums, dict):
        return None
    repeated = sums.get("repeated")
    return IntakeSaid(
        since,
        at,
        IntakeSums(
            **{each.name: _sums(sums.get(each.name)) for each in fields(IntakeSums)[:-1]},
            repeated=repeated if isinstance(repeated, int) else 0,
        ),
    )


def _sums(found: JsonValue) -> _Sums:
    members = found.items() if isinstance(found, dict) else ()
    return {name: sum_ for name, sum_ in members if isinstance(sum_, int)}
