"""What the beacon keeps: every request that it took and every record, in SQLite.

One request is one transaction, committed before it is answered. A record that comes again is kept
again, and known to be the same: a transaction by its ``id``, everything else by its content
(``bodies``, ``otlp``). Of a license only the SHA-256 is kept.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bridge.testbeacon.bodies import Record
from bridge.testbeacon.refusal import FAILED, Refusal
from keys.errors import ConfigError, shown

VERSION = 1
"""Of the tables, in SQLite's ``user_version``."""

_BUSY_S = 30.0
"""Seconds to wait for another process that holds the database, a reader who copies it for example."""

_TABLES = f"""
CREATE TABLE requests (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,             -- milliseconds since 1970 UTC
    path TEXT NOT NULL,
    stream TEXT,                     -- NULL: license verification
    idempotency_key TEXT,
    license_sha256 TEXT NOT NULL,    -- hex, of the license key
    size INTEGER NOT NULL,           -- bytes of the body
    records INTEGER NOT NULL,
    fresh INTEGER NOT NULL           -- of these, how many no earlier request brought
);
CREATE TABLE records (
    request INTEGER NOT NULL REFERENCES requests,
    ordinal INTEGER NOT NULL,        -- of the record in its request, from 0
    stream TEXT NOT NULL,
    id TEXT,                         -- of a transaction
    text TEXT NOT NULL,              -- as it came in
    PRIMARY KEY (request, ordinal)
) WITHOUT ROWID;
CREATE TABLE identities (
    stream TEXT NOT NULL,
    identity BLOB NOT NULL,
    PRIMARY KEY (stream, identity)
) WITHOUT ROWID;
PRAGMA user_version = {VERSION};
"""


@dataclass(frozen=True, slots=True)
class Request:
    """What is kept of a request besides its records; ``at`` in milliseconds since 1970 UTC."""

    at: int
    path: str
    stream: str | None
    idempotency_key: str | None
    license_sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Counts:
    """Of one stream: requests taken, records in them, and how many of these are not the same."""

    requests: int = 0
    records: int = 0
    distinct: int = 0


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """One record as it stands in the database; ``id`` is set for transactions."""

    request: int
    ordinal: int
    id: str | None
    text: str


class Store:
    """The database at ``path``, made if it is not there; for one thread at a time.

    Raises :class:`ConfigError` ``testbeacon.data`` where there is something else.
    """

    def __init__(self, path: Path) -> None:
        try:
            # Opened by one thread and used by another, never by two at once.
            self._db = sqlite3.connect(
                path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise _unusable(path, error) from error
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            if version == 0:
                self._db.executescript(f"BEGIN IMMEDIATE;{_TABLES}COMMIT;")
            elif version != VERSION:
                raise _unusable(path, f"its version is {version}")
        except sqlite3.Error as error:
            self._db.close()
            raise _unusable(path, error) from error
        except ConfigError:
            self._db.close()
            raise

    def add(self, request: Request, records: Sequence[Record]) -> int:
        """Keep a request with its records; how many of them no earlier one brought.

        Once it returns they are committed; if it raises, nothing was kept. Raises :class:`Refusal`
        500 if the database fails.
        """
        try:
            return self._add(request, records)
        except sqlite3.Error as error:
            raise Refusal(FAILED, "store.failed", f"The database failed: {error}.") from error

    def counts(self) -> Mapping[str, Counts]:
        """By stream, of those that anything came for."""
        rows = self._db.execute(
            "SELECT stream, COUNT(*), SUM(records), SUM(fresh) FROM requests"
            " WHERE stream IS NOT NULL GROUP BY stream"
        )
        return {stream: Counts(*numbers) for stream, *numbers in rows}

    def close(self) -> None:
        """Let go of the database."""
        self._db.close()

    def _add(self, request: Request, records: Sequence[Record]) -> int:
        db, stream = self._db, request.stream
        with closing(db.cursor()) as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            try:
                cursor.executemany(
                    "INSERT OR IGNORE INTO identities VALUES (?, ?)",
                    [(stream, record.identity) for record in records],
                )
                fresh = max(cursor.rowcount, 0)
                cursor.execute(
                    "INSERT INTO requests (at, path, stream, idempotency_key, license_sha256, size,"
                    " records, fresh) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        request.at,
                        request.path,
                        stream,
                        request.idempotency_key,
                        request.license_sha256,
                        request.size,
                        len(records),
                        fresh,
                    ),
                )
                number = cursor.lastrowid
                cursor.executemany(
                    "INSERT INTO records VALUES (?, ?, ?, ?, ?)",
                    [
                        (number, ordinal, stream, record.id, record.text.decode())
                        for ordinal, record in enumerate(records)
                    ],
                )
                cursor.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    cursor.execute("ROLLBACK")
                raise
        return fresh


def stored_records(path: Path, stream: str) -> Iterator[StoredRecord]:
    """Every record of a stream in the database at ``path``, in the order that it came.

    Works while a beacon runs, and sees what it had committed at the first step.
    """
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
        yield from (
            StoredRecord(*row)
            for row in db.execute(
                "SELECT request, ordinal, id, text FROM records WHERE stream = ?"
                " ORDER BY request, ordinal",
                (stream,),
            )
        )


def _unusable(path: Path, why: object) -> ConfigError:
    return ConfigError(
        "testbeacon.data",
        f"{shown(str(path))} cannot be used as the beacon's database: {shown(why)}.",
        "Give the beacon a folder of its own with --data.",
    )
