"""The highest number of a lane that the ledger knows, for whoever seals and has no ledger open.

A lane's head may have been set back, by a restored copy or by a disk that forgot what it had called
durable. Numbers that the ledger has are never given again: of a second segment with such a number it
would say that it was delivered long ago.
"""

from contextlib import closing

from spool.errors import SpoolError
from spool.lane import Lane
from spool.ledger_db import connect
from spool.ledger_errors import translated
from spool.ledger_file import LOCK_NAME, NAME
from spool.locks import let_go, take_as_it_is


def highest_known(lane: Lane) -> int | None:
    """The number; 0 where the ledger knows none, or there is no ledger. None where nobody can tell now.

    Then it is being made, or it is damaged: the one that replaces it knows no more than the seals say.
    """
    path = lane.spool / NAME
    if not path.exists():
        return 0
    try:
        lock = take_as_it_is(lane.spool / LOCK_NAME)
        if lock is None:
            return None
        try:
            return _highest(lane)
        finally:
            let_go(lock)
    except (OSError, SpoolError):
        return None


def _highest(lane: Lane) -> int:
    query = (
        "SELECT COALESCE(MAX(span.last), 0) FROM span JOIN lane ON lane.id = span.lane"
        " WHERE node = ? AND stream = ? AND fork = ''"
    )
    path = lane.spool / NAME
    with translated(path), closing(connect(path, "rw")) as connection:
        (found,) = connection.execute(query, (lane.node, lane.stream)).fetchone()
    return int(found)
