"""Waiting until nothing is left to send, or nothing moves: what ``run --once`` and ``replay`` do."""

import threading
from collections.abc import Callable
from pathlib import Path

from bridge.egress.circuits import Stuck
from bridge.egress.lanes import Lanes
from bridge.egress.windows import Windows
from spool.ledger import Ledger

GIVE_UP_AFTER = 3
"""Failed probes after which a drain stops waiting for the beacon."""


class Drain:
    """One drain of the ``lanes`` that an engine's threads send.

    ``changed`` guards the lanes and is notified of each step; ``broken`` is what ended one of the
    threads. ``look`` finds what is new, ``say`` tells the status how it stands.
    """

    def __init__(
        self,
        spool: Path,
        ledger: Ledger,
        lanes: Lanes,
        windows: Windows,
        changed: threading.Condition,
        *,
        broken: Callable[[], BaseException | None],
        look: Callable[[], None],
        say: Callable[[], None],
    ) -> None:
        self._spool = spool
        self._ledger = ledger
        self._lanes = lanes
        self._windows = windows
        self._changed = changed
        self._broken = broken
        self._look = look
        self._say = say

    def run(self, look_every_s: float) -> Stuck | None:
        """None when nothing is left, else why something is; looks so often while it is sent.

        Raises what ended a thread.
        """
        while True:
            self._look()
            self._note_drained()
            with self._changed:
                if (broken := self._broken()) is not None:
                    raise broken
                if self._lanes.all_idle():
                    return None
                stuck = self._stuck()
                if stuck is None:
                    # Each step says that something changed; only an end is worth another look.
                    self._changed.wait_for(self._ended, look_every_s)
                    continue
            self._say()  # nobody looks again, and the status has to tell of it
            return stuck

    def _note_drained(self) -> None:
        """What has nothing pending is idle, also where a limit holds back the step that sees it."""
        with self._changed:
            still = [
                (state, state.news)
                for state in self._lanes.states
                if not (state.idle or state.busy)
            ]
        pending = set(self._ledger.pending_lanes(self._spool)) if still else set()
        with self._changed:
            for state, news in still:
                if state.sender.lane not in pending and state.news == news and not state.busy:
                    state.idle = True

    def _ended(self) -> bool:
        """Whether nothing is sent any more, for whatever reason."""
        return self._broken() is not None or self._lanes.all_idle() or self._stuck() is not None

    def _stuck(self) -> Stuck | None:
        return self._lanes.stuck(self._windows.closed, GIVE_UP_AFTER)
