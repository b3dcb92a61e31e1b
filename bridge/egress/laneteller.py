"""What people are told of one lane: what its steps found, why it fails; each failure once."""

from collections.abc import Callable

from bridge.egress.event import Event
from bridge.egress.lanes import LaneState
from bridge.egress.step import Step
from keys.errors import BridgeError
from spool.durable import explained
from spool.lane import Lane

RETRY_S = 5.0
"""Seconds until a lane is tried again whose spool or ledger failed."""


class LaneTeller:
    """Tells by events, and keeps in a lane's state why it fails, for the status."""

    def __init__(self, monotonic: Callable[[], float], tell: Callable[[Event], None]) -> None:
        self._monotonic = monotonic
        self._tell = tell

    def stepped(self, lane: Lane, step: Step) -> None:
        """A step of ``lane`` is over."""
        if step.mended is not None:
            numbers = {"first": step.mended[0], "last": step.mended[1]}
            message = "Segments are missing or damaged; the loss is declared."
            self._tell(Event("spool.gap", message, _names(lane) | numbers))
        if step.refused:
            message = "The beacon refused a record; it is kept as an exception."
            self._tell(Event("record.refused", message, _names(lane)))

    def failed(self, state: LaneState, failure: BridgeError | OSError) -> None:
        """A step of a lane failed: it is tried again after a while."""
        state.retry_at = self._monotonic() + RETRY_S
        state.failures += 1
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
