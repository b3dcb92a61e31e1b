"""``bridge status --watch``: the drain, with its rate and the time that is left.

Redrawn in place on a terminal that can do that; elsewhere one line a look. Ctrl-C, or a reader that has
gone, ends it.
"""

import os
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import click

from bridge.cli.session import Session
from bridge.operate.sentence import duration
from bridge.operate.status import Status
from bridge.terminal import counted
from spool.clock import MS
from spool.ledger import State

EVERY_S = 1.0
"""Seconds between two looks."""
LOOKS = 30
"""Looks over which the rate is taken: requests end in bursts."""
_NO_TERMINAL = "dumb"
"""What a terminal is called that knows no way to be cleared, or that nobody named."""


@dataclass(frozen=True, slots=True)
class _Seen:
    at_s: float
    pending: int
    delivered: int


class Drain:
    """The rate of a drain, from one look to the next."""

    def __init__(self) -> None:
        self._seen: deque[_Seen] = deque(maxlen=LOOKS)

    def look(self, pending: int, delivered: int, at_s: float) -> str:
        """One line, with records a second and the time left as far as they are known.

        ``at_s`` is monotonic, in seconds.
        """
        self._seen.append(_Seen(at_s, pending, delivered))
        line = f"{counted(pending, 'record', 'records')} pending, {delivered:,} delivered"
        first, last = self._seen[0], self._seen[-1]
        seconds = last.at_s - first.at_s
        if seconds <= 0:
            return line
        rate = (last.delivered - first.delivered) / seconds
        line += f", {max(rate, 0):,.0f} a second"
        shrinks = (first.pending - last.pending) / seconds
        if pending and shrinks > 0:
            line += f", {duration(int(pending / shrinks * MS))} left"
        return line


def watch_status(
    session: Session, look: Callable[[], Status], show: Callable[[Status], None]
) -> None:
    """Show what ``look`` finds until Ctrl-C, which ends it well."""
    drain = Drain()
    on_terminal = sys.stdout.isatty() and os.environ.get("TERM", _NO_TERMINAL) != _NO_TERMINAL
    try:
        while True:
            status = look()
            line = drain.look(
                sum(lane.records(State.PENDING) for lane in status.lanes),
                sum(lane.records(State.DELIVERED) for lane in status.lanes),
                time.monotonic(),
            )
            if on_terminal:
                click.clear()
                show(status)
                session.say()
            session.say(line)
            time.sleep(EVERY_S)
    except KeyboardInterrupt:
        if on_terminal:
            session.say()
