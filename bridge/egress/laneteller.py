"""What people are told of one lane: what its steps found, why it fails; each failure once."""

from collections import Counter
from collections.abc import Callable

from bridge.egress.event import Event
from bridge.egress.lanes import LaneState
from bridge.egress.step import Step
from bridge.terminal import counted
from keys.errors import BridgeError
from spool.durable import explained
from spool.lane import Lane

RETRY_S = 5.0
"""Seconds until a lane is tried again whose spool or ledger failed."""
RETRY_MOST_S = 60.0
"""The same at most; it grows with each failure: segments may be read and verified for it."""
REFUSED_EVERY_S = 60.0
"""Seconds between two lines on refused records of a lane: there may be a thousand in a row."""


class LaneTeller:
    """Tells by events, and keeps in a lane's state why it fails, for the status."""

    def __init__(self, monotonic: Callable[[], float], tell: Callable[[Event], None]) -> None:
        self._monotonic = monotonic
        self._tell = tell
        self._refused: Counter[Lane] = Counter()
        self._refused_at: dict[Lane, float] = {}

    def stepped(self, lane: Lane, step: Step) -> None:
        """A step of ``lane`` is over."""
        if step.mended is not None:
            numbers = {"first": step.mended[0], "last": step.mended[1]}
            message = "Segments are missing or damaged; the loss is declared."
            self._tell(Event("spool.gap", message, _names(lane) | numbers))
        if step.refused:
            self._refused[lane] += 1
            self.say_refused()

    def say_refused(self, *, last: bool = False) -> None:
        """Say how many records were refused, of each lane once in a while, or for the last time.

        To be called now and then: the first of them was told at once.
        """
        now = self._monotonic()
        for lane, count in list(self._refused.items()):
            if not last and now < self._refused_at.get(lane, now):
                continue
            self._refused_at[lane] = now + REFUSED_EVERY_S
            del self._refused[lane]
            kept = "is kept as an exception" if count == 1 else "are kept as exceptions"
            message = f"The beacon refused {counted(count, 'record', 'records')}: {kept}."
            self._tell(Event("record.refused", message, _names(lane) | {"records": count}))

    def failed(self, state: LaneState, failure: BridgeError | OSError) -> None:
        """A step of a lane failed: it is tried again after a while."""
        state.failures += 1
        state.retry_at = self._monotonic() + min(RETRY_S * state.failures, RETRY_MOST_S)
        self._keep(state, failure)

    def looked(self, state: LaneState, failure: BridgeError | OSError | None) -> None:
        """Somebody looked for news in a lane."""
        if failure is not None:
            self._keep(state, failure)
        elif not state.failures:  # what a look found is over; what a step found is for a step
            state.failed = None

    def _keep(self, state: LaneState, failure: BridgeError | OSError) -> None:
        error = explained(failure, "send a lane") if isinstance(failure, OSError) else failure
        before, state.failed = state.failed, error
        if before is None or (before.id, before.message) != (error.id, error.message):
            fields = _names(state.sender.lane) | {"error": error.id}
            self._tell(Event("lane.failed", error.message, fields))


def _names(lane: Lane) -> dict[str, object]:
    return {"node": lane.node, "stream": lane.stream}
