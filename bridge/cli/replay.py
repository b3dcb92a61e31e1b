"""``bridge replay``: send again on purpose."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bridge.cli.draining import progress_of
from bridge.cli.replayfrom import STATES, take_in
from bridge.cli.selecting import wanted_of
from bridge.cli.session import Session, json_option
from spool.errors import RecordError, SpoolError
from spool.streams import STREAMS

if TYPE_CHECKING:
    from bridge.egress.circuits import Stuck
    from bridge.egress.limits import Pace
    from bridge.egress.selection import Choice, Wanted
    from bridge.transfer.importing import Outcome
    from spool.ledger import Ledger, State

PARTLY = 3
"""Exit code where some of it is not held any more, or was refused again."""
_STATES = ("exported", "quarantined", "lost", "delivered")


@click.command("replay")
@click.option("--state", "states", type=click.Choice(_STATES), multiple=True)
@click.option("--stream", "streams", type=click.Choice(sorted(STREAMS)), multiple=True)
@click.option("--since", help="RFC 3339, a UTC date, or a duration ago.")
@click.option("--until", help="The same.")
@click.option("--segments", "segments", multiple=True, help="NODE/STREAM/1-40,57")
@click.option("--discard", is_flag=True, help="Give quarantined records up instead.")
@click.option("--note", help="Why they are given up.")
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path),
    metavar="BUNDLE",
    help="What this bundle holds, and nothing else.",
)
@click.option("--rate", help="At most so much: 200/s (records) or 500KiB/s.")
@click.option("--yes", is_flag=True, help="Send what was delivered a second time.")
@click.option("--dry-run", is_flag=True, help="Say what would be done; do nothing.")
@json_option
@click.pass_obj
def command(
    session: Session,
    *,
    states: Sequence[str],
    streams: Sequence[str],
    since: str | None,
    until: str | None,
    segments: Sequence[str],
    discard: bool,
    note: str | None,
    source: Path | None,
    rate: str | None,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Send now what waits; with --state, send again what went another way.

    Without a selection it wakes what is paused or backed off, and drains. Beside a running daemon it
    only says what is to be sent, and the daemon sends it. With --from it takes in what is new of a
    bundle, and sends what was not delivered yet of all that the bundle holds.
    """
    session.begin("replay", as_json=as_json)
    if source is not None and (streams or since or until or segments or discard):
        raise click.UsageError(
            "--from chooses what the bundle holds; of the rest give --state alone."
        )
    if source is None and not states and (streams or since or until or segments or discard):
        raise click.UsageError("A selection needs --state: what is pending is sent anyhow.")
    if discard and (tuple(states) != ("quarantined",) or not note):
        raise click.UsageError(
            "--discard goes with --state quarantined and a --note that says why."
        )
    pace = _pace(rate)
    outcome: Outcome | None = None
    if source is not None:
        outcome, numbers = take_in(session, source, yes=yes, dry_run=dry_run)
        wanted: Wanted | None = replace(
            wanted_of(states or STATES, (), None, None, ()), segments=numbers
        )
    else:
        wanted = wanted_of(states, streams, since, until, segments) if states else None
    ledger, choices = _open(session, wanted)
    with ledger:
        before = _sums(ledger)
        _confirm(session, choices, yes=yes or dry_run)
        if not dry_run:
            if discard:
                _discard(session, ledger, choices, note or "")
            else:
                _make_pending(ledger, choices)
    stuck = None if dry_run or discard else _send(session, pace)
    ledger, _ = _open(session, None)
    with ledger:
        _answer(session, ledger, choices, before, outcome, dry_run=dry_run)
    _end(session, choices, outcome, stuck)


def _open(session: Session, wanted: "Wanted | None") -> "tuple[Ledger, list[Choice]]":
    """The ledger, told of what is new, and what is chosen."""
    from bridge.egress.selection import choose
    from spool.clock import SYSTEM_CLOCK
    from spool.discovery import discover
    from spool.durable import explained
    from spool.lane import lanes
    from spool.ledger import Ledger

    spool = session.config.spool.path
    ledger = Ledger.open(spool, clock=SYSTEM_CLOCK)
    try:
        found = lanes(spool)
        for lane in found:
            discover(ledger, lane)
        choices = (
            [] if wanted is None else choose(ledger, found, wanted, session.signing_key.own_keys)
        )
    except OSError as error:
        ledger.close()
        raise explained(error, "see what the spool holds") from error
    except BaseException:
        ledger.close()
        raise
    return ledger, choices


def _sums(ledger: "Ledger") -> dict[str, dict[str, int]]:
    """Segments and records by state, of all lanes."""
    segments: Counter[str] = Counter()
    records: Counter[str] = Counter()
    for lane in ledger.counts():
        segments.update({str(state): count for state, count in lane.segments.items()})
        records.update({str(state): count for state, count in lane.records.items()})
    return {"segments": dict(segments), "records": dict(records)}


def _confirm(session: Session, choices: "Sequence[Choice]", *, yes: bool) -> None:
    from spool.ledger import State

    twice: Counter[str] = Counter()
    for choice in choices:
        for each in choice.stretches:
            if each.state is State.DELIVERED:
                twice[choice.lane.stream] += each.records
    if not twice:
        return
    nameless = sum(count for stream, count in twice.items() if stream != "transactions")
    session.note(
        f"The beacon will see {twice.total()} records twice; {nameless} of them have no id by which "
        "it could know them."
    )
    if not yes:
        raise RecordError(
            "replay.confirm",
            "What was delivered is sent again only if you say so.",
            "Add --yes if the vendor knows of it.",
        )


def _make_pending(ledger: "Ledger", choices: "Sequence[Choice]") -> None:
    from bridge.egress.selection import send_again

    for choice in choices:
        send_again(ledger, choice)


def _discard(session: Session, ledger: "Ledger", choices: "Sequence[Choice]", note: str) -> None:
    """Declare the loss, then tell the ledger: in this order nothing goes unsaid."""
    from spool.clock import SYSTEM_CLOCK
    from spool.durable import OS_DISK, explained
    from spool.ledger import By, State
    from spool.sealing import Sealer
    from spool.statement import Lost

    for choice in choices:
        sealer = Sealer(OS_DISK, choice.lane, session.signing_key, SYSTEM_CLOCK)
        try:
            for each in choice.stretches:
                held = each.after - each.before
                numbers = (
                    str(each.first) if each.first == each.last else f"{each.first}-{each.last}"
                )
                sealer.declare_lost(Lost(numbers, held.records, held.raw_size, "discarded"))
                ledger.move(
                    choice.lane, each.first, each.last,
                    source=each.state, target=State.LOST, by=By.LOSS,
                    before_first=each.before, after_last=each.after,
                )  # fmt: skip
            single = sum(len(lines.numbers) for lines in choice.lines)
            if single:
                sealer.declare_lost(Lost("", single, None, "discarded"))
            for lines in choice.lines:
                ledger.discard(choice.lane, lines.segment.seq, lines.numbers, note)
        except OSError as error:
            raise explained(error, "seal a loss record") from error


def _pace(rate: str | None) -> "Pace | None":
    from bridge.config.units import size
    from bridge.egress.limits import Pace

    if rate is None:
        return None
    what, _, unit = rate.rpartition("/")
    try:
        if unit != "s":
            raise ValueError(rate)
        per_s = int(what) if what.isdecimal() else size(what)
        if per_s < 1:
            raise ValueError(rate)
    except ValueError:
        message = "records or bytes a second, e.g. 200/s or 500KiB/s"
        raise click.BadParameter(message, param_hint="--rate") from None
    return Pace(None, per_s) if what.isdecimal() else Pace(per_s)


def _send(session: Session, pace: "Pace | None") -> "Stuck | None":
    """Send what is pending: here, or by the daemon that has the spool."""
    from bridge.daemon.run import Daemon
    from bridge.operate.logs import configure
    from spool.durable import explained
    from spool.waking import ask_to_wake

    config = session.config
    configure(config.log.format, session.verbosity, session.license_keys.revealed())
    with ExitStack() as held:
        try:
            daemon = Daemon(config, session.signing_key, session.license_keys)
        except SpoolError as error:
            if error.id != "spool.locked":
                raise
            try:
                ask_to_wake(config.spool.path)
            except OSError as failed:
                raise explained(failed, "wake the daemon") from failed
            session.note("The running daemon sends it; watch it with `bridge status --watch`.")
            if pace is not None:
                session.note("It goes by egress.rate; --rate is for a replay without a daemon.")
            return None
        held.callback(daemon.close)
        held.enter_context(progress_of(session, daemon.ledger))
        return daemon.drain(pace)


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


def _answer(
    session: Session,
    ledger: "Ledger",
    choices: "Sequence[Choice]",
    before: Mapping[str, Any],
    outcome: "Outcome | None",
    *,
    dry_run: bool,
) -> None:
    from spool.ledger import State

    now = _now(ledger, choices)
    segments = sum(choice.segments for choice in choices)
    records = sum(choice.records for choice in choices)
    done = 0 if dry_run else now[State.DELIVERED]
    refused = 0 if dry_run else now[State.QUARANTINED]
    after = _sums(ledger)
    answer = {
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
        answer["imported"] = {
            "new": outcome.new,
            "duplicate": outcome.duplicate,
            "refused": len(outcome.refused),
        }

    def say() -> None:
        if outcome is not None:
            come = "would come in" if dry_run else "came in"
            session.say(f"{outcome.new} segments {come}, {outcome.duplicate} were here already.")
            for each in outcome.refused:
                session.say(f"  REFUSED {each.packed.name}: {each.error.message} [{each.error.id}]")
        if choices:
            what = "would be sent again" if dry_run else "chosen"
            session.say(f"{records} records of {segments} segments {what}.")
        for choice in choices:
            if choice.not_held:
                name = f"{choice.lane.node}/{choice.lane.stream}"
                session.say(f"{choice.not_held} segments of {name} are not held any more.")
        pending = [sums["records"].get("pending", 0) for sums in (before, after)]
        session.say(f"Pending: {pending[0]} records before, {pending[1]} now.")

    session.result(answer, say)


def _end(
    session: Session,
    choices: "Sequence[Choice]",
    outcome: "Outcome | None",
    stuck: "Stuck | None",
) -> None:
    if stuck is not None:
        from bridge.cli.stuck import error_of

        raise error_of(stuck)
    if outcome is not None and (outcome.refused or outcome.forks):
        session.finish(PARTLY)
    if any(choice.not_held for choice in choices):
        session.finish(PARTLY)
