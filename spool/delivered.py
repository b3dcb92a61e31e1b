"""A lane's frontier file, kept as the ledger has it: whoever moved that, an answer or a receipt."""

import threading

from keys.errors import VerificationError
from spool.durable import Disk
from spool.frontier import FRONTIER_MAX, encode, write_frontier
from spool.lane import Lane
from spool.ledger import Ledger
from spool.safefile import read_whole

_writing = threading.Lock()
"""Sending and retention are two threads of one process: neither may put an older file over a newer."""


def note_delivered(ledger: Ledger, lane: Lane, disk: Disk) -> int:
    """Write what was delivered of ``lane``, with its exceptions, where its file says something else.

    How many segments it has no place for; they stay. For the one process that holds the spool's sender
    lock. Raises :class:`OSError` or
    :class:`SpoolError`.
    """
    with _writing:
        found = ledger.frontier(lane)
        is_something = bool(found.chains or found.in_doubt or found.partial)
        if _there(lane) != encode(found) and (is_something or lane.delivered.exists()):
            write_frontier(disk, lane, found)
        return found.unnamed


def _there(lane: Lane) -> bytes:
    try:
        return read_whole(lane.delivered, FRONTIER_MAX, own=True)
    except (FileNotFoundError, VerificationError):
        return b""
