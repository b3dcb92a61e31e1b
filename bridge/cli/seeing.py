"""Saying that a loss or a lower count was seen: ``replay --discard`` of what is lost or delivered."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bridge.cli.naming import is_billing, is_named, unnamed
from bridge.cli.replayed import sums
from bridge.cli.session import Session
from bridge.cli.told import ledger_of
from bridge.terminal import counted

if TYPE_CHECKING:
    from bridge.egress.selection import Wanted
    from spool.lane import Lane
    from spool.ledger import Ledger, Seen, State


def see(session: Session, wanted: "Wanted", note: str, *, dry_run: bool) -> None:
    """Enter what of ``wanted``, which has one state, is new, and say what it covers.

    No segment, record or sum is changed. Raises :class:`RecordError` ``replay.billing`` where billing
    would be among it and nobody named it, or :class:`SpoolError`.
    """
    from spool.clock import SYSTEM_CLOCK
    from spool.durable import explained
    from spool.lane import lanes as find_lanes

    (state,) = wanted.states
    at = SYSTEM_CLOCK.wall_ms()
    with ledger_of(session, dry_run=dry_run) as ledger:
        try:
            spool = session.config.spool.path
            held = (*find_lanes(spool), *ledger.fork_lanes(spool))
            lanes = {lane: wanted.numbers(lane) for lane in held if wanted.wants(lane)}
        except OSError as error:
            raise explained(error, "see what the spool holds") from error
        if not is_named(wanted):
            _check_named(ledger, lanes, state)
            # What is lost from now on was not told of.
            lanes = {lane: None for lane in lanes if not is_billing(lane.stream)}
        before = sums(ledger)
        acts = ledger.unseen if dry_run else ledger.see
        found = acts(lanes, state, at, note)
        said = {
            "dry_run": dry_run,
            "selected": {
                "segments": sum(each.segments for each in found),
                "records": sum(each.partial for each in found),
            },
            "not_held": 0,
            "sent": {"records": 0},
            "delivered": {"records": 0},
            "quarantined": {"records": 0},
            "before": before,
            "after": sums(ledger),
            "seen": [seen_answer(each) for each in found],
        }
    session.result(said, lambda: _show(session, found, dry_run=dry_run))


def seen_answer(seen: "Seen") -> Mapping[str, Any]:
    """One act in JSON."""
    from spool.clock import rfc3339

    return {
        "at": rfc3339(seen.at),
        "node": seen.node,
        "stream": seen.stream,
        "lost": {"numbers": seen.numbers, "segments": seen.segments, "records": seen.records},
        "partial": seen.partial,
        "note": seen.note,
    }


def seen_words(seen: "Seen") -> str:
    """What one act covers, for people."""
    name = f"{seen.node}/{seen.stream}"
    if not seen.segments:
        records = counted(seen.partial, "record", "records")
        return f"of {name} {records} less by the beacon's own count"
    segments = counted(seen.segments, "lost segment", "lost segments")
    lost = counted(seen.records, "record", "records")
    return f"of {name} {segments} ({seen.numbers}); {lost} of it lost in all"


def _check_named(ledger: "Ledger", lanes: "Iterable[Lane]", state: "State") -> None:
    """Billing has to be named: what is said of all lanes at once may hide it by mistake."""
    found = ledger.unseen({lane: None for lane in lanes if is_billing(lane.stream)}, state, 0, "")
    if found:
        raise unnamed(found[0].stream, [*map(seen_words, found)])


def _show(session: Session, found: "Sequence[Seen]", *, dry_run: bool) -> None:
    begin = "Would be seen" if dry_run else "Seen"
    for each in found:
        session.say(f"{begin}: {seen_words(each)}.")
    if not found:
        session.say("Nothing is new: there is no such problem, or it was seen already.")
    elif not dry_run:
        session.say("All numbers stay; the next one is a problem again.")
