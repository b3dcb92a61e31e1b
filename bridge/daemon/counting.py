"""Leaves the intake's sums where ``bridge status`` finds them, now and then.

A write that fails costs the status its news and nothing else; it is said once and tried again.
"""

from collections.abc import Callable
from pathlib import Path

from bridge.egress.event import Event
from bridge.intake.counts import IntakeCounts
from spool.clock import Clock
from spool.durable import Disk, explained
from spool.intakefile import IntakeSums, write_intake

TELL_EVERY_S = 10.0
"""Seconds between two writes: each costs syncs, which records need more."""


class IntakeTeller:
    """Tells of one intake, from the daemon's start to :meth:`close`."""

    def __init__(
        self,
        spool: Path,
        counts: IntakeCounts,
        *,
        disk: Disk,
        clock: Clock,
        tell: Callable[[Event], None],
    ) -> None:
        """Write the first sums, so that nobody takes those of an earlier daemon for ours."""
        self._spool = spool
        self._counts = counts
        self._disk = disk
        self._clock = clock
        self._tell = tell
        self._since_ms = clock.wall_ms()
        self._next = clock.monotonic()
        self._said: IntakeSums | None = None
        self._failed = ""
        self.look()

    def look(self) -> bool:
        """Write what is new, if it is time; whether anything was."""
        if self._clock.monotonic() < self._next:
            return False
        self._next = self._clock.monotonic() + TELL_EVERY_S
        return self._write()

    def close(self) -> None:
        """Write what is new, for the last time."""
        self._write()

    def _write(self) -> bool:
        sums = self._counts.copy()
        if sums == self._said:
            return False
        try:
            write_intake(
                self._disk,
                self._spool,
                sums,
                since_ms=self._since_ms,
                at_ms=self._clock.wall_ms(),
            )
        except OSError as error:
            message = explained(error, "tell what the intake counted").message
            if message != self._failed:
                self._failed = message
                self._tell(Event("intake.untold", message))
            return True
        self._said, self._failed = sums, ""
        return True
