"""What retention let go of, or keeps for ever, as events for people."""

from bridge.egress.event import Event
from bridge.terminal import counted
from spool.lane import Lane
from spool.ledger import State
from spool.pruning import Pruned
from spool.ranges import format_ranges

BY_AGE = "by age"
FOR_ROOM = "for want of room"
SWITCHED_OFF = "because their stream is switched off"
_RANGES_SHOWN = 20


def went(pruned: Pruned, why: str) -> Event:
    """What was deleted; whether that was a loss, says the name."""
    kept_elsewhere = pruned.state is State.EXPORTED and why == BY_AGE
    dropped = pruned.state not in (State.DELIVERED, State.LOST) and not kept_elsewhere
    fields: dict[str, object] = {
        "node": pruned.lane.node,
        "stream": pruned.lane.stream,
        "segments": format_ranges(pruned.numbers[:_RANGES_SHOWN]),
        "bytes": pruned.size,
    }
    if dropped:
        message = f"Records that were not delivered were dropped {why}; the loss is declared."
        return Event("spool.dropped", message, fields)
    if kept_elsewhere:
        message = "Segments that nobody confirmed, in enough bundles, were deleted by age."
        return Event("spool.pruned", message, fields)
    message = f"Segments that were delivered or declared lost were deleted {why}."
    return Event("spool.pruned", message, fields)


def stays(lane: Lane, segments: int) -> Event:
    """Delivered ``segments`` of ``lane`` that are never deleted: its frontier cannot name them."""
    message = (
        f"Of {lane.node}/{lane.stream} {counted(segments, 'segment is', 'segments are')} kept for ever:"
        " more records were given up than the file of what was delivered can list."
    )
    fields: dict[str, object] = {"node": lane.node, "stream": lane.stream, "segments": segments}
    return Event("spool.kept", message, fields)
