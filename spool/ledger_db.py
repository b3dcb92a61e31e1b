"""SQLite as the ledger needs it; all but the schema and its migration use sqlite3 through it.

Any number of threads and processes. Writers of one process queue at a lock and share a connection,
so that they wait in a line instead of polling the file; each reader has a connection from a pool
and sees one consistent moment. Write-ahead logging: readers never wait for writers. A transaction
that returned is on disk (``synchronous=FULL``). Not to be used across a ``fork``.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal

from spool.errors import SpoolError
from spool.ledger_errors import BUSY_TIMEOUT_S, code_of, extended_code_of, translated

CACHE_KIB = 256
"""Memory for pages of each connection, an eighth of the usual: there are several, and all of them would
fill theirs as the audit grows, while the system holds the file's pages anyhow."""

Transaction = sqlite3.Connection
"""What the parts of the ledger work on: a connection within a transaction."""

Access = Literal["rw", "ro", "resting"]
"""How a file is opened: to be written, to be read, or to be read where nobody writes and SQLite could
not even make the files beside it that readers share. None of them makes the database."""
_MODES: Mapping[Access, str] = {"rw": "rw", "ro": "ro", "resting": "ro&immutable=1"}


def is_readable(path: Path) -> bool:
    """Whether SQLite can open it with what lies beside it; else it would have to make that."""
    try:
        with closing(connect(path, "ro")) as connection:
            connection.execute("PRAGMA schema_version").fetchone()
    except sqlite3.Error as error:
        # The disk is read-only, or the folder closed to this user. Of others whoever reads it hears.
        return not (
            code_of(error) == sqlite3.SQLITE_CANTOPEN
            or extended_code_of(error) == sqlite3.SQLITE_READONLY_DIRECTORY
        )
    return True


def connect(path: Path, access: Access) -> sqlite3.Connection:
    """A connection for any thread."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={_MODES[access]}",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,  # transactions begin where we say so
        check_same_thread=False,
    )
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    except BaseException:
        # It would stay open until somebody collects what is left of the error.
        connection.close()
        raise
    return connection


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _changed(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)  # noqa: PTH116 - looked at very often
    except FileNotFoundError:
        return 0, 0
    return status.st_mtime_ns, status.st_size


class Database:
    """An open ledger file; where the ``access`` is none for writing, :meth:`write` raises."""

    def __init__(self, path: Path, access: Access = "rw") -> None:
        self.path = path
        self._access: Access = access
        self._at_rest = self.mark()
        self._file = _identity(path)
        self._turn = threading.Lock()
        self._pool_lock = threading.Lock()
        self._readers: list[sqlite3.Connection] = []
        with translated(self.path):
            self._writer = connect(path, access)
            try:
                self._writer.execute("PRAGMA synchronous = FULL")
            except BaseException:
                self._writer.close()
                raise

    def close(self) -> None:
        """Close all connections; nobody may be using them."""
        with translated(self.path):
            for connection in (*self._readers, self._writer):
                connection.close()
        self._readers.clear()

    def copy_to(self, path: Path) -> None:
        """Make a database of all that is in this one now."""
        with self.read() as tx, closing(sqlite3.connect(path)) as copy:
            tx.backup(copy)

    @property
    def in_place(self) -> bool:
        """Whether the file's name still leads to the file that is open. Raises :class:`OSError`."""
        try:
            return _identity(self.path) == self._file
        except FileNotFoundError:
            return False

    @property
    def writable(self) -> bool:
        """Whether it was opened to be written."""
        return self._access == "rw"

    def mark(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """What differs after a change by whichever process, as far as file times tell.

        Raises :class:`OSError`.
        """
        return _changed(f"{self.path}"), _changed(f"{self.path}-wal")

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """One ``BEGIN IMMEDIATE`` transaction: committed at the end, undone by any exception."""
        with self._turn, translated(self.path), _transaction(self._writer, "BEGIN IMMEDIATE"):
            yield self._writer

    @contextmanager
    def tried(self) -> Iterator[Transaction]:
        """As :meth:`write`, but undone at the end: what would be so then is to be read within it."""
        with self._turn, translated(self.path):
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
            finally:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """One consistent view; whoever writes meanwhile does not wait, nor does the reader."""
        with translated(self.path):
            try:
                connection = self._reader()
                try:
                    with _transaction(connection, "BEGIN"):
                        yield connection
                finally:
                    with self._pool_lock:
                        self._readers.append(connection)
            finally:
                # Also where it failed: half of a change looks like damage.
                self._check_rest()

    def _reader(self) -> sqlite3.Connection:
        with self._pool_lock:
            if self._readers:
                return self._readers.pop()
        connection = connect(self.path, self._access)
        connection.execute("PRAGMA query_only = ON")
        return connection

    def _check_rest(self) -> None:
        """Nothing, unless somebody wrote to a file that was read as one that nobody writes to."""
        if self._access == "resting" and self.mark() != self._at_rest:
            raise SpoolError(
                "ledger.changed",
                "Somebody wrote to the ledger while it was read.",
                "Run this again: it is then read as one that is in use.",
            )


@contextmanager
def _transaction(connection: sqlite3.Connection, begin: str) -> Iterator[None]:
    connection.execute(begin)
    try:
        yield
        connection.execute("COMMIT")
    finally:
        # SQLite undoes a transaction by itself after some errors, and not after others.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
