"""The demo's books: what producers were told is safe, against what the beacon's database holds.

A producer notes a record after it was acknowledged, in a file that the bridge never sees. Records are
told apart by the SHA-256 of their bytes, which nothing on the way may change.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bridge.testbeacon.store import stored_records
from spool.streams import STREAMS


def mark_of(record: bytes) -> str:
    """What a record is known by."""
    return hashlib.sha256(record).hexdigest()


class Notes:
    """A producer's own file of acknowledged records."""

    def __init__(self, folder: Path, name: str) -> None:
        self._path = folder / name

    def acknowledged(self, stream: str, records: Iterable[bytes]) -> None:
        """Note records whose acknowledgement has arrived."""
        with self._path.open("a", encoding="ascii") as file:
            file.write("".join(f"{stream} {mark_of(record)}\n" for record in records))


@dataclass(frozen=True, slots=True)
class Line:
    """One stream: records acknowledged, of those found at the beacon, kept there once, missing."""

    stream: str
    produced: int
    delivered: int
    distinct: int
    lost: int


def read_notes(folder: Path) -> Mapping[str, Counter[str]]:
    """All that producers noted, by stream."""
    noted: dict[str, Counter[str]] = {name: Counter() for name in STREAMS}
    for path in folder.iterdir():
        for line in path.read_text("ascii").splitlines():
            stream, _, mark = line.partition(" ")
            noted[stream][mark] += 1
    return noted


def compare(notes: Path, database: Path) -> list[Line]:
    """The books of every stream. What came twice is counted once."""
    noted = read_notes(notes)
    lines = []
    for stream in STREAMS:
        there = Counter(mark_of(found.text.encode()) for found in stored_records(database, stream))
        missing = noted[stream] - there
        produced = noted[stream].total()
        lines.append(
            Line(
                stream,
                produced,
                produced - missing.total(),
                len(there),
                missing.total(),
            )
        )
    return lines
