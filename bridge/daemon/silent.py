"""Says once that nothing comes in, when a day has passed without a record; see ``operate.silence``."""

from collections.abc import Callable
from pathlib import Path

from bridge.egress.event import Event
from bridge.operate.silence import silence, silent_since
from spool.clock import MS, Clock
from spool.durable import explained
from spool.intakefile import read_intake

LOOK_EVERY_S = 600.0
"""Seconds between two looks; it is a matter of days."""


class SilenceWatch:
    """Watches one node from construction on; ``online_key`` None where no key is configured.

    ``relays`` tells whether it is there for other nodes.
    """

    def __init__(
        self,
        spool: Path,
        node: str,
        *,
        online_key: bool | None,
        relays: Callable[[], bool],
        clock: Clock,
        tell: Callable[[Event], None],
    ) -> None:
        self._spool = spool
        self._node = node
        self._online_key = online_key
        self._relays = relays
        self._clock = clock
        self._tell = tell
        self._begun = self._next = clock.monotonic()
        self._said: str | None = None

    def look(self) -> None:
        """Look, if it is time; one line for each silence."""
        now = self._clock.monotonic()
        if now < self._next:
            return
        self._next = now + LOOK_EVERY_S
        at = self._clock.wall_ms()
        begun = at - int((now - self._begun) * MS)
        try:
            since = silent_since(self._spool, self._node, begun, at, relays=self._relays())
        except OSError as error:
            self._say("intake.unseen", explained(error, "look what was taken").message)
            return
        if since is None:
            self._said = None
            return
        problem = silence(since, at, read_intake(self._spool), online_key=self._online_key)
        self._say(problem.id, f"{problem.message} {problem.hint}")

    def _say(self, name: str, message: str) -> None:
        if name != self._said:
            self._said = name
            self._tell(Event(name, message))
