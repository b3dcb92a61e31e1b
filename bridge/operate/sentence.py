"""One plain sentence on how things stand: is anything lost or about to be, since when, what to do next.

The worst comes first. What the sentence leaves out stands below it.
"""

from bridge.operate.status import Status
from bridge.terminal import counted
from spool.clock import MS, rfc3339
from spool.egressfile import FLOWING
from spool.ledger import State

SOON_MS = 3 * 86_400_000
"""Milliseconds: what happens within three days has to be said first."""


def sentence(status: Status) -> str:
    """Of ``status``, as it is to be printed."""
    return f"{_loss(status)}{_state(status)}"


def _loss(status: Status) -> str:
    lost = sum(lane.records(State.LOST) for lane in status.lanes)
    segments = sum(lane.segments(State.LOST) for lane in status.lanes)
    asked = sum(lane.records(State.LOST) for lane in status.lanes if lane.lane.imported.exists())
    if (lost or segments) and not any(lane.lost_unseen for lane in status.lanes):
        return f"{counted(lost, 'record is', 'records are')} lost, which somebody has seen; "
    if asked and asked == lost:
        return f"{counted(lost, 'record was', 'records were')} damaged here, see below; "
    if lost or segments:
        return f"{counted(lost, 'record is', 'records are')} lost and declared, see below; "
    drop_at = status.forecast.drop_at
    if drop_at is not None and drop_at - status.at < SOON_MS:
        return f"Nothing is lost yet, but telemetry will be from {minutes(drop_at)} on; "
    full_at = status.forecast.full_at
    if full_at is not None and full_at - status.at < SOON_MS:
        return f"Nothing is lost, but the spool is full at {minutes(full_at)}; "
    return "Nothing is lost; "


def _state(status: Status) -> str:
    waits = f"{_waiting(status)}{_oldest(status)}{_unconfirmed(status)}"
    if status.holder is None:
        needs = f" And {_needs(status)}." if status.problems else ""
        return f"the daemon is not running, {waits}. Start it: bridge run.{needs}"
    if not status.progresses:
        return f"{waits} and nothing moves; run bridge doctor, then restart the daemon."
    if status.problems:
        return f"{waits}, egress is {_egress(status)}, and {_needs(status)}."
    if status.mode == "offline":
        return f"{waits} for an export, egress is offline. Nothing else is to be done."
    return f"{waits}, egress is {_egress(status)}{_end(status)}. Nothing is to be done."


def _waiting(status: Status) -> str:
    pending = sum(lane.records(State.PENDING) for lane in status.lanes)
    if pending:
        return counted(pending, "record waits", "records wait")
    return "nothing sealed waits" if _unsealed(status) else "nothing waits"


def _unconfirmed(status: Status) -> str:
    exported = sum(lane.records(State.EXPORTED) for lane in status.lanes)
    return f", {counted(exported, 'is', 'are')} exported and not confirmed" if exported else ""


def _unsealed(status: Status) -> bool:
    return any(lane.open_bytes for lane in status.lanes)


def _needs(status: Status) -> str:
    count = len(status.problems)
    first = status.problems[0]
    if count == 1:
        return f"one problem needs you ({first.id}, below)"
    return f"{count} problems need you, first {first.id} (below)"


def _egress(status: Status) -> str:
    if status.egress is None:
        return "not begun"
    said = status.egress
    if said.state in FLOWING:
        return said.state
    why = f" ({said.reason})" if said.reason else ""
    return f"{said.state} since {said.since[:16]}Z{why}"


def _oldest(status: Status) -> str:
    times = [lane.oldest_pending_at for lane in status.lanes if lane.oldest_pending_at is not None]
    return f", the oldest since {minutes(min(times))}" if times else ""


def _end(status: Status) -> str:
    drained_at = status.forecast.drained_at
    if drained_at is None:
        return ""
    return f", drained in about {duration(drained_at - status.at)}"


def minutes(ms: int) -> str:
    """A time for people: ``2026-11-23T09:00Z``."""
    return rfc3339(ms)[:16] + "Z"


def duration(ms: int) -> str:
    """How long, in at most two units: ``3 d 4 h``, ``12 min``, ``5 s``."""
    seconds = max(ms, 0) // MS
    for unit, size, lower, part in (("d", 86_400, "h", 3600), ("h", 3600, "min", 60)):
        if seconds >= size:
            rest = seconds % size // part
            return f"{seconds // size} {unit}" + (f" {rest} {lower}" if rest else "")
    return f"{seconds // 60} min" if seconds >= 60 else f"{seconds} s"  # noqa: PLR2004 - a minute
