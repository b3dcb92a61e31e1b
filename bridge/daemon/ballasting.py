"""Gives the ballast up where the disk has no room for the work, and says so."""

from collections.abc import Callable
from typing import TypeVar

from bridge.egress.event import Event
from keys.errors import BridgeError
from spool.ballast import Ballast
from spool.clock import Clock, rfc3339
from spool.durable import NO_ROOM

_T = TypeVar("_T")


def is_for_room(error: OSError | BridgeError) -> bool:
    """Whether it failed because the disk is full."""
    if isinstance(error, OSError):
        return error.errno in NO_ROOM
    return error.id in ("ledger.full", "disk.full")


def give_up(ballast: Ballast, clock: Clock, tell: Callable[[Event], None]) -> bool:
    """Let it go; whether there was any. Raises :class:`OSError`."""
    if not ballast.let_go():
        return False
    message = "The disk is full; the spool's ballast is given up for the work to go on."
    tell(Event("spool.ballast", message, {"at": rfc3339(clock.wall_ms())}))
    return True


def with_room(
    ballast: Ballast, work: Callable[[], _T], clock: Clock, tell: Callable[[Event], None]
) -> _T:
    """What becomes of ``work``, done once more where the ballast made room for it.

    For a start: whoever delivers and deletes, and so makes room for good, does not run yet. Raises
    what ``work`` raises.
    """
    try:
        return work()
    except (OSError, BridgeError) as error:
        if not is_for_room(error) or not give_up(ballast, clock, tell):
            raise
    return work()
