"""Which lane sends next: billing, then usage, then operational; of each what is fresh goes first.

Within a lane the order is that of its numbers, always. A lane has a backlog if more is pending in it
than its last request could carry. One that keeps up goes before it, but every fourth turn is the
backlog's, so that both move however much comes. No clock decides it.

Pure but for the clock that it is given; the engine's lock guards it.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bridge.egress.circuits import EVERYTHING, Circuits, Scope, Stuck
from bridge.egress.limits import Limit
from bridge.egress.ramp import Ramp
from bridge.egress.sender import Sender
from bridge.egress.step import Step
from keys.errors import BridgeError, VerificationError

BACKLOG_SHARE = 4
"""Every so many turns of a rank is one for the backlog, where there is one."""


@dataclass(slots=True)
class LaneState:
    """A lane as the engine sees it.

    ``blocked`` is why it cannot be sent (no license key), ``failed`` what the spool or the ledger
    said the last ``failures`` times; it is tried again at ``retry_at`` (monotonic seconds).
    ``keyless``: that was so at its last step; ``blocked`` is asked anew at each look.
    ``news`` counts what was found to send, so that an idle step cannot hide what came meanwhile.
    ``backlog``: its last request left something for another one. ``probed`` circuits are those that
    the step under way probes. ``cut_off``: what it tried last brought no answer of the beacon's.
    """

    sender: Sender
    rank: int
    idle: bool = False
    busy: bool = False
    blocked: str | None = None
    keyless: bool = False
    failed: BridgeError | None = None
    failures: int = 0
    news: int = 0
    retry_at: float = 0.0
    turn: int = 0
    backlog: bool = False
    probed: frozenset[Scope] = frozenset()
    cut_off: bool = False


class Lanes:
    """The lanes of one process; ``ramp`` and the other ``limits`` hold all of them back."""

    def __init__(
        self,
        circuits: Circuits,
        ramp: Ramp,
        limits: Sequence[Limit],
        monotonic: Callable[[], float],
    ) -> None:
        self._circuits = circuits
        self._ramp = ramp
        self._limits = (ramp, *limits)
        self._monotonic = monotonic
        self._turns = 0
        self._turns_of: Counter[int] = Counter()
        self.states: list[LaneState] = []

    def choose(self) -> LaneState | None:
        """The lane that shall send now, marked busy; None if none can."""
        if self._held():
            return None
        ready = [state for state in self.states if self._wait(state) == 0.0]
        if not ready:
            return None
        chosen = self._first(ready)
        self._turns += 1
        chosen.turn = self._turns
        chosen.busy = True
        chosen.probed = self._circuits.begin(chosen.sender.scopes)
        for limit in self._limits:
            limit.begin()
        return chosen

    def done(self, state: LaneState, step: Step) -> None:
        """The step of ``state`` is over: what it found is known to circuits and limits."""
        state.busy = False
        probed, scopes = state.probed, state.sender.scopes
        self._circuits.end(probed)
        if step.reached or (step.answered and step.trip is None):
            # Whatever else it said: there is a way to the beacon, and this route answers.
            over = scopes if step.reached else (EVERYTHING, scopes[-1])
            self._ramp.recovered(self._circuits.close(over))
            state.cut_off = False
        for limit in self._limits:
            limit.end(step.sent, step.records, reached=step.reached)
        if step.trip is not None:
            self._trip(state, *step.trip)
        if step.idle:
            state.backlog = False
        elif step.backlog is not None:
            state.backlog = step.backlog

    def _trip(self, state: LaneState, scope: Scope, reason: str, floor_s: float | None) -> None:
        """Open a circuit; where others get through meanwhile, one for this lane alone, too.

        What breaks a connection may be what the lane sends, or its path. Each success of another lane
        closes the circuit for everything, and its back-off with it: this one would try each second.
        """
        own, opens = state.sender.scopes[-1], not self._circuits.hold([scope])
        self._circuits.trip(scope, reason, floor_s, state.probed)
        if scope == EVERYTHING:
            if own in state.probed or (opens and state.cut_off):
                self._circuits.trip(own, reason, floor_s, state.probed)
            state.cut_off = True

    def release(self) -> None:
        """A person wants everything sent now: what is open is probed at once, and no ramp follows."""
        self._circuits.try_now()
        self._ramp.release()

    def next_in(self) -> float | None:
        """Seconds until a lane can send that cannot now; None if only news can change that."""
        waits = [wait for state in self.states if (wait := self._wait(state)) is not None]
        return max(min(waits), self._held()) if waits else None

    def all_idle(self) -> bool:
        """Whether nothing is left to send, and nothing is being sent."""
        return all(state.idle and not state.busy for state in self.states)

    def stuck(self, closed: str | None, give_up_after: int) -> Stuck | None:
        """Why no lane moves any more; None while one does, or may soon.

        ``closed`` is why nothing is sent at this time of the day. What has failed ``give_up_after``
        times is not waited for.
        """
        if closed is not None and not any(state.busy for state in self.states):
            return Stuck(closed, needs_person=False)
        reasons: list[Stuck] = []
        for state in self.states:
            if state.busy:
                return None
            if state.idle:
                continue
            reason = self._circuits.hopeless(state.sender.scopes, give_up_after)
            if state.blocked is not None:
                reason = Stuck(state.blocked, needs_person=True)
            elif state.failed is not None and (
                # What is not trusted now is not trusted a second later.
                state.failures >= give_up_after or isinstance(state.failed, VerificationError)
            ):
                reason = Stuck(state.failed.message, needs_person=True, error=state.failed)
            if reason is None:
                return None
            reasons.append(reason)
        return min(reasons, key=_urgency, default=None)

    def _first(self, ready: Sequence[LaneState]) -> LaneState:
        """The lowest rank, then fresh before backlog but for its share, then each in turn."""
        rank = min(state.rank for state in ready)
        row = [state for state in ready if state.rank == rank]
        self._turns_of[rank] += 1
        is_share = self._turns_of[rank] % BACKLOG_SHARE == 0
        row = [state for state in row if state.backlog == is_share] or row
        return min(row, key=lambda state: state.turn)

    def _held(self) -> float:
        """Seconds that the limits hold everything back."""
        return max((limit.wait() for limit in self._limits), default=0.0)

    def _wait(self, state: LaneState) -> float | None:
        if state.busy or state.idle or state.blocked is not None:
            return None
        wait = self._circuits.wait(state.sender.scopes)
        return None if wait is None else max(wait, state.retry_at - self._monotonic(), 0.0)


def _urgency(stuck: Stuck) -> tuple[bool, bool, bool]:
    """Least for what has to be said first: what cannot be trusted, then the disk, then the beacon."""
    verification = isinstance(stuck.error, VerificationError)
    return not verification, stuck.error is None, not stuck.needs_person
