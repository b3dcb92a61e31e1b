"""What SQLite says of the ledger's file, as errors for people.

Of a failed system call SQLite tells that it failed and not why, but for one that it knows: a disk that
is full. A user's share of a disk (a quota), a disk that became read-only and a process that may open no
more files are told apart by trying.
"""

import errno
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keys.errors import shown
from spool.durable import NO_ROOM
from spool.errors import SpoolError
from spool.outoffiles import NO_DESCRIPTOR, check_descriptors, out_of_files

BUSY_TIMEOUT_S = 10.0
"""Seconds to wait for a writer of another process; its transactions take milliseconds."""

_PRIMARY = 0xFF
"""SQLite's extended result codes have the primary one in their low byte."""
_OPENED = 4
"""Files that SQLite may have open at a time: the ledger, its log, the log's index, their folder."""
_TRIED = bytes(32 * 1024)
"""What is written on trial: as much as SQLite lays ahead of its log's index at once."""


def extended_code_of(error: sqlite3.Error) -> int:
    """SQLite's result code with all that it says."""
    # Errors that Python's own module raises carry no code of SQLite.
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR))


def code_of(error: sqlite3.Error) -> int:
    """SQLite's primary result code, whatever it extends it by."""
    return extended_code_of(error) & _PRIMARY


def is_damage(error: sqlite3.Error) -> bool:
    """Whether SQLite itself calls the file corrupt, or no database."""
    return code_of(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def in_words(error: sqlite3.Error, path: Path) -> SpoolError:
    """An error for people of what SQLite said of the file at ``path``; the transaction was undone."""
    code = code_of(error)
    if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN):
        try:
            check_descriptors(_OPENED)
        except OSError as found:
            if found.errno in NO_DESCRIPTOR:
                return out_of_files(found, "open the ledger")
        code = _code_by_trial(path.parent) or code
    if code == sqlite3.SQLITE_FULL:
        return SpoolError(
            "ledger.full",
            "There is no room left on the disk for the ledger.",
            "Free space on the spool's file system; nothing that was acknowledged is lost.",
        )
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return SpoolError(
            "ledger.readonly",
            "The ledger may not be written.",
            "Mount the disk for writing, and run as the user who owns the spool.",
        )
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return SpoolError(
            "ledger.busy",
            f"Another process has been writing to the ledger for over {BUSY_TIMEOUT_S:.0f} s.",
            "Look for a stopped or hanging bridge process of this spool, then try again.",
        )
    if is_damage(error):
        return SpoolError(
            "ledger.corrupt",
            "The ledger is damaged.",
            "Stop all bridge processes of this spool and start again: it is then put aside and "
            "rebuilt from the segments.",
        )
    return SpoolError(
        "ledger.io",
        f"The ledger cannot be read or written: {shown(str(error))}.",
        "Look at the kernel log and the disk's health; nothing that was acknowledged is lost.",
    )


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Errors of SQLite about the file at ``path`` as errors for people."""
    try:
        yield
    except sqlite3.Error as error:
        raise in_words(error, path) from error


def _code_by_trial(folder: Path) -> int | None:
    """What SQLite would have said, had it heard what the system says to a small new file there."""
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            os.pwrite(file.fileno(), _TRIED, 0)
            os.fsync(file.fileno())
    except OSError as error:
        if error.errno in NO_ROOM:
            return sqlite3.SQLITE_FULL
        if error.errno == errno.EROFS:
            return sqlite3.SQLITE_READONLY
    return None
