"""Keeps the service manager told: ready, how things stand, still alive, stopping.

The watchdog is fed only while intake and egress move. A process that lives while nothing flows is
then started anew by whoever watches it. A manager that cannot be told costs one line of the log.
"""

from collections.abc import Callable
from pathlib import Path

from bridge.egress.event import Event
from bridge.operate.notify import ServiceManager
from bridge.terminal import counted
from spool.beat import BEAT_S
from spool.clock import Clock
from spool.egressfile import read_egress_state
from spool.ledger import LaneCounts, State

STATUS_EVERY_S = 5.0
"""Seconds between two lines for people."""
STALLED_S = 30.0
"""Seconds without a turn of the intake's loop, or a look of the engine, after which it is stalled;
each turns every twelve seconds at least, but a hanging disk holds it up."""
FEEDS = 3
"""How often the watchdog is fed within its time."""


class Supervision:
    """What one daemon tells its service manager.

    ``stalled`` names the part that does nothing any more, None while all move; ``counts`` are the
    ledger's.
    """

    def __init__(
        self,
        manager: ServiceManager,
        spool: Path,
        *,
        stalled: Callable[[], str | None],
        counts: Callable[[], list[LaneCounts]],
        clock: Clock,
        tell: Callable[[Event], None],
    ) -> None:
        self._manager = manager
        self._spool = spool
        self._stalled = stalled
        self._counts = counts
        self._clock = clock
        self._tell = tell
        self._status_at = self._feed_at = clock.monotonic()
        self._said_stalled: str | None = None
        self._said_deaf = ""
        self._said_text = ""

    @property
    def look_every_s(self) -> float:
        """Seconds between two looks that feed the watchdog often enough."""
        watchdog_s = self._manager.watchdog_s
        return BEAT_S if watchdog_s is None else min(BEAT_S, watchdog_s / FEEDS)

    def ready(self) -> None:
        """The daemon takes records."""
        self._say(self._manager.ready)
        self.look()

    def look(self) -> None:
        """Feed the watchdog, and say how things stand, if it is time."""
        now = self._clock.monotonic()
        stalled = self._stalled()
        if stalled != self._said_stalled:
            self._said_stalled = stalled
            if stalled is not None:
                message = f"The {stalled} does nothing any more; the watchdog is not fed."
                self._tell(Event("daemon.stalled", message, {"part": stalled}))
        if self._manager.address is None:
            return
        if self._manager.watchdog_s is not None and stalled is None and now >= self._feed_at:
            self._feed_at = now + self._manager.watchdog_s / FEEDS
            self._say(self._manager.alive)
        if now >= self._status_at:
            self._status_at = now + STATUS_EVERY_S
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
