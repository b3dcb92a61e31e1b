"""What ``bridge replay`` answers: what was chosen, what became of it, and the sums around it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bridge.cli.session import Session
from bridge.terminal import counted

if TYPE_CHECKING:
    from bridge.egress.selection import Choice
    from bridge.transfer.importing import Outcome
    from spool.ledger import Ledger, State


def sums(ledger: "Ledger") -> dict[str, dict[str, int]]:
    """Segments and records by state, of all lanes."""
    segments: Counter[str] = Counter()
    records: Counter[str] = Counter()
    for lane in ledger.counts():
        segments.update({str(state): count for state, count in lane.segments.items()})
        records.update({str(state): count for state, count in lane.records.items()})
    return {"segments": dict(segments), "records": dict(records)}


def answer(
    session: Session,
    ledger: "Ledger",
    choices: "Sequence[Choice]",
    before: Mapping[str, Any],
    outcome: "Outcome | None",
    *,
    selects: bool,
    dry_run: bool,
    discard: bool,
) -> Mapping[str, Any]:
    """Say it; ``before`` is what :func:`sums` gave before anything was done. What it gives now.

    ``selects``: something was to be chosen.
    """
    from spool.ledger import State

    now = _now(ledger, choices)
    segments = sum(choice.segments for choice in choices)
    records = sum(choice.records for choice in choices)
    done = 0 if dry_run else now[State.DELIVERED]
    refused = 0 if dry_run else now[State.QUARANTINED]
    after = sums(ledger)
    said = {
        "dry_run": dry_run,
        "selected": {"segments": segments, "records": records},
        "not_held": sum(choice.not_held for choice in choices),
        "sent": {"records": done + refused},
        "delivered": {"records": done},
        "quarantined": {"records": refused},
        "before": before,
        "after": after,
    }
    if outcome is not None:
        said["imported"] = {
            "new": outcome.new,
            "duplicate": outcome.duplicate,
            "refused": len(outcome.refused),
        }

    def say() -> None:
        if outcome is not None:
            come = "would come in" if dry_run else "came in"
            new = counted(outcome.new, "segment", "segments")
            here = counted(outcome.duplicate, "was", "were")
            session.say(f"{new} {come}, {here} here already.")
            for each in outcome.refused:
                session.say(f"  REFUSED {each.packed.name}: {each.error.message} [{each.error.id}]")
        if choices:
            what = _WHAT[discard][dry_run]
            many = counted(records, "record", "records")
            session.say(f"{many} of {counted(segments, 'segment', 'segments')} {what}.")
        elif selects:
            session.say("Nothing is chosen: this selection has no segment in such a state.")
        for choice in choices:
            if choice.not_held:
                name = f"{choice.lane.node}/{choice.lane.stream}"
                session.say(
                    f"Of {name} {counted(choice.not_held, 'segment is', 'segments are')} "
                    "not held any more."
                )
        pending = [found["records"].get("pending", 0) for found in (before, after)]
        session.say(
            f"Pending: {counted(pending[0], 'record', 'records')} before, {pending[1]} now."
        )

    session.result(said, say)
    return after


_WHAT = (("chosen", "would be sent again"), ("given up", "would be given up"))
"""By whether they are given up, and whether nothing is done."""


def _now(ledger: "Ledger", choices: "Sequence[Choice]") -> "Counter[State]":
    """In which states the chosen records are now."""
    from spool.ledger import DISCARDED, State

    found: Counter[State] = Counter()
    for choice in choices:
        exceptions = {
            (each.seq, each.line): each.verdict == DISCARDED
            for each in ledger.exceptions(choice.lane)
        }
        spans = ledger.spans(choice.lane)
        for stretch in choice.stretches:
            refused = sum(1 for seq, _ in exceptions if stretch.first <= seq <= stretch.last)
            inside = [span for span in spans if span.first <= stretch.first <= span.last]
            state = inside[0].state if inside else stretch.state
            refused = max(refused - stretch.left_out, 0)
            found[state] += stretch.records - refused
            found[State.QUARANTINED] += refused
        for lines in choice.lines:
            whole = [span for span in spans if span.first <= lines.segment.seq <= span.last]
            for line in lines.numbers:
                given_up = exceptions.get((lines.segment.seq, line))
                state = whole[0].state if whole else State.QUARANTINED
                if given_up is not None:
                    state = State.LOST if given_up else State.QUARANTINED
                found[state] += 1
    return found
