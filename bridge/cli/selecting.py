"""Options that choose segments and how fast they go, as what they mean."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bridge.cli.session import Session
from keys.errors import VerificationError, shown

if TYPE_CHECKING:
    from bridge.egress.limits import Pace
    from bridge.egress.selection import Wanted
    from spool.ranges import Range


NAMED = 12
"""Lanes in an error's words; of a relay there may be hundreds."""


def wanted_of(
    session: Session,
    states: Sequence[str],
    streams: Sequence[str],
    since: str | None,
    until: str | None,
    segments: Sequence[str],
) -> "Wanted":
    """What ``--state``, ``--stream``, ``--since``, ``--until`` and ``--segments`` choose.

    Raises :class:`click.BadParameter`, also for a lane that the spool does not have.
    """
    from bridge.config.when import moment_ms
    from bridge.egress.selection import Wanted
    from spool.clock import SYSTEM_CLOCK
    from spool.ledger import State

    now = SYSTEM_CLOCK.wall_ms()

    def moment(text: str | None, name: str) -> int | None:
        try:
            return None if text is None else moment_ms(text, now)
        except ValueError:
            message = "a time, e.g. 2026-11-23T09:00:00Z, 2026-11-23 or 2h"
            raise click.BadParameter(message, param_hint=name) from None

    return Wanted(
        frozenset(map(State, states)),
        frozenset(streams) or None,
        moment(since, "--since"),
        moment(until, "--until"),
        _segments(session.config.spool.path, segments),
    )


def _segments(
    spool: Path, texts: Sequence[str]
) -> "Mapping[tuple[str, str], Sequence[Range]] | None":
    from spool.durable import explained
    from spool.lane import lanes
    from spool.ranges import join_ranges, parse_ranges

    if not texts:
        return None
    try:
        here = {(lane.node, lane.stream) for lane in lanes(spool)}
    except OSError as error:
        raise explained(error, "see what the spool holds") from error
    found: dict[tuple[str, str], Sequence[Range]] = {}
    for text in texts:
        node, _, rest = text.partition("/")
        stream, _, numbers = rest.partition("/")
        try:
            more = parse_ranges(numbers)
        except VerificationError as error:
            raise click.BadParameter(error.message, param_hint="--segments") from None
        if (node, stream) not in here:
            names = ", ".join(f"{node}/{stream}" for node, stream in sorted(here)[:NAMED])
            message = (
                f"there is no lane {shown(f'{node}/{stream}')} here; there are {names or 'none'}."
            )
            raise click.BadParameter(message, param_hint="--segments")
        found[node, stream] = join_ranges([*found.get((node, stream), ()), *more])
    return found


def pace_of(rate: str | None) -> "Pace | None":
    """What ``--rate`` asks for. Raises :class:`click.BadParameter`."""
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
