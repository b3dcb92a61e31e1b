"""Which lane sends next: billing first, then usage, then operational, each in turn.

Pure but for the clock that it is given; the engine's lock guards it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from bridge.egress.circuits import Circuits
from bridge.egress.sender import Sender
from keys.errors import BridgeError


@dataclass(slots=True)
class LaneState:
    """A lane as the engine sees it.

    ``blocked`` is why it cannot be sent (no license key), ``failed`` what the spool or the ledger
    said the last ``failures`` times; it is tried again at ``retry_at`` (monotonic seconds).
    ``news`` counts what was found to send, so that an idle step cannot hide what came meanwhile.
    """

    sender: Sender
    rank: int
    idle: bool = False
    busy: bool = False
    blocked: str | None = None
    failed: BridgeError | None = None
    failures: int = 0
    news: int = 0
    retry_at: float = 0.0
    turn: int = 0


class Lanes:
    """The lanes of one process."""

    def __init__(self, circuits: Circuits, monotonic: Callable[[], float]) -> None:
        self._circuits = circuits
        self._monotonic = monotonic
        self._turns = 0
        self.states: list[LaneState] = []

    def choose(self) -> LaneState | None:
        """The lane that shall send now, marked busy; None if none can."""
        ready = [state for state in self.states if self._wait(state) == 0.0]
        if not ready:
            return None
        chosen = min(ready, key=lambda state: (state.rank, state.turn))
        self._turns += 1
        chosen.turn = self._turns
        chosen.busy = True
        self._circuits.begin(chosen.sender.scopes)
        return chosen

    def next_in(self) -> float | None:
        """Seconds until a lane can send that cannot now; None if only news can change that."""
        waits = [wait for state in self.states if (wait := self._wait(state)) is not None]
        return min(waits, default=None)

    def all_idle(self) -> bool:
        """Whether nothing is left to send, and nothing is being sent."""
        return all(state.idle and not state.busy for state in self.states)

    def _wait(self, state: LaneState) -> float | None:
        if state.busy or state.idle or state.blocked is not None:
            return None
        wait = self._circuits.wait(state.sender.scopes)
        return None if wait is None else max(wait, state.retry_at - self._monotonic(), 0.0)
