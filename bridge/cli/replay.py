"""``bridge replay``: send again on purpose."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bridge.cli.discarding import check_named, discard_all
from bridge.cli.draining import progress_of
from bridge.cli.localspool import check_spool
from bridge.cli.replayed import answer, sums
from bridge.cli.replayfrom import STATES, take_in
from bridge.cli.seeing import see
from bridge.cli.selecting import pace_of, wanted_of
from bridge.cli.session import Session, json_option
from bridge.cli.told import ledger_of
from bridge.terminal import counted
from spool.errors import RecordError, SpoolError
from spool.streams import STREAMS

if TYPE_CHECKING:
    from bridge.egress.circuits import Stuck
    from bridge.egress.limits import Pace
    from bridge.egress.selection import Choice, Wanted
    from bridge.transfer.importing import Outcome
    from spool.ledger import Ledger

PARTLY = 3
"""Exit code where some of it is not held any more, or was refused again."""
_STATES = ("exported", "quarantined", "lost", "delivered")


@click.command("replay")
@click.option("--state", "states", type=click.Choice(_STATES), multiple=True)
@click.option("--stream", "streams", type=click.Choice(sorted(STREAMS)), multiple=True)
@click.option("--since", help="RFC 3339, a UTC date, or a duration ago.")
@click.option("--until", help="The same.")
@click.option("--segments", "segments", multiple=True, help="NODE/STREAM/1-40,57")
@click.option(
    "--discard",
    is_flag=True,
    help="Give up what is quarantined; of what is lost or delivered, say that it was seen.",
)
@click.option("--note", help="With --discard: why.")
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

    With --discard nothing is sent: quarantined records are given up; of lost segments, or of delivered
    records that the beacon counted less, the note says that a person has seen it, and bridge status
    calls only what comes later a problem. Billing has to be named: by --stream or --segments.
    """
    session.begin("replay", as_json=as_json)
    check_spool(session)
    if source is not None and (streams or since or until or segments or discard):
        raise click.UsageError(
            "--from chooses what the bundle holds; of the rest give --state alone."
        )
    if source is None and not states and (streams or since or until or segments or discard):
        raise click.UsageError("A selection needs --state: what is pending is sent anyhow.")
    if discard:
        _check_discard(states, note, timed=bool(since or until), numbered=bool(segments))
    if discard and "quarantined" not in states:
        seen = wanted_of(session, states, streams, None, None, segments)
        see(session, seen, note or "", dry_run=dry_run)
        return
    pace = pace_of(rate)
    wanted: Wanted | None
    outcome: Outcome | None = None
    if source is not None:
        outcome, numbers = take_in(session, source, yes=yes, dry_run=dry_run)
        wanted = replace(wanted_of(session, states or STATES, (), None, None, ()), segments=numbers)
    else:
        wanted = wanted_of(session, states, streams, since, until, segments) if states else None
    ledger, choices = _open(session, wanted, dry_run=dry_run)
    with ledger:
        if discard and wanted is not None:
            check_named(choices, wanted)
        before = sums(ledger)
        _confirm(session, choices, yes=yes or dry_run)
        if not dry_run:
            if discard:
                discard_all(session, ledger, choices, note or "")
            else:
                _make_pending(ledger, choices)
    stuck = None if dry_run or discard else _send(session, pace)
    ledger, _ = _open(session, None, dry_run=dry_run)
    with ledger:
        after = answer(
            session,
            ledger,
            choices,
            before,
            outcome,
            selects=bool(states),
            dry_run=dry_run,
            discard=discard,
        )
    refused = 0 if dry_run or discard else _refused(choices, before, after)
    _end(session, choices, outcome, stuck, refused)


def _check_discard(states: Sequence[str], note: str | None, *, timed: bool, numbered: bool) -> None:
    """Raises :class:`click.UsageError`."""
    if len(set(states)) != 1 or "exported" in states or not (note or "").strip():
        raise click.UsageError(
            "--discard goes with one --state, quarantined, lost or delivered, "
            "and a --note that says why."
        )
    if (note or "").encode(errors="replace").decode() != note:
        raise click.UsageError("--note is text in UTF-8.")
    if timed and "quarantined" not in states:
        raise click.UsageError("What is lost or counted less has no time: choose it by --stream.")
    if numbered and "delivered" in states:
        raise click.UsageError("What is counted less has no numbers: choose it by --stream.")


def _open(
    session: Session, wanted: "Wanted | None", *, dry_run: bool
) -> "tuple[Ledger, list[Choice]]":
    """The ledger, told of what is new, and what is chosen."""
    from bridge.egress.selection import choose
    from spool.durable import explained
    from spool.lane import lanes

    ledger = ledger_of(session, dry_run=dry_run)
    try:
        spool = session.config.spool.path
        found = [*lanes(spool), *ledger.fork_lanes(spool)]
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


def _confirm(session: Session, choices: "Sequence[Choice]", *, yes: bool) -> None:
    from spool.ledger import State

    twice: Counter[str] = Counter()
    left_out = 0
    for choice in choices:
        for each in choice.stretches:
            if each.state is State.DELIVERED:
                twice[choice.lane.stream] += each.records
                left_out += each.left_out
    if not twice:
        return
    nameless = sum(count for stream, count in twice.items() if stream != "transactions")
    session.note(
        f"The beacon will see {counted(twice.total(), 'record', 'records')} twice; "
        f"{nameless} of them without an id by which it could tell."
    )
    if left_out and not any(choice.lines for choice in choices):
        was = counted(left_out, "record that was", "records that were")
        session.note(f"Of the same segments {was} refused or given up stay what they are.")
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
        return daemon.drain(pace, asked=True)


def _refused(
    choices: "Sequence[Choice]", before: Mapping[str, Any], after: Mapping[str, Any]
) -> int:
    """How many records the beacon refused, for the first time or again."""
    chosen = sum(len(lines.numbers) for choice in choices for lines in choice.lines)
    chosen += sum(
        each.records
        for choice in choices
        for each in choice.stretches
        if each.state == "quarantined"
    )
    was, now = (found["records"].get("quarantined", 0) for found in (before, after))
    again: int = now - (was - chosen)
    return max(0, again)


def _end(
    session: Session,
    choices: "Sequence[Choice]",
    outcome: "Outcome | None",
    stuck: "Stuck | None",
    refused: int,
) -> None:
    if refused:
        was = counted(refused, "record was", "records were")
        session.note(f"{was} refused by the beacon; see bridge audit.")
        session.finish(PARTLY)
    if stuck is not None:
        from bridge.cli.stuck import error_of

        raise error_of(stuck)
    if outcome is not None and (outcome.refused or outcome.forks):
        session.finish(PARTLY)
    if any(choice.not_held for choice in choices):
        session.finish(PARTLY)
