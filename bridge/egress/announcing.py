"""Tells the writers, and people once, whether anything leaves."""

import threading
from collections.abc import Callable
from pathlib import Path

from bridge.egress.circuits import Circuits
from bridge.egress.event import Event
from bridge.egress.lanes import Lanes
from bridge.egress.windows import Windows
from spool.clock import Clock
from spool.durable import Disk
from spool.egressfile import FLOWING, LaneFailure, write_egress_state

IDLE_AFTER_S = 60.0
"""Seconds without anything to send before egress is called idle: a trickle is no change."""


class EgressTeller:
    """Keeps the egress file of ``spool`` true; ``guard`` is the lock of ``lanes`` and ``circuits``."""

    def __init__(
        self,
        spool: Path,
        lanes: Lanes,
        circuits: Circuits,
        windows: Windows,
        guard: threading.Condition,
        *,
        disk: Disk,
        clock: Clock,
        tell: Callable[[Event], None],
    ) -> None:
        self._spool = spool
        self._lanes = lanes
        self._circuits = circuits
        self._windows = windows
        self._guard = guard
        self._disk = disk
        self._clock = clock
        self._tell = tell
        self._said = self._written = self._failed = ""
        self._said_all: object = None
        self._since = clock.wall_ms()
        self._busy_at = clock.monotonic()

    @property
    def is_settled(self) -> bool:
        """Whether time alone will not have it say ``idle``; any thread may ask.

        That a window opened or closed may be said late: whoever has something to send looks then.
        """
        return "up" not in (self._said, self._written)

    def is_due(self) -> bool:
        """Whether it may have to say ``idle`` now; any thread may ask."""
        return not self.is_settled and self._is_quiet()

    def say(self) -> None:
        """Write how things stand where that has changed; an event where the state has."""
        with self._guard:
            closed = self._windows.closed
            state = "paused" if closed else self._circuits.state or self._quiet()
            reasons = [closed] if closed else sorted(set(self._circuits.reasons.values()))
            failed = [
                LaneFailure.of(each.sender.lane, each.failed)
                for each in self._lanes.states
                if each.failed is not None
            ]
            waiting = [
                each.sender.lane
                for each in self._lanes.states
                if closed or each.keyless or each.failed or self._circuits.hold(each.sender.scopes)
            ]
        because = "; ".join(reasons)
        said = (state, because, failed, waiting)
        if said == self._said_all:
            return
        before, self._said, self._said_all = self._said, state, said
        if state != before:
            self._since = self._clock.wall_ms()
        try:
            write_egress_state(
                self._disk,
                self._spool,
                state,
                self._since,
                because,
                failed=failed,
                waiting=waiting,
            )
        except OSError as error:
            # What stands there is not so any more: it is written as soon as that can be done.
            self._said_all = None
            if str(error) != self._failed:
                self._failed = str(error)
                self._tell(Event("egress.state", self._failed))
        else:
            self._failed, self._written = "", state
        # That it is up has to be told where it was not: before its first request nobody knows.
        if state != before and not {before, state} <= {"", *FLOWING}:
            name = f"egress.{state}" if closed is None else "egress.window"
            message = f"Egress is {state}" + (f": {because}." if because else ".")
            self._tell(Event(name, message))

    def _quiet(self) -> str:
        """``up``, or ``idle`` when there has been nothing to send for a while."""
        if not self._lanes.all_idle():
            self._busy_at = self._clock.monotonic()
        return "idle" if self._is_quiet() else "up"

    def _is_quiet(self) -> bool:
        return self._clock.monotonic() - self._busy_at > IDLE_AFTER_S
