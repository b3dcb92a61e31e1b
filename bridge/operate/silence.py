"""A daemon that runs and takes nothing: since when, and the likely reason.

Whether an installation reports by itself is told by the form of its license key.
"""

from pathlib import Path

from bridge.operate.problem import Problem
from spool.clock import MS, rfc3339
from spool.intakefile import IntakeSaid
from spool.lane import Lane, lanes
from spool.openfile import open_files
from spool.recent import newest_record_at

SILENT_MS = 24 * 3_600_000
"""Milliseconds without a record: usage windows are hours, reports come every five minutes."""


def silent_since(
    spool: Path, node: str, begun: int, at: int, *, relays: bool = False
) -> int | None:
    """Since when the node took no record, if for a day by ``at``; None if it did, or may have.

    ``begun`` is when the daemon started. A machine that ``relays`` for other nodes need not take any of
    its own: it is silent if it once did. All in ms since 1970 UTC. Raises :class:`OSError`.
    """
    if at - begun < SILENT_MS:
        return None
    own = [lane for lane in lanes(spool) if lane.node == node]
    if any(map(_unsealed, own)):
        return None
    newest = max((newest_record_at(lane) or 0 for lane in own), default=0)
    if relays and not newest:
        return None
    return None if at - newest < SILENT_MS else newest or begun


def silence(since: int, at: int, said: IntakeSaid | None, *, online_key: bool | None) -> Problem:
    """The problem, with its likely reason; ``online_key`` None where no key is configured."""
    hours = (at - since) // (3600 * MS)
    message = f"No record was taken for {hours} hours, since {rfc3339(since)}."
    requests = 0 if said is None else sum(said.sums.requests.values())
    if requests:
        message += (
            f" {requests} requests came since the daemon's start; none of them left a record."
        )
        hint = "Look at what the status says of the intake: filtered, switched off or refused."
    elif online_key is False:
        message += " The license is an offline one: such an installation sends nothing by itself."
        hint = "Take the vendor's usage CSV in with `bridge backfill`, then `bridge export`."
    else:
        message += " No request came either."
        hint = "Point BEACON_ENDPOINT, or the beacon's name, of every producer at the intake."
    return Problem("intake.silent", message, hint)


def _unsealed(lane: Lane) -> bool:
    return any(map(_size, open_files(lane)))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # sealed meanwhile
        return 0
