"""The books of a soak: acknowledged by the producers, held by the beacon, lost by the loss records.

None of the three is asked of the bridge. Loss records are read with ``jq``, as an auditor would.
"""

import re
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from producer import EACH, PATHS

NAME = re.compile(r"[a-z]+\d+-\d+")
_LOST = '.payload | @base64d | fromjson | .lost // empty | "\\(.why) \\(.records // 0)"'


def acknowledged(notes: Path) -> set[str]:
    """The names of all records that a producer's requests were answered for."""
    found: set[str] = set()
    for line in notes.read_text().splitlines() if notes.exists() else []:
        name, first, last = line.split()
        found.update(f"{name}-{n}" for n in range(int(first), int(last) + 1))
    return found


def arrived(database: Path, stream: str) -> Counter[str]:
    """The names of all records that the beacon holds, with how often it got each."""
    found: Counter[str] = Counter()
    with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as db:
        for (text,) in db.execute("SELECT text FROM records WHERE stream = ?", (stream,)):
            found.update(NAME.findall(text))
    return found


def lost(spool: Path, stream: str) -> Counter[str]:
    """Lines that the loss records declare, by why."""
    found: Counter[str] = Counter()
    for path in sorted((spool / "soak" / stream / "sealed").rglob("*.ndjson.zst")):
        for why, count in _lost_of(path):
            found[why] += count
    return found


def _lost_of(path: Path) -> Iterator[tuple[str, int]]:
    data = path.read_bytes()
    if data[:4] != b"\x5b\x2a\x4d\x18":  # it holds records: a skippable frame is not all of it
        return
    told = subprocess.run(  # noqa: S603
        ["jq", "-r", _LOST],  # noqa: S607 - the system's
        input=data[8:-4],
        capture_output=True,
        check=True,
    )
    for line in told.stdout.decode().splitlines():
        why, count = line.split()
        yield why, int(count)


def balance(folder: Path, spool: Path) -> list[str]:
    """What does not balance, in words; and the figures on stdout.

    A line of the spool is a request of a producer, with :data:`EACH` records; loss records count lines.
    """
    problems = []
    for stream in PATHS:
        acked = acknowledged(folder / f"{stream}.notes")
        there = arrived(folder / "beacon" / "beacon.db", stream)
        declared = lost(spool, stream)
        missing = len(acked - there.keys())
        twice = sum(count - 1 for count in there.values())
        print(
            f"{stream:14} acknowledged {len(acked):8,}  arrived {len(there):8,}  "
            f"more than once {twice:6,}  not arrived {missing:6,}  declared lost {dict(declared)} lines"
        )
        if stream == "transactions" and missing:
            problems.append(f"{missing} acknowledged transactions did not arrive")
        if missing > EACH * declared.total():
            problems.append(
                f"{missing} records of {stream} did not arrive, fewer are declared lost"
            )
    return problems
