"""What the threads that send do: take the lane whose turn it is, make a step of it, and again."""

import threading
from collections.abc import Callable

from bridge.egress.lanes import Lanes, LaneState
from bridge.egress.step import Step
from bridge.egress.turn import Turn
from keys.errors import BridgeError
from spool.lane import Lane

After = Callable[[LaneState, Step, BridgeError | OSError | None, int], None]
"""Told of a step: its lane, what it found or why it failed, and what was known as news before it."""


class Workers:
    """Takes lanes of ``lanes``, which ``changed`` guards, until :meth:`stop`.

    ``after`` is called at the end of each step, with the guard held.
    """

    def __init__(
        self,
        lanes: Lanes,
        changed: threading.Condition,
        turn: Turn,
        monotonic: Callable[[], float],
        after: After,
        ends: Callable[[BridgeError | OSError], bool],
    ) -> None:
        """``ends`` tells whether a failure is one that ends the thread."""
        self._lanes = lanes
        self._changed = changed
        self._turn = turn
        self._monotonic = monotonic
        self._after = after
        self._ends = ends
        self._stopping = False
        self.stepping: dict[Lane, float] = {}
        """Since when, monotonic seconds, a step of a lane is under way; the same guard's."""

    def work(self) -> None:
        """Send, as one of any number of threads; returns after :meth:`stop`."""
        while self._is_work():
            with self._turn:
                while (state := self._chosen()) is not None:
                    self._step(state)

    def stop(self) -> None:
        """Begin no more steps; with the guard held."""
        self._stopping = True
        self._changed.notify_all()

    def _is_work(self) -> bool:
        """Wait until a lane may have something to send; False at the end."""
        with self._changed:
            while not self._stopping and (wait := self._lanes.next_in()) != 0.0:
                self._changed.wait(wait)
            return not self._stopping

    def _chosen(self) -> LaneState | None:
        with self._changed:
            state = None if self._stopping else self._lanes.choose()
            if state is not None:
                self.stepping[state.sender.lane] = self._monotonic()
            return state

    def _step(self, state: LaneState) -> None:
        step, news = Step(), state.news
        failure: BridgeError | OSError | None = None
        try:
            step = state.sender.step()
        except (BridgeError, OSError) as error:
            failure = error
        ends = failure is not None and self._ends(failure)
        with self._changed:
            self.stepping.pop(state.sender.lane)
            self._after(state, step, failure, news)
            self._changed.notify_all()
        if failure is not None and ends:
            raise failure
