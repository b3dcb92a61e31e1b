"""The books of a soak: acknowledged by the producers, held by the beacon, lost by the loss records.

None of the three is asked of the bridge; seals are read with ``jq``, as an auditor would. Three
things must hold. What was acknowledged arrived, or is declared lost. Nothing arrived that nobody
sent. And what arrived, copies included, is what was sealed less what is lost, plus at most what the
bridge itself says is in doubt.
"""

import re
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from producer import EACH, PATHS

NAME = re.compile(r"[a-z]+\d+-\d+")
ONE_A_LINE = "transactions"
"""Its records stand one in a line, and the beacon drops copies; of the others a request is a line."""
_SAID = (
    '.payload | @base64d | fromjson | [.before.records + .records, .reason, .lost.why // "",'
    ' .lost.records // 0] | map(tostring) | join(" ")'
)


def noted(notes: Path, word: str) -> set[str]:
    """The names of all records of a producer's requests that were made (``try``), or answered."""
    found: set[str] = set()
    for line in notes.read_text().splitlines() if notes.exists() else []:
        what, name, first, last = line.split()
        if what == word:
            found.update(f"{name}-{n}" for n in range(int(first), int(last) + 1))
    return found


def arrived(database: Path, stream: str) -> Counter[str]:
    """The names of all records that the beacon holds, with how often it got each."""
    found: Counter[str] = Counter()
    with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as db:
        for (text,) in db.execute("SELECT text FROM records WHERE stream = ?", (stream,)):
            found.update(NAME.findall(text))
    return found


@dataclass
class Sealed:
    """Lines that were sealed in a lane, and those that its loss records declare, by why."""

    lines: int = 0
    lost: Counter[str] = field(default_factory=Counter)


def sealed(spool: Path, stream: str) -> Sealed:
    """What the seals say: the newest one how much there was, loss records how much is lost."""
    found = Sealed()
    seals = []
    for path in sorted((spool / "soak" / stream / "sealed").rglob("*.ndjson.zst")):
        data = path.read_bytes()
        seals.append(data[-int.from_bytes(data[-4:], "little") :][8:-4])
    told = subprocess.run(  # noqa: S603
        ["jq", "-r", _SAID],  # noqa: S607 - the system's
        input=b"\n".join(seals),
        capture_output=True,
        check=True,
    )
    for line in told.stdout.decode().splitlines():
        lines, reason, why, count = line.split(" ")
        found.lines = int(lines)
        if reason == "loss":
            found.lost[why] += int(count)
    return found


def balance(folder: Path, spool: Path, in_doubt: Mapping[str, int]) -> list[str]:
    """What does not balance, in words; and the figures on stdout. ``in_doubt`` lines by stream."""
    problems = []
    for stream in PATHS:
        acked = noted(folder / f"{stream}.notes", "ack")
        tried = noted(folder / f"{stream}.notes", "try")
        there = arrived(folder / "beacon" / "beacon.db", stream)
        seals, doubt = sealed(spool, stream), in_doubt.get(stream, 0)
        missing = len(acked - there.keys())
        print(
            f"{stream:14} acknowledged {len(acked):8,}  arrived {len(there):8,}  "
            f"not arrived {missing:6,}  copies {there.total() - len(there):6,}  "
            f"lines sealed {seals.lines:8,}  lost {dict(seals.lost)}  in doubt {doubt:,}"
        )
        lost = seals.lost.total()
        if stream == ONE_A_LINE and (missing or lost):
            problems.append(f"{missing} acknowledged transactions did not arrive; {lost} are lost")
        if missing > EACH * lost:
            problems.append(f"{missing} records of {stream} did not arrive, {lost} lines are lost")
        if strangers := there.keys() - tried:
            problems.append(f"{len(strangers)} records of {stream} arrived that nobody sent")
        if stream != ONE_A_LINE:
            lines = there.total() / EACH
            if not seals.lines - lost <= lines <= seals.lines - lost + doubt:
                problems.append(
                    f"{stream}: {lines} lines arrived; {seals.lines} were sealed, {lost} are lost, "
                    f"{doubt} in doubt"
                )
    return problems
