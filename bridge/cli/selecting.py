"""Options that choose segments and how fast they go, as what they mean."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from keys.errors import VerificationError

if TYPE_CHECKING:
    from bridge.egress.limits import Pace
    from bridge.egress.selection import Wanted
    from spool.ranges import Range


def wanted_of(
    states: Sequence[str],
    streams: Sequence[str],
    since: str | None,
    until: str | None,
    segments: Sequence[str],
) -> "Wanted":
    """What ``--state``, ``--stream``, ``--since``, ``--until`` and ``--segments`` choose.

    Raises :class:`click.BadParameter`.
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
        _segments(segments),
    )


def _segments(texts: Sequence[str]) -> "Mapping[tuple[str, str], Sequence[Range]] | None":
    from spool.ranges import join_ranges, parse_ranges

    found: dict[tuple[str, str], Sequence[Range]] = {}
    for text in texts:
        node, _, rest = text.partition("/")
        stream, _, numbers = rest.partition("/")
        try:
            more = parse_ranges(numbers)
        except VerificationError as error:
            raise click.BadParameter(error.message, param_hint="--segments") from None
        found[node, stream] = join_ranges([*found.get((node, stream), ()), *more])
    return found or None


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
