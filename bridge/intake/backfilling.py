"""Which rows of an export are taken: those that were not sent, are not held yet, and overlap nothing.

The spool itself is the memory of what was taken: a row whose id stands in its lane is there already,
whether by an earlier backfill, by one that was cut off, or because the intake took it.

A row overlaps where the lane holds a record under an id that is not in the file, of the same usage
(transactions: tenant, session and type; LangGraph: equal tags), whose window has a moment in common
with the row's: the vendor would count that moment twice. Windows are half-open, so that hours that
follow each other do not overlap. A row is judged alone: those beside it are taken. Two rows of one
file are not compared: they are the vendor's own books. A word that is missing is a word of its own.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from io import BytesIO

import orjson

from bridge.intake.exports import Form, Row
from bridge.intake.reporttimes import moment
from bridge.intake.windows import KEY_SIZE, Windows

SENT = "sent"
"""What the vendor's words for rows that were sent begin with: ``sent``, ``sent-backfilled``."""
LOCAL = "local"
"""The ``source`` of usage that an installation has to report; the vendor's query exports no other."""
STATUSES_MAX = 50
"""Status words that are counted by name; the vendor has about ten."""
OTHERS = "(others)"
"""Counts the status words beyond."""
STATUS_MAX = 64
"""Characters of a status word that are shown."""
NAME_MAX = 128
"""Characters of an id that are shown."""
EXAMPLES_MAX = 10
"""Overlapping rows that are shown."""
NAMES_MAX = 1000
"""Ids of held records that are kept to be shown beside the rows that overlap them."""


@dataclass(frozen=True, slots=True)
class Example:
    """A row that overlaps: its line and id, and the id of the held record, if that has one."""

    line: int
    id: str
    held: str | None


def _digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=KEY_SIZE).digest()


@dataclass(slots=True)
class Plan:
    """What is to be done with the rows of one file; some 250 bytes are kept of each.

    All rows are either ``wanted`` or left out: ``sent`` by their status, ``not_local`` by their
    source, ``repeated`` in the file, ``held`` in the spool, or ``refused`` because they overlap.
    ``overlapping`` counts those also where they are taken; ``undated`` rows do not say when, and are
    not compared; ``unread`` lines that are held could not be looked at.
    """

    form: Form
    include_sent: bool = False
    overlap: bool = False
    statuses: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    sent: int = 0
    not_local: int = 0
    repeated: int = 0
    held: int = 0
    undated: int = 0
    unread: int = 0
    _known: set[bytes] = field(default_factory=set)
    _left: set[bytes] = field(default_factory=set)
    _overlapping: set[bytes] = field(default_factory=set)
    _names: dict[bytes, str] = field(default_factory=dict)
    _windows: Windows = field(default_factory=Windows)

    def add(self, row: Row) -> None:
        """Look at a row of the file."""
        self.rows += 1
        word = row.status[:STATUS_MAX]
        known = word in self.statuses or len(self.statuses) < STATUSES_MAX
        self.statuses[word if known else OTHERS] += 1
        key = _digest(row.id)
        if self._left_out(row):
            # Told twice, once as sent: it was sent.
            if key in self._left:
                self._left.remove(key)
                self.repeated += 1
            self._known.add(key)
            return
        if key in self._known:
            self.repeated += 1
            return
        self._known.add(key)
        self._left.add(key)
        found = self._usage(orjson.loads(row.record))
        if found is None:
            self.undated += 1
        else:
            self._windows.add(*found, key)

    def _left_out(self, row: Row) -> bool:
        if not self.include_sent and row.status.lower().startswith(SENT):
            self.sent += 1
            return True
        if row.source and row.source != LOCAL:
            self.not_local += 1
            return True
        return False

    def see(self, raw: bytes) -> None:
        """Look at lines that the lane holds; after all rows were added."""
        for line in BytesIO(raw):
            try:
                record = orjson.loads(line)
            except orjson.JSONDecodeError:
                self.unread += 1
                continue
            name = record.get("id")
            key = _digest(name) if isinstance(name, str) else None
            if key is not None and key in self._known:
                if key in self._left:
                    self._left.remove(key)
                    self.held += 1
            elif (found := self._usage(record)) is not None:
                for hit in self._windows.overlapping(*found):
                    self._overlapping.add(hit)
                    if isinstance(name, str) and len(self._names) < NAMES_MAX:
                        self._names[hit] = name[:NAME_MAX]

    @property
    def overlapping(self) -> int:
        """Rows that are not held and overlap what is."""
        return len(self._overlapping & self._left)

    @property
    def refused(self) -> int:
        """Rows that are left out because they overlap."""
        return 0 if self.overlap else self.overlapping

    @property
    def wanted(self) -> int:
        """Rows to be taken."""
        return len(self._left) - self.refused

    def take(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Those of ``rows``, the same as before, that are to be taken, each once."""
        left = self._left - (set() if self.overlap else self._overlapping)
        for row in rows:
            key = _digest(row.id)
            if key in left:
                left.remove(key)
                yield row

    def examples(self, rows: Iterable[Row]) -> list[Example]:
        """The first of ``rows``, the same as before, that overlap."""
        left = self._left & self._overlapping
        found: list[Example] = []
        for row in rows:
            if not left or len(found) == EXAMPLES_MAX:
                break
            key = _digest(row.id)
            if key in left:
                left.remove(key)
                found.append(Example(row.line, row.id[:NAME_MAX], self._names.get(key)))
        return found

    def _usage(self, record: dict[str, object]) -> tuple[bytes, datetime, datetime] | None:
        """Whose usage of which time a record counts; None where it does not say."""
        begin, end = (_time(record.get(name)) for name in self.form.times)
        if begin is None or end is None:
            return None
        who = [record.get(name) for name in self.form.who]
        return orjson.dumps(who, option=orjson.OPT_SORT_KEYS), begin, end


def _time(value: object) -> datetime | None:
    return moment(value) if isinstance(value, str) else None
