"""Which rows of an export are taken: those that were not sent, are not held yet, and overlap nothing.

The spool itself is the memory of what was taken: a row whose id stands in its lane is there already,
whether by an earlier backfill, by one that was cut off, or because the intake took it. A row with
another id that covers the time of a record that is held, for the same tenant and session, would be
counted twice by the vendor: such an export is refused unless that is wanted.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from io import BytesIO

import orjson

from bridge.intake.csvrows import Row

SENT = "sent"
"""What the vendor's words for rows that were sent begin with: ``sent``, ``sent-backfilled``."""
_WHO: Mapping[str, tuple[str, ...]] = {
    "transactions": ("tenant_id", "session_id", "transaction_type"),
    "langgraph": ("tags",),
}
"""What two records have in common that count the same usage if their times overlap."""
_TIMES: Mapping[str, tuple[str, str]] = {
    "transactions": ("start_insertion_time", "end_insertion_time"),
    "langgraph": ("from_timestamp", "to_timestamp"),
}


def is_sent(row: Row) -> bool:
    """Whether its status says that the vendor has it."""
    return row.status.lower().startswith(SENT)


def digest_of(text: str) -> bytes:
    """Sixteen bytes for an id: what a million of them take is known."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


@dataclass(slots=True)
class Plan:
    """What is to be done with the rows of one file.

    ``statuses`` counts all rows; ``sent``, ``repeated`` (again in the same file) and ``held`` (in the
    spool already) are left out; ``overlaps`` counts held records of the same usage under other ids.
    """

    stream: str
    statuses: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    repeated: int = 0
    overlaps: int = 0
    overlap: str = ""
    """The id of a row that overlaps, to look at."""
    _ids: set[bytes] = field(default_factory=set)
    _held: set[bytes] = field(default_factory=set)
    _times: dict[bytes, list[tuple[float, float, str]]] = field(default_factory=dict)

    def add(self, row: Row, *, include_sent: bool) -> None:
        """Look at a row of the file."""
        self.statuses[row.status] += 1
        if not include_sent and is_sent(row):
            self.sent += 1
            return
        digest = digest_of(row.id)
        if digest in self._ids:
            self.repeated += 1
            return
        self._ids.add(digest)
        found = _usage(self.stream, orjson.loads(row.record))
        if found is not None:
            who, begin, end = found
            self._times.setdefault(who, []).append((begin, end, row.id))

    def see(self, raw: bytes) -> None:
        """Look at lines that the lane holds."""
        for line in BytesIO(raw):
            record = orjson.loads(line)
            key = record.get("id")
            digest = digest_of(key) if isinstance(key, str) else None
            if digest in self._ids:
                assert digest is not None  # noqa: S101 - it is in the set
                self._held.add(digest)
                continue
            found = _usage(self.stream, record)
            if found is not None:
                self._overlap(*found)

    def _overlap(self, who: bytes, begin: float, end: float) -> None:
        for first, last, key in self._times.get(who, ()):
            if first < end and begin < last:
                self.overlaps += 1
                self.overlap = self.overlap or key

    @property
    def held(self) -> int:
        """Rows that are in the spool already."""
        return len(self._held)

    @property
    def wanted(self) -> int:
        """Rows to be taken."""
        return len(self._ids) - len(self._held)

    def take(self, rows: Iterable[Row], *, include_sent: bool) -> Iterator[Row]:
        """Those of ``rows``, the same as before, that are to be taken, each once."""
        left = self._ids - self._held
        for row in rows:
            digest = digest_of(row.id)
            if digest in left and (include_sent or not is_sent(row)):
                left.discard(digest)
                yield row


def _usage(stream: str, record: object) -> tuple[bytes, float, float] | None:
    """Whose usage of which time a record counts; None where it does not say."""
    if not isinstance(record, dict):
        return None
    begin, end = (_time(record.get(name)) for name in _TIMES[stream])
    if begin is None or end is None:
        return None
    who = [record.get(name) for name in _WHO[stream]]
    return orjson.dumps(who, option=orjson.OPT_SORT_KEYS), begin, end


def _time(value: object) -> float | None:
    """A time as the exports and the reports write it; without an offset it is UTC, as theirs is."""
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
