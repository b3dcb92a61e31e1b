"""Tells once that the ledger was lost and made anew, whichever process did that."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bridge.egress.event import Event
from spool.durable import Disk
from spool.rebuiltfile import read_rebuilt, write_rebuilt


def tell_rebuilt(spool: Path, disk: Disk, tell: Callable[[Event], None]) -> None:
    """A line of the log, if nobody wrote one yet. Raises :class:`OSError`."""
    said = read_rebuilt(spool)
    if said is None or said.told:
        return
    old = f"the old one is kept as {said.kept}" if said.kept else "nothing of the old one is left"
    message = (
        f"The ledger was {said.why} and was made anew from the segments at {said.at}; {old}. "
        "What it alone knew is pending again: the beacon may be sent it a second time."
    )
    tell(Event("ledger.rebuilt", message, {"why": said.why, "kept": said.kept or None}))
    write_rebuilt(disk, spool, replace(said, told=True))
