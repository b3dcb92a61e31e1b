"""A ledger of an earlier version becomes one of today's: a new file is filled from it, and replaces it.

All in one transaction on the new file, which gets the old one's name when it is whole and durable.
Until then the old one stands; what a crash leaves of the new one goes at the next attempt. Whoever
migrates holds the ledger alone.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

from keys.errors import VerificationError
from spool.durable import OS_DISK
from spool.errors import SpoolError
from spool.lane import Lane
from spool.ledger_condition import foreign
from spool.ledger_db import Transaction, connect
from spool.ledger_errors import translated
from spool.ledger_given_up import note
from spool.ledger_schema import columns, create
from spool.ledger_spans import Span, need_lane, put
from spool.segment import Segment
from spool.statement import Statement
from spool.states import State

_ENDING = ".new"
_UNKNOWN = {("imported", "prev"): "''"}
"""Columns that have no default, and what stands in them until a seal was asked."""


def migrate(path: Path) -> None:
    """Put a ledger of today's version, with all that the one at ``path`` holds, in its place.

    Raises :class:`~keys.errors.ConfigError` ``ledger.foreign``, :class:`SpoolError` ``ledger.*``, or
    :class:`OSError`; then the old one is as it was.
    """
    new = path.with_name(path.name + _ENDING)
    _remove(new)
    try:
        with translated(path):
            _empty_the_log(path)
            _fill(new, path)
        fd = OS_DISK.open_write(new)
        try:
            OS_DISK.sync(fd)
        finally:
            OS_DISK.close(fd)
        OS_DISK.rename(new, path)
        OS_DISK.sync_dir(path.parent)
    finally:
        _remove(new)


def _remove(new: Path) -> None:
    for part in ("", "-journal", "-wal", "-shm"):
        new.with_name(new.name + part).unlink(missing_ok=True)


def _empty_the_log(path: Path) -> None:
    """Bring what stands in the write-ahead log into the file: a new one beside it would be spoilt."""
    with closing(connect(path, "rw")) as old:
        old.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    if path.with_name(path.name + "-wal").exists():
        raise SpoolError(
            "ledger.locked",
            "The ledger is of an earlier version, and another program has it open.",
            "Stop what has ledger.db open, then try again; nothing was changed.",
        )


def _fill(new: Path, path: Path) -> None:
    OS_DISK.close(OS_DISK.create(new))
    with closing(connect(new, "rw")) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("ATTACH ? AS old", (f"{path.absolute().as_uri()}?mode=ro",))
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("PRAGMA defer_foreign_keys = ON")
        create(connection)
        try:
            _copy(connection)
            _ask_seals(connection, path.parent)
            _ask_loss_records(connection, path.parent)
            connection.execute("COMMIT")
        except sqlite3.IntegrityError as error:
            raise foreign("holds what no ledger of its version does") from error
        connection.execute("DETACH old")
        connection.execute("PRAGMA journal_mode = WAL")


def _copy(tx: Transaction) -> None:
    held = columns(tx, "old")
    for table, wanted in columns(tx, "main").items():
        if table not in held:
            continue
        into = [name for name in wanted if name in held[table] or (table, name) in _UNKNOWN]
        values = [name if name in held[table] else _UNKNOWN[table, name] for name in into]
        # Names of our own tables; nothing of it comes from outside.
        tx.execute(
            f"INSERT INTO main.{table} ({', '.join(into)})"  # noqa: S608
            f" SELECT {', '.join(values)} FROM old.{table}"
        )
    # Numbers that were given once are not given again, also where their rows are gone.
    tx.execute("DELETE FROM main.sqlite_sequence")
    tx.execute("INSERT INTO main.sqlite_sequence SELECT name, seq FROM old.sqlite_sequence")


def _ask_seals(tx: Transaction, spool: Path) -> None:
    """What version 1 did not note of imported segments, from their seals: predecessors, and forks."""
    rows = tx.execute(
        "SELECT lane, node, stream, seq, digest, imported.fork"
        " FROM imported JOIN lane ON lane.id = lane WHERE prev = '' ORDER BY lane, seq, imported.fork"
    ).fetchall()
    last: tuple[int, int, str] | None = None
    last_digest = ""
    for row, node, stream, seq, digest, is_fork in rows:
        lane = Lane(spool, node, stream)
        place = lane.fork_of(seq, digest) if is_fork else lane
        sealed = _sealed(place, seq, digest)
        if sealed is None:  # its file was pruned: nobody can say any more
            continue
        said, _ = sealed
        unlinked = False
        if is_fork:
            span = Span(said.chain, seq, seq, State.PENDING, said.before, said.totals)
            put(tx, need_lane(tx, place), span)
        else:
            unlinked = last == (row, seq - 1, said.chain) and last_digest != said.prev
            last, last_digest = (row, seq, said.chain), digest
        tx.execute(
            "UPDATE imported SET prev = ?, unlinked = ? WHERE lane = ? AND seq = ? AND digest = ?",
            (said.prev, unlinked, row, seq, digest),
        )


def _ask_loss_records(tx: Transaction, spool: Path) -> None:
    """What versions before 6 did not note: what was given up, by the loss records that are here."""
    rows = tx.execute(
        "SELECT lane, node, stream, seq, digest"
        " FROM imported JOIN lane ON lane.id = lane WHERE imported.fork = 0"
    ).fetchall()
    for row, node, stream, seq, digest in rows:
        sealed = _sealed(Lane(spool, node, stream), seq, digest)
        if sealed is not None and sealed[0].gave_up:
            note(tx, row, seq, sealed[0].gave_up, sealed[1])


def _sealed(lane: Lane, seq: int, digest: str) -> tuple[Statement, str] | None:
    """What the seal of an imported segment says, and the id of the key that signed it."""
    try:
        with Segment.open(lane.segment(seq)) as segment:
            if segment.digest != digest:
                return None
            return segment.statement, segment.envelope.signatures[0].keyid
    except (FileNotFoundError, NotADirectoryError, VerificationError):
        return None
