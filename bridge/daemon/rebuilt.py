"""Tells once of each time that the ledger was lost and made anew, whichever process did that."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bridge.egress.event import Event
from spool.durable import Disk
from spool.rebuiltfile import Rebuilt, read_rebuilt, write_rebuilt


def tell_rebuilt(spool: Path, disk: Disk, tell: Callable[[Event], None]) -> None:
    """A line of the log for each time of which nobody wrote one yet. Raises :class:`OSError`."""
    said = read_rebuilt(spool)
    if all(each.told for each in said):
        return
    for each in said:
        if not each.told:
            tell(_event(each))
    write_rebuilt(disk, spool, [replace(each, told=True) for each in said])


def _event(said: Rebuilt) -> Event:
    old = f"the old one is kept as {said.kept}" if said.kept else "nothing of the old one is left"
    message = (
        f"The ledger was {said.why} and was made anew from the segments at {said.at}; {old}. "
        "What it alone knew is pending again: the beacon may be sent it a second time."
    )
    return Event("ledger.rebuilt", message, {"why": said.why, "kept": said.kept or None})
