"""What a file that stands where the ledger should be is: one of ours, one to be migrated, or none.

Nothing is written to it.
"""

import sqlite3
from enum import Enum, auto
from pathlib import Path

from keys.errors import ConfigError
from spool.ledger_db import Access, Transaction, connect
from spool.ledger_errors import extended_code_of, in_words, is_damage
from spool.ledger_schema import APPLICATION_ID, FIRST, TABLES, VERSION, columns, expected


class Condition(Enum):
    """What a ledger file is."""

    GOOD = auto()
    OLDER = auto()
    """Of an earlier version, and to be migrated."""
    MISSING = auto()
    EMPTY = auto()
    """A crash came between making the file and making the tables."""
    UNFINISHED = auto()
    """A crash came in a change of the file itself, which SQLite undoes when it may write."""
    DAMAGED = auto()
    """SQLite itself says so."""


def examine(path: Path, access: Access = "ro") -> Condition:
    """What the file at ``path`` is, without writing to it; ``access`` is none for writing.

    Raises :class:`ConfigError` ``ledger.newer`` or ``ledger.foreign``, and
    :class:`~spool.errors.SpoolError` where the disk, not the file, is at fault.
    """
    try:
        connection = connect(path, access)
        try:
            return _examine(connection)
        finally:
            connection.close()
    except sqlite3.Error as error:
        if is_damage(error):
            return Condition.DAMAGED
        if extended_code_of(error) == sqlite3.SQLITE_READONLY_ROLLBACK:
            return Condition.UNFINISHED
        raise in_words(error, path) from error


def _examine(connection: Transaction) -> Condition:
    version = _number(connection, "user_version")
    application = _number(connection, "application_id")
    query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    tables = {name for (name,) in connection.execute(query)}
    if not tables and version == application == 0:
        return Condition.EMPTY
    if application != APPLICATION_ID:
        raise foreign("is not a ledger")
    if version > VERSION:
        raise ConfigError(
            "ledger.newer",
            f"The ledger has version {version}; this program knows versions up to {VERSION}.",
            "Use the program that wrote it, or a newer one; nothing was changed.",
        )
    if 1 <= version < VERSION and FIRST <= tables <= set(TABLES):
        return Condition.OLDER if _sound(connection, tables) else Condition.DAMAGED
    if version < VERSION or columns(connection) != expected():
        raise foreign("lacks tables of a ledger, or has others")
    return Condition.GOOD if _sound(connection, tables) else Condition.DAMAGED


def foreign(what: str) -> ConfigError:
    """The error for a file that is no ledger, or was changed by somebody else."""
    return ConfigError(
        "ledger.foreign",
        f"The file ledger.db {what}.",
        "Find out who changed it; move it away, and the ledger is rebuilt from the segments.",
    )


def _sound(connection: Transaction, tables: set[str]) -> bool:
    # The audit grows for years; of it only the end is read, which is where rows are added.
    connection.execute("SELECT * FROM audit ORDER BY id DESC LIMIT 1").fetchall()
    return all(
        connection.execute(f"PRAGMA quick_check('{name}')").fetchall() == [("ok",)]
        for name in tables
        if name != "audit"
    )


def _number(connection: Transaction, pragma: str) -> int:
    (value,) = connection.execute(f"PRAGMA {pragma}").fetchone()
    return int(value)
