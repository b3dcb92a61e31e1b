"""Sends what is pending, lanes side by side, as long as there is egress.

A few threads, one request in flight a lane. Whatever tells of news only wakes the engine; a
periodic look at the durable heads finds what nobody told. What the spool, the ledger or the beacon
say of one lane never stops the others.
"""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from bridge.egress.announcing import EgressTeller
from bridge.egress.circuits import Circuits, Stuck
from bridge.egress.draining import Drain
from bridge.egress.event import Event
from bridge.egress.frontiers import Frontiers
from bridge.egress.lanes import Lanes, LaneState
from bridge.egress.laneteller import LaneTeller
from bridge.egress.limits import Limit
from bridge.egress.news import News
from bridge.egress.ramp import Ramp
from bridge.egress.sender import Sender
from bridge.egress.step import Step
from bridge.egress.turn import Turn
from bridge.egress.windows import Windows
from bridge.egress.workers import Workers
from keys.errors import BridgeError
from spool.beat import TURN_S, Pulse, until_beat
from spool.clock import Clock
from spool.durable import Disk
from spool.lane import Lane
from spool.ledger import Ledger
from spool.streams import STREAMS
from spool.waking import asked_at

WORKERS = 4
"""Requests in flight at most: enough to hide a round trip, few enough to bound memory."""
LOOK_EVERY_S = 1.0
"""Seconds between two looks at the durable heads while something is to be sent."""
STOP_S = 4.0
"""Seconds that requests in flight get when the engine stops; all of it shall take less than ten."""


class Engine:
    """Sends the lanes of one spool; only the holder of its sender lock runs one.

    ``new_sender`` makes the sender of a lane, which lets go of ``turn`` while it waits; ``tell`` gets
    events, from any thread. Nothing is sent outside ``windows``, nor faster than ``limits`` allow.
    While nothing is to be sent it looks each ``quiet_s`` seconds: news wakes it, as events or at a
    glance, and what did not is found so. ``ended`` is called when a thread is broken.
    """

    def __init__(  # noqa: PLR0913 - what sending needs, given once
        self,
        spool: Path,
        ledger: Ledger,
        new_sender: Callable[[Lane], Sender],
        circuits: Circuits,
        *,
        turn: Turn,
        disk: Disk,
        clock: Clock,
        tell: Callable[[Event], None],
        windows: Windows,
        limits: Sequence[Limit] = (),
        held: Callable[[Lane], bool] = lambda _: False,
        quiet_s: Callable[[], float] = lambda: TURN_S,
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        self._spool = spool
        self._ledger = ledger
        self._new_sender = new_sender
        self._circuits = circuits
        self._disk = disk
        self._clock = clock
        self._tell = tell
        self._windows = windows
        self._held = held
        self._quiet_s = quiet_s
        self._tell_ended = ended
        self._lanes = Lanes(circuits, Ramp(clock.monotonic), (windows, *limits), clock.monotonic)
        self._known: dict[Lane, LaneState] = {}
        self._changed = threading.Condition()
        self._teller = EgressTeller(
            spool, self._lanes, circuits, windows, self._changed, disk=disk, clock=clock, tell=tell
        )
        self._lane_teller = LaneTeller(clock.monotonic, tell)
        self._frontiers = Frontiers(ledger, disk, clock, tell)
        self._news = News(spool, ledger)
        self._looking = threading.Lock()
        self._asked_at = asked_at(spool)
        self._woken = threading.Event()
        self._stopping = False
        self._threads: list[threading.Thread] = []
        self._pulse = Pulse(clock.monotonic)
        self._workers = Workers(
            self._lanes, self._changed, turn, clock.monotonic, self._after, self._is_the_end
        )
        self.broken: BaseException | None = None
        """What ended one of the threads; the process must say so and stop."""

    def start(self) -> None:
        """Look once, then send in the background until :meth:`stop`."""
        self._look()
        jobs = [("egress", self._watch)]
        jobs += [(f"send-{number}", self._workers.work) for number in range(1, WORKERS + 1)]
        # Such threads hold up no end of the process: a request may wait for a minute.
        self._threads = [
            threading.Thread(target=self._guarded, args=(job,), name=name, daemon=True)
            for name, job in jobs
        ]
        for thread in self._threads:
            thread.start()

    @property
    def is_at_rest(self) -> bool:
        """Whether nobody waits for its next turn: there is nothing that time alone has it say."""
        return self._teller.is_settled

    def wake(self) -> None:
        """There is news; never waits."""
        self._woken.set()

    def turn_soon(self) -> None:
        """Turn now, and show within :data:`TURN_S` that it did; never waits."""
        self._pulse.hurry(TURN_S)
        self._woken.set()

    def glance(self) -> None:
        """Wake it if there may be news, by a few file times, or it is to say that there is none.

        To be called on the beat. Never waits.
        """
        if not self._looking.acquire(blocking=False):
            return
        try:
            is_news = (
                self._teller.is_due()
                or asked_at(self._spool) != self._asked_at
                or self._news.changed()
            )
        except OSError:
            is_news = True  # the look tells of it
        finally:
            self._looking.release()
        if is_news:
            self.wake()

    def release(self) -> None:
        """A person wants it sent now: nothing is waited for, and what is refused is set aside."""
        with self._changed:
            for state in self._lanes.states:
                paused = state.sender.wanted()
                if paused is not None:
                    self._circuits.close([paused])
                state.retry_at = 0.0
            self._lanes.release()
            self._changed.notify_all()

    def stop(self) -> None:
        """Finish the requests in flight, within seconds, and stop.

        What is not answered by then is left to the end of the process: its attempt is known as one
        whose outcome nobody knows, and is repeated.
        """
        with self._changed:
            self._stopping = True
            self._workers.stop()
        self._woken.set()
        end = self._clock.monotonic() + STOP_S
        for thread in self._threads:
            thread.join(max(end - self._clock.monotonic(), 0))
        with self._changed:
            left = set(self._workers.stepping)
        for state in self._lanes.states:
            if state.sender.lane not in left:
                state.sender.close()
        if left:
            message = (
                "Requests without an answer were left; they are repeated after the next start."
            )
            self._tell(Event("egress.unanswered", message, {"lanes": len(left)}))
        self._frontiers.write()
        with self._changed:
            self._lane_teller.say_refused(last=True)

    def stalled(self, late_s: float, step_s: float) -> bool:
        """Whether it lives and does nothing: a look is so late, or a step has no end for so long."""
        with self._changed:
            now = self._clock.monotonic()
            begun = min(self._workers.stepping.values(), default=now)
            broken = self.broken is not None  # what ends a thread before a stop
            return broken or self._pulse.is_late(late_s) or now - begun > step_s

    def drain(self) -> Stuck | None:
        """Send until nothing is left or nothing moves; None, or why something is left.

        To be called between :meth:`start` and :meth:`stop`.
        """
        drain = Drain(
            self._spool,
            self._ledger,
            self._lanes,
            self._windows,
            self._changed,
            broken=lambda: self.broken,
            look=self._look,
            say=self._say,
        )
        return drain.run(LOOK_EVERY_S)

    def _guarded(self, job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the process must learn of it
            with self._changed:
                self.broken = error
                self._changed.notify_all()
            self._tell_ended()

    def _is_the_end(self, failure: BridgeError | OSError) -> bool:
        """Whether a new start mends it, and nothing else: a damaged ledger is then made anew."""
        is_corrupt = isinstance(failure, BridgeError) and failure.id == "ledger.corrupt"
        return is_corrupt and self._ledger.is_damaged

    def _after(
        self, state: LaneState, step: Step, failure: BridgeError | OSError | None, news: int
    ) -> None:
        lane = state.sender.lane
        self._lanes.done(state, step)
        if failure is not None:
            self._lane_teller.failed(state, failure)
            return
        state.failed, state.failures = None, 0
        if step.idle and news == state.news:
            state.idle = True
        else:
            self._frontiers.moved(lane)
        state.blocked = step.blocked
        state.keyless = step.blocked is not None
        self._lane_teller.stepped(lane, step)

    def _watch(self) -> None:
        while not self._stopping:
            every_s = self._look_every()
            self._pulse.turn(every_s)
            self._woken.wait(until_beat(every_s, 1))
            self._woken.clear()
            self._wake_if_asked()
            self._look()

    def _look_every(self) -> float:
        with self._changed:
            is_quiet = self._lanes.all_idle() and not self._frontiers.behind
        return self._quiet_s() if is_quiet else LOOK_EVERY_S

    def _wake_if_asked(self) -> None:
        asked = asked_at(self._spool)
        if asked != self._asked_at:
            self._asked_at = asked
            self.release()

    def _say(self) -> None:
        with self._looking:
            self._teller.say()

    def _look(self) -> None:
        """Find what is new, by the durable heads and the ledger alone."""
        with self._looking:
            self._find_news()
            self._frontiers.write_due()
            self._teller.say()
            with self._changed:
                self._lane_teller.say_refused()

    def _find_news(self) -> None:
        news = []
        for lane in self._news.lanes():
            if lane not in self._known and lane.stream in STREAMS:
                state = LaneState(self._new_sender(lane), STREAMS[lane.stream].rank)
                with self._changed:
                    self._known[lane] = state
                    self._lanes.states.append(state)
            if not self._news.may_be_in(lane):
                continue
            try:
                if self._news.look(lane):
                    news.append(lane)
                failure = None
            except (BridgeError, OSError) as error:
                failure = error
            if lane in self._known:
                with self._changed:
                    self._lane_teller.looked(self._known[lane], failure)
        news += self._ledger.pending_lanes(self._spool)
        held = {lane for lane in self._known if self._held(lane)}
        with self._changed:
            for lane in held:
                self._known[lane].idle = True
            for lane in news:
                if lane in self._known and lane not in held:
                    self._known[lane].idle = False
                    self._known[lane].news += 1
            for state in self._lanes.states:
                state.blocked = None
            if not self._lanes.all_idle():
                self._changed.notify_all()
