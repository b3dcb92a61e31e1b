"""What hinders the work in a courier's folder: it is told once, and the work waits a while.

A bundle may have gigabytes: work that fails at its end is not begun again at each look.
"""

import os
from collections.abc import Callable
from pathlib import Path

from bridge.egress.event import Event
from keys.errors import BridgeError, shown
from spool.clock import Clock
from spool.durable import OS_DISK, explained
from spool.errors import SpoolError
from spool.troublefile import Trouble, write_trouble

PAUSE_S = 60.0
"""Seconds between a failure and the next attempt, at least."""
_SHARE = 10
"""A failure that took long is followed by so many times as long: it costs a tenth of the machine."""


class CourierFolder:
    """The ``part`` inbox or outbox of the daemon of ``spool``, of one thread."""

    def __init__(self, part: str, spool: Path, clock: Clock, tell: Callable[[Event], None]) -> None:
        self._part = part
        self._spool = spool
        self._clock = clock
        self._tell = tell
        self._begun_at = self._next_at = clock.monotonic()
        self._said = ""
        self._trouble: Trouble | None = None
        self._put()

    def begins(self) -> bool:
        """Whether it is time for work; if so, it begins now."""
        self._begun_at = self._clock.monotonic()
        return self._begun_at >= self._next_at

    def done(self) -> None:
        """Nothing hinders it."""
        self._said = ""
        self._becomes(None)

    def failed(self, error: BridgeError) -> None:
        """This hinders it, and a person has to do something."""
        now = self._clock.monotonic()
        self._next_at = now + max(PAUSE_S, _SHARE * (now - self._begun_at))
        self._say(error)
        self._becomes(Trouble.of(error))

    def refused(self, error: OSError, what: str) -> None:
        """The system did not let it ``what``, and a person has to do something."""
        self.failed(_explained(error, what))

    def missing(self, error: FileNotFoundError) -> None:
        """It is not there: no trouble by itself, as a medium comes and goes."""
        self._say(_explained(error, f"look into the {self._part}"))
        self._becomes(None)

    def _say(self, error: BridgeError) -> None:
        if error.message != self._said:
            self._said = error.message
            fields: dict[str, object] = {"error": error.id}
            self._tell(Event(f"transfer.{self._part}", f"{error.message} {error.hint}", fields))

    def _becomes(self, trouble: Trouble | None) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            self._put()

    def _put(self) -> None:
        try:
            write_trouble(OS_DISK, self._spool, self._part, self._trouble)
        except OSError as error:
            message = explained(error, f"tell of the {self._part}").message
            self._tell(Event("daemon.untold", message))


def _explained(error: OSError, what: str) -> SpoolError:
    return SpoolError(
        "transfer.folder",
        f"Cannot {what}: {os.strerror(error.errno or 0)} ({shown(error.filename or '')}).",
        "Look whether its medium is there, has room, and lets this user write; it is tried again.",
    )
