"""Opening ``ledger.db``: made when missing, put aside when SQLite calls it damaged, else kept.

Nothing but missing and damaged leads to a new ledger: a full, read-only, locked or failing disk and
a newer version are errors, and the file stays as it is; an older one is migrated. All who use the
ledger hold a shared lock on ``ledger.lock``; whoever puts it aside or migrates it holds it alone. What
is put aside is kept for ever, with its ``-wal``, ``-shm`` and ``-journal``:
``ledger.db.<UTC time>.bad`` is still a database that SQLite opens.
"""

import stat
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from keys.errors import ConfigError, shown
from spool.clock import Clock, rfc3339
from spool.durable import OS_DISK, explained
from spool.errors import SpoolError
from spool.ledger_condition import Condition, examine
from spool.ledger_db import Database, connect
from spool.ledger_errors import translated
from spool.ledger_migrating import migrate
from spool.ledger_schema import create
from spool.locks import let_go, take
from spool.rebuiltfile import Rebuilt, Why, add_rebuilt, is_missed, note_made

NAME = "ledger.db"
LOCK_NAME = "ledger.lock"
WAIT_S = 5.0
"""Seconds to wait for another process; making and putting aside take milliseconds."""
PAUSE_S = 0.05
"""Seconds between two looks."""
_PARTS = ("", "-wal", "-shm", "-journal")
"""The last is there for moments, while the file is made."""


def open_file(spool: Path, clock: Clock) -> tuple[Database, int, bool]:
    """The ledger of ``spool``, a descriptor that holds the shared lock, and whether it is new.

    :func:`spool.locks.let_go` ends the lock.

    Raises :class:`~keys.errors.ConfigError` ``spool.missing``, ``ledger.newer``, ``ledger.foreign``, or
    :class:`SpoolError` ``ledger.*``, ``lock.kind``, ``disk.*``.
    """
    path, lock_path = spool / NAME, spool / LOCK_NAME
    fresh = False
    try:
        had_lock = lock_path.exists()
        if not spool.is_dir():
            raise ConfigError(
                "spool.missing",
                f"There is no spool at {shown(str(spool))}, where spool.path says.",
                "Make one with `bridge init`, or correct spool.path.",
            )
        for _ in range(int(WAIT_S / PAUSE_S)):
            with ExitStack() as held:
                shared = _taken(held, lock_path, shared=True)
                if shared is not None and _condition(path) is Condition.GOOD:
                    database = Database(path)
                    held.pop_all()  # who closes the ledger lets go
                    return database, shared, fresh
            # Let go of in between: whoever else waits to be alone would wait for this one.
            with ExitStack() as held:
                if _taken(held, lock_path, shared=False) is not None:
                    fresh |= _start_anew(path, _condition(path), clock, had_lock=had_lock)
                    continue
            time.sleep(PAUSE_S)
    except OSError as error:
        raise explained(error, "open the ledger") from error
    raise SpoolError(
        "ledger.locked",
        "The ledger is missing, damaged or of an earlier version, and another process holds it.",
        "Stop the other bridge processes of this spool, then try again.",
    )


def _taken(held: ExitStack, path: Path, *, shared: bool) -> int | None:
    lock = take(path, shared=shared, wait=False)
    if lock is not None:
        held.callback(let_go, lock)
    return lock


def check_kinds(path: Path) -> None:
    """Nothing, where the ledger and what lies beside it are files that nobody planted, or not there.

    Raises :class:`SpoolError` ``ledger.kind``, or :class:`OSError`.
    """
    for part in _PARTS:
        with suppress(FileNotFoundError):
            found = path.with_name(path.name + part).lstat()
            if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
                raise SpoolError(
                    "ledger.kind",
                    f"{shown(str(path) + part)} is no regular file of one name; it was not opened.",
                    "Find out who put it there, and remove it.",
                )


def _condition(path: Path) -> Condition:
    check_kinds(path)
    return examine(path) if path.exists() else Condition.MISSING


def _start_anew(path: Path, condition: Condition, clock: Clock, *, had_lock: bool) -> bool:
    """Make a new ledger unless there is a good one, or one to be made good; whether it was made."""
    if condition is Condition.GOOD:
        return False
    if condition is Condition.OLDER:
        migrate(path)
        return False
    if condition is Condition.UNFINISHED:
        with translated(path):
            connection = connect(path, "rw")
            try:
                connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
            finally:
                connection.close()
        return False  # to be looked at once more
    if condition is not Condition.EMPTY:
        found = [part for part in _PARTS if path.with_name(path.name + part).exists()]
        now = _free_moment(path, clock.wall_ms())
        if "" in found:  # the word first: cut short after the move, nobody could tell the two apart
            _leave_word(path, now, "damaged", _aside(path, now, "").name)
        elif is_missed(path.parent, had_lock=had_lock):
            _leave_word(path, now, "missing", "")
        if found:
            _put_aside(path, found, now)
        OS_DISK.close(OS_DISK.create(path))
        OS_DISK.sync_dir(path.parent)
    # Once the file is there: what is lost from now on is another one.
    note_made(OS_DISK, path.parent)
    with translated(path):
        connection = connect(path, "rw")
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN IMMEDIATE")
            create(connection)
            connection.execute("COMMIT")
        finally:
            connection.close()
    return True


def _leave_word(path: Path, now: int, why: Why, kept: str) -> None:
    add_rebuilt(OS_DISK, path.parent, Rebuilt(rfc3339(now), why, kept))


def _free_moment(path: Path, now: int) -> int:
    """``now`` or soon after: a name that is taken is never given twice, also by a clock set back."""
    while any(_aside(path, now, part).exists() for part in _PARTS):
        now += 1
    return now


def _put_aside(path: Path, parts: list[str], now: int) -> None:
    # The database goes first: without its -wal it could pass for an older, sound one.
    for part in parts:
        OS_DISK.rename(path.with_name(path.name + part), _aside(path, now, part))
    OS_DISK.sync_dir(path.parent)


def _aside(path: Path, now: int, part: str) -> Path:
    return path.with_name(f"{path.name}.{rfc3339(now)}.bad{part}")
