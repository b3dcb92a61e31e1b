"""Opening ``ledger.db`` where the spool may not be written: a read-only mount, an auditor's snapshot.

Nothing is made, migrated or put aside there; what would need that is an error that says so. Somebody
else may be writing meanwhile, beyond the mount. SQLite reads such a file by itself while its ``-wal``
and ``-shm`` lie beside it. When it was closed in order they are gone; then it is read as it
lies there, and every read ends with a look whether it still does.
"""

import os
import time
from pathlib import Path

from spool.durable import explained
from spool.errors import SpoolError
from spool.ledger_condition import Condition, examine
from spool.ledger_db import Access, Database, is_readable
from spool.ledger_file import LOCK_NAME, NAME, PAUSE_S, WAIT_S, check_kinds
from spool.ledger_log import is_log
from spool.locks import let_go, take_as_it_is

_WORDS = {
    Condition.OLDER: "is of an earlier version",
    Condition.MISSING: "is missing",
    Condition.EMPTY: "was not made to its end",
    Condition.UNFINISHED: "was not made to its end",
    Condition.DAMAGED: "is damaged",
}


def may_write(spool: Path) -> bool:
    """Whether this process may make files in ``spool``; its disk may be mounted read-only."""
    return os.access(spool, os.W_OK | os.X_OK)


def is_only_read(spool: Path) -> bool:
    """Whether ``spool`` is there, and this process may only read it."""
    return spool.is_dir() and not may_write(spool)


def needs_writing(what: str) -> SpoolError:
    """The error for a ledger that would have to be changed before it could be read."""
    return SpoolError(
        "ledger.needs_writing",
        f"The ledger {what}, and the spool may not be written here.",
        "Copy the whole spool (cp -a) to a disk that may be written, set BRIDGE_SPOOL__PATH to the "
        "copy and run this again; or mount the disk for writing.",
    )


def access_to(path: Path) -> Access:
    """How the database at ``path`` is to be opened by one who only reads.

    Raises :class:`SpoolError` ``ledger.needs_writing`` or ``ledger.*``.
    """
    log, index = (path.with_name(f"{path.name}-{part}") for part in ("wal", "shm"))
    if may_write(path.parent):
        return "ro"
    if not is_log(log):
        raise needs_writing("has a -wal beside it that is none of SQLite's")
    if is_readable(path):
        return "ro"
    if index.exists() or (log.exists() and log.stat().st_size):
        raise needs_writing(
            "has its last changes in a -wal or -shm file whose other half is missing"
        )
    return "resting"


def open_file_to_read(spool: Path) -> tuple[Database, int | None]:
    """The ledger of ``spool`` as it is, and a descriptor that holds the shared lock.

    None where there is no lock file: nobody can hold it then.

    Raises :class:`~keys.errors.ConfigError` ``ledger.newer``, ``ledger.foreign``, or
    :class:`SpoolError` ``ledger.*``, ``lock.kind``, ``disk.*``.
    """
    path = spool / NAME
    try:
        lock = _lock(spool / LOCK_NAME)
        try:
            return _as_it_is(path), lock
        except BaseException:
            if lock is not None:
                let_go(lock)
            raise
    except OSError as error:
        raise explained(error, "open the ledger") from error


def _lock(path: Path) -> int | None:
    for _ in range(int(WAIT_S / PAUSE_S)):
        try:
            lock = take_as_it_is(path)
        except FileNotFoundError:
            return None
        if lock is not None:
            return lock
        time.sleep(PAUSE_S)
    raise SpoolError(
        "ledger.locked",
        "Another process is migrating the ledger, or putting it aside.",
        "Try again when it has ended.",
    )


def _as_it_is(path: Path) -> Database:
    check_kinds(path)
    try:
        with path.open("rb"):  # who may not read it hears that, not what SQLite makes of it
            access = access_to(path)
    except FileNotFoundError:
        raise needs_writing(_WORDS[Condition.MISSING]) from None
    condition = examine(path, access)
    if condition is not Condition.GOOD:
        raise needs_writing(_WORDS[condition])
    return Database(path, access)
