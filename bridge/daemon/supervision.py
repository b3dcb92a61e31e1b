"""Keeps the service manager told: ready, how things stand, still alive, stopping.

The watchdog is fed only while intake and egress move. A process that lives while nothing flows is
then started anew by whoever watches it. A manager that cannot be told costs one line of the log.
"""

from collections.abc import Callable
from pathlib import Path

from bridge.daemon.stalls import Stalls
from bridge.egress.event import Event
from bridge.operate.notify import ServiceManager
from bridge.terminal import counted
from spool.clock import Clock
from spool.egressfile import read_egress_state
from spool.ledger import LaneCounts, State

STATUS_EVERY_S = 5.0
"""Seconds between two lines for people."""
STALLED_S = 30.0
"""Seconds that a step of the engine may take besides its request."""
FEEDS = 3
"""How often the watchdog is fed within its time."""


class Supervision:
    """What one daemon tells its service manager.

    ``stalled`` names the part that does nothing any more, None while all move, and ``stalls`` tells of
    it once that is found twice in a row; ``counts`` are the ledger's.
    """

    def __init__(
        self,
        manager: ServiceManager,
        spool: Path,
        *,
        stalled: Callable[[], str | None],
        stalls: Stalls,
        counts: Callable[[], list[LaneCounts]],
        clock: Clock,
        tell: Callable[[Event], None],
    ) -> None:
        self._manager = manager
        self._spool = spool
        self._stalled = stalled
        self._stalls = stalls
        self._counts = counts
        self._clock = clock
        self._tell = tell
        self._status_at = self._feed_at = clock.monotonic()
        self._doubted: str | None = None
        self._said_deaf = ""
        self._said_text = ""

    def within(self, beat_s: float) -> float:
        """Seconds until the watchdog is to be fed again, ``beat_s`` at most."""
        watchdog_s = self._manager.watchdog_s
        return beat_s if watchdog_s is None else min(beat_s, watchdog_s / FEEDS)

    def ready(self) -> None:
        """The daemon takes records."""
        self._say(self._manager.ready)
        self.feed()
        self.look()

    def feed(self) -> None:
        """Feed the watchdog, if it is time and all move."""
        stalled = self._stalled()
        if stalled in (None, self._doubted):  # once it may have been the whole process that stood
            self._stalls.say(stalled)
        self._doubted = stalled
        watchdog_s = self._manager.watchdog_s
        if self._manager.address is None or watchdog_s is None or stalled is not None:
            return
        now = self._clock.monotonic()
        if now >= self._feed_at:
            # Half of the time between two feeds: a beat may come a little before the whole of it.
            self._feed_at = now + watchdog_s / FEEDS / 2
            self._say(self._manager.alive)

    def look(self) -> None:
        """Say how things stand, if it is time."""
        if self._manager.address is None:
            return
        now = self._clock.monotonic()
        if now >= self._status_at:
            self._status_at = now + STATUS_EVERY_S
            stalled = self._stalls.part
            text = f"{stalled} is stalled" if stalled is not None else self._line()
            if text != self._said_text:
                self._said_text = text
                self._say(lambda: self._manager.status(text))

    def stopping(self) -> None:
        """The daemon ends."""
        self._say(self._manager.stopping)

    def _line(self) -> str:
        counts = self._counts()
        pending = sum(lane.records[State.PENDING] for lane in counts)
        egress = read_egress_state(self._spool)
        state = "idle" if egress is None else egress.state
        lanes, records = (
            counted(len(counts), "lane", "lanes"),
            counted(pending, "record", "records"),
        )
        return f"{lanes}, {records} pending, egress {state}"

    def _say(self, word: Callable[[], None]) -> None:
        try:
            word()
            self._said_deaf = ""
        except OSError as error:
            problem = f"The service manager cannot be told: {error.strerror}."
            if problem != self._said_deaf:
                self._said_deaf = problem
                self._tell(Event("notify.failed", problem))
