"""``bridge status``: how things stand, in one sentence first."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import click

from bridge.cli.session import Session, json_option
from bridge.daemon.looking import look_at
from bridge.operate.lanestatus import LaneStatus
from bridge.operate.sentence import minutes, sentence
from bridge.operate.status import Status
from bridge.terminal import counted, sized
from spool.clock import MS, SYSTEM_CLOCK, rfc3339
from spool.durable import explained
from spool.intakefile import IntakeSums
from spool.ledger import Ledger, State
from spool.usage import Usage

UNHEALTHY, NOT_RUNNING, NO_PROGRESS = 3, 1, 6
LISTED = 5
"""Names in a line for people; the JSON has all."""
_STATES = ("pending", "exported", "delivered", "quarantined", "lost")


@click.command("status")
@click.option("--watch", is_flag=True, help="Show it again every second, until Ctrl-C.")
@click.option("--wait", type=click.Choice(["drained", "delivered"]), help="Wait until it is so.")
@click.option("--timeout", help="How long to wait; 10m by default.")
@json_option
@click.pass_obj
def command(
    session: Session, *, watch: bool, wait: str | None, timeout: str | None, as_json: bool
) -> None:
    """Say how things stand: is anything lost, or waiting, and what to do."""
    session.begin("status", as_json=as_json)
    if watch and (wait or as_json):
        raise click.UsageError("--watch goes with neither --wait nor --json.")
    if timeout is not None and not wait:
        raise click.UsageError("--timeout says how long to --wait.")
    if watch:
        from bridge.cli.watching import watch_status

        usage = Usage()
        watch_status(session, lambda: _look(session, usage), lambda status: _show(session, status))
        return
    status = _wait(session, wait, timeout or WAIT) if wait else _look(session, Usage())
    reached = wait is None or _reached(status, wait)
    session.result(_answer(status), lambda: _show(session, status))
    if wait is None:
        session.finish(_exit_code(status))
    elif not reached:
        session.note(f"Not {wait} after {timeout or WAIT}.")
        session.finish(NOT_RUNNING)


WAIT = "10m"


def _reached(status: Status, wait: str) -> bool:
    return status.drained if wait == "drained" else status.delivered


def _look(session: Session, usage: Usage) -> Status:
    config = session.config
    try:
        with Ledger.open_to_read(config.spool.path, clock=SYSTEM_CLOCK) as ledger:
            return look_at(config, session.license_keys, ledger, usage)
    except OSError as error:
        raise explained(error, "read the spool") from error


def _wait(session: Session, wait: str, timeout: str) -> Status:
    from bridge.config.units import duration_ms

    try:
        end = time.monotonic() + duration_ms(timeout) / MS
    except ValueError:
        raise click.BadParameter("a duration, e.g. 10m", param_hint="--timeout") from None
    usage = Usage()
    while True:
        status = _look(session, usage)
        if _reached(status, wait) or time.monotonic() >= end:
            return status
        time.sleep(min(0.5, max(end - time.monotonic(), 0.0)))


def _exit_code(status: Status) -> int:
    if not status.progresses:
        return NO_PROGRESS
    if status.problems:
        return UNHEALTHY
    return 0 if status.holder is not None else NOT_RUNNING


def _answer(status: Status) -> Mapping[str, Any]:
    holder, egress = status.holder, status.egress
    rebuilt = status.rebuilt[-1] if status.rebuilt else None
    running = holder is not None
    return {
        "node": status.node,
        "at": rfc3339(status.at),
        "healthy": status.healthy and running,
        "daemon": {
            "running": running,
            "version": holder.version if holder else None,
            "since": holder.since if holder else None,
            "config": holder.config if holder else None,
        },
        # null is "not at the present rates", or "not known".
        "forecast": {
            "spool_full_at": _time(status.forecast.full_at),
            "first_drop_at": _time(status.forecast.drop_at),
            "token_ends_at": _time(status.token.ends_at),
            "drained_at": _time(status.forecast.drained_at),
        },
        "rates": asdict(status.rates),
        "egress": {
            "mode": status.mode,
            "state": egress.state
            if egress
            else ("offline" if status.mode == "offline" else "idle"),
            "since": egress.since if egress else None,
            "last_error": (egress.reason or None) if egress else None,
        },
        "intake": _intake(status),
        "license": {
            "state": status.token.state,
            "expires_at": _time(status.token.ends_at),
            "source": status.token.source,
            "served": status.token.served,
        },
        "spool": {
            "bytes": status.bytes_used,
            "max_bytes": status.bytes_max,
            "free_bytes": status.bytes_free,
        },
        "ledger": {
            "rebuilt_at": rebuilt.at if rebuilt else None,
            "why": rebuilt.why if rebuilt else None,
            "kept": (rebuilt.kept or None) if rebuilt else None,
            "times": len(status.rebuilt),
        },
        "lanes": [_lane(lane) for lane in status.lanes],
        "problems": [
            {"id": problem.id, "message": problem.message, "hint": problem.hint}
            for problem in status.problems
        ],
    }


def _intake(status: Status) -> Mapping[str, Any] | None:
    said = status.intake
    return None if said is None else {"since": said.since, "at": said.at, **asdict(said.sums)}


def _lane(lane: LaneStatus) -> Mapping[str, Any]:
    counts = lane.counts
    return {
        "node": lane.lane.node,
        "stream": lane.lane.stream,
        "head": counts.head if counts else 0,
        "segments": {name: lane.segments(State(name)) for name in _STATES},
        "records": {
            **{name: lane.records(State(name)) for name in _STATES},
            "in_doubt": counts.in_doubt if counts else 0,
            "partial": counts.partial if counts else 0,
        },
        "seen": {
            "lost": counts.lost_seen if counts else 0,
            "partial": counts.partial_seen if counts else 0,
        },
        "bytes_pending": counts.bytes_pending if counts else 0,
        "bytes_open": lane.open_bytes,
        "oldest_pending_at": _time(lane.oldest_pending_at),
    }


def _time(at: int | None) -> str | None:
    return None if at is None else rfc3339(at)


def _took(sums: IntakeSums) -> Iterator[str]:
    """What the intake took since the daemon's start, and what it did not, in a few lines."""
    parts = [
        counted(sum(sums.requests.values()), "request", "requests"),
        counted(sum(sums.records.values()), "record", "records"),
    ]
    others = {
        ("log record", "log records", "below WARN left out"): sum(sums.filtered.values()),
        ("record", "records", "with a secret left out"): sum(sums.dropped.values()),
        ("protobuf field", "protobuf fields", "unknown to this version left out"): sum(
            sums.unknown.values()
        ),
        ("transaction", "transactions", "seen twice"): sums.repeated,
    }
    parts += [
        f"{counted(count, one, many)} {what}"
        for (one, many, what), count in others.items()
        if count
    ]
    parts += [f"{name} is switched off ({count})" for name, count in sums.switched_off.items()]
    yield f"The intake since its start: {', '.join(parts)}."
    refused = {name: count for name, count in sums.refused.items() if name != "intake.unrouted"}
    if refused:
        yield f"Refused: {_listed(refused)}."
    if sums.unrouted:
        yield f"Requests to paths that are none of the beacon's: {_listed(sums.unrouted)}."
        yield "  Nothing of them was stored; point only beacon and OTLP traffic at the intake."


def _listed(sums: Mapping[str, int]) -> str:
    """The most frequent few."""
    first = sorted(sums.items(), key=lambda item: -item[1])
    more = sum(count for _, count in first[LISTED:])
    return ", ".join(f"{name} {count}" for name, count in first[:LISTED]) + (
        f", others {more}" if more else ""
    )


def _forecast(status: Status) -> Iterator[str]:
    """What happens when, at the present rates; nothing where nothing will."""
    said = status.forecast
    when = {
        "telemetry is dropped from": said.drop_at,
        "the spool is full at": said.full_at,
        "everything is sent at": said.drained_at,
    }
    parts = [f"{what} {minutes(at)}" for what, at in when.items() if at is not None]
    if parts:
        yield ""
        yield f"At the present rates {', '.join(parts)}."


def _rebuilt(status: Status) -> Iterator[str]:
    """What a ledger that was lost means for whoever looks at the numbers above."""
    if not status.rebuilt:
        return
    *before, said = status.rebuilt
    yield ""
    yield (
        f"The ledger was {said.why} and was made anew at {said.at[:16]}Z: what it alone knew of is "
        "pending again,"
    )
    yield "  so the beacon may have been sent some of it twice, and bundles may be packed again."
    if said.kept:
        yield f"  The old one is kept as {said.kept}; bridge audit reads what can be read of it."
    else:
        yield "  Nothing is left of the old one; bridge audit has no rows from before."
    if before:
        times = ", ".join(f"{each.at[:16]}Z ({each.why})" for each in before[-LISTED:])
        yield f"  So it was {counted(len(before), 'time', 'times')} before: {times}."


def _show(session: Session, status: Status) -> None:
    session.say(session.hint(sentence(status)))
    session.say()
    session.say(
        f"{'lane':32}{'pending':>10}{'exported':>10}{'delivered':>11}{'refused':>9}{'lost':>7}"
    )
    for lane in status.lanes:
        numbers = [lane.records(State(name)) for name in _STATES]
        name = f"{lane.lane.node}/{lane.lane.stream}"
        more = f"  +{sized(lane.open_bytes)} unsealed" if lane.open_bytes else ""
        session.say("{:32}{:>10}{:>10}{:>11}{:>9}{:>7}".format(name, *numbers) + more)
    if status.intake is not None:
        session.say()
        for line in _took(status.intake.sums):
            session.say(line)
    for line in (*_forecast(status), *_rebuilt(status)):
        session.say(line)
    if status.token.served and status.token.ends_at is not None:
        session.say()
        session.say(f"The license token is served until {minutes(status.token.ends_at)}.")
    for problem in status.problems:
        session.say()
        session.say(f"{problem.message} [{problem.id}]")
        session.say(f"  {session.hint(problem.hint)}")
