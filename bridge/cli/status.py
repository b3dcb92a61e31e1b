"""``bridge status``: how things stand, in one sentence first."""

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import click

from bridge.cli.session import Session, json_option
from bridge.config import Config
from bridge.config.units import is_loopback
from bridge.operate.status import LaneStatus, Status, look
from keys.errors import ConfigError
from spool.clock import MS, SYSTEM_CLOCK, rfc3339
from spool.durable import explained
from spool.intakefile import IntakeSums
from spool.ledger import Ledger, State

UNHEALTHY, NOT_RUNNING = 3, 1
WATCH_EVERY_S = 2.0
LISTED = 5
"""Names in a line for people; the JSON has all."""
_STATES = ("pending", "exported", "delivered", "quarantined", "lost")


@click.command("status")
@click.option("--watch", is_flag=True, help="Show it again every two seconds.")
@click.option("--wait", type=click.Choice(["drained", "delivered"]), help="Wait until it is so.")
@click.option("--timeout", default="10m", show_default=True, help="How long to wait.")
@json_option
@click.pass_obj
def command(
    session: Session, *, watch: bool, wait: str | None, timeout: str, as_json: bool
) -> None:
    """Say how things stand: is anything lost, or waiting, and what to do."""
    session.begin("status", as_json=as_json)
    status = _wait(session, wait, timeout) if wait else _look(session)
    reached = wait is None or (status.drained if wait == "drained" else status.delivered)
    session.result(_answer(status), lambda: _show(session, status))
    session.finish(_exit_code(status) if reached else NOT_RUNNING)
    while watch:
        with suppress(KeyboardInterrupt):
            time.sleep(WATCH_EVERY_S)
            click.clear()
            _show(session, _look(session))
            continue
        return


def _look(session: Session) -> Status:
    config = session.config
    try:
        with Ledger.open(config.spool.path, clock=SYSTEM_CLOCK) as ledger:
            return look(
                config.spool.path,
                ledger,
                node=config.node,
                mode=config.egress.mode,
                bytes_max=config.spool.max_size,
                at=SYSTEM_CLOCK.wall_ms(),
                licensed=session.license_keys.sendable,
                open_at=_open_at(config),
            )
    except FileNotFoundError as error:
        raise ConfigError(
            "spool.missing",
            "There is no spool where spool.path says.",
            "Make one with `bridge init`, or correct spool.path.",
        ) from error
    except OSError as error:
        raise explained(error, "read the spool") from error


def _open_at(config: Config) -> str | None:
    """Where the intake is open to other machines, by the configuration; None where it is not."""
    host, port = config.intake.listen
    if config.intake.require_license is not False or is_loopback(host):
        return None
    return f"{host}:{port}"


def _wait(session: Session, wait: str, timeout: str) -> Status:
    from bridge.config.units import duration_ms

    try:
        end = time.monotonic() + duration_ms(timeout) / MS
    except ValueError:
        raise click.BadParameter("a duration, e.g. 10m", param_hint="--timeout") from None
    while True:
        status = _look(session)
        done = status.drained if wait == "drained" else status.delivered
        if done or time.monotonic() >= end:
            return status
        time.sleep(min(0.5, max(end - time.monotonic(), 0.0)))


def _exit_code(status: Status) -> int:
    if status.problems:
        return UNHEALTHY
    return 0 if status.holder is not None else NOT_RUNNING


def _answer(status: Status) -> Mapping[str, Any]:
    holder, egress = status.holder, status.egress
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
        # Reckoned by a later version; null is "not known".
        "forecast": dict.fromkeys(
            ("spool_full_at", "first_drop_at", "token_ends_at", "drained_at")
        ),
        "egress": {
            "mode": status.mode,
            "state": egress.state
            if egress
            else ("offline" if status.mode == "offline" else "idle"),
            "since": egress.since if egress else None,
            "last_error": (egress.reason or None) if egress else None,
        },
        "intake": _intake(status),
        "license": {"state": "NONE", "expires_at": None, "source": None},
        "spool": {
            "bytes": status.bytes_used,
            "max_bytes": status.bytes_max,
            "free_bytes": status.bytes_free,
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
        "bytes_pending": counts.bytes_pending if counts else 0,
        "bytes_open": lane.open_bytes,
        "oldest_pending_at": (
            None if lane.oldest_pending_at is None else rfc3339(lane.oldest_pending_at)
        ),
    }


def _sentence(status: Status) -> str:
    lost = sum(lane.records(State.LOST) for lane in status.lanes)
    pending = sum(lane.records(State.PENDING) for lane in status.lanes)
    where = f"egress is {status.egress.state}" if status.egress else "nothing was sent yet"
    if lost:
        return f"{lost} records are lost and declared; see the problems below."
    if status.problems:
        return f"Nothing is lost; {len(status.problems)} problems need you."
    if status.holder is None:
        return "Nothing is lost; the daemon is not running, so nothing is sent."
    if pending:
        return f"Nothing is lost; {pending} records wait, {where}."
    return f"Nothing is lost, nothing sealed waits, {where}."


def _took(sums: IntakeSums) -> Iterator[str]:
    """What the intake took since the daemon's start, and what it did not, in a few lines."""
    parts = [f"{sum(sums.requests.values())} requests", f"{sum(sums.records.values())} records"]
    others = {
        "log records below WARN left out": sum(sums.filtered.values()),
        "records with a secret left out": sum(sums.dropped.values()),
        "transactions seen twice": sums.repeated,
    }
    parts += [f"{count} {what}" for what, count in others.items() if count]
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


def _show(session: Session, status: Status) -> None:
    session.say(_sentence(status))
    session.say()
    session.say(
        f"{'lane':32}{'pending':>10}{'exported':>10}{'delivered':>11}{'refused':>9}{'lost':>7}"
    )
    for lane in status.lanes:
        numbers = [lane.records(State(name)) for name in _STATES]
        name = f"{lane.lane.node}/{lane.lane.stream}"
        more = f"  +{lane.open_bytes} bytes unsealed" if lane.open_bytes else ""
        session.say("{:32}{:>10}{:>10}{:>11}{:>9}{:>7}".format(name, *numbers) + more)
    if status.intake is not None:
        session.say()
        for line in _took(status.intake.sums):
            session.say(line)
    for problem in status.problems:
        session.say()
        session.say(f"{problem.message} [{problem.id}]")
        session.say(f"  {problem.hint}")
