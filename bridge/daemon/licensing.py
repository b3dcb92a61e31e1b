"""Keeps the licenses of a running bridge: asks for tokens in time, answers while nobody can be asked.

One thread asks for all nodes whose license this bridge holds, one request at a time, and notes the time
for the clock guard; in between it sleeps. What producers ask passes through, and what comes
back is kept for the day on which nothing does. Offline nothing is ever asked.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import inf
from random import Random

import orjson

from bridge.config.licensekeys import ONLINE_KEY, LicenseKeys
from bridge.daemon.calm import Calm
from bridge.daemon.noting import Noting
from bridge.daemon.tokens import OK, ask, take
from bridge.egress.client import BeaconClient
from bridge.egress.event import Event
from bridge.intake.passing import Passed, Verify
from bridge.license.judgement import Judgement, Licensed
from bridge.license.keeping import LicenseKeeper
from bridge.license.refreshing import START_MS, Refresh, read_refreshes, wait_ms, write_refreshes
from bridge.license.states import TABLE, State, Word
from bridge.license.states import Answer as Row
from keys.errors import BridgeError
from spool.clock import MS, Clock
from spool.durable import Disk, explained

LEARN_S = 1.0
"""Seconds that a producer waits for its token to be kept; a hanging disk must not cost the answer."""
AT_ONCE = 4
"""Threads that read and write tokens for producers."""


@dataclass
class _Plan:
    """When a node's token is asked for next (monotonic seconds), and what came of it so far."""

    due: float
    failures: int = 0
    got_at: int | None = None


class Licensing:
    """See the module. ``node`` is this one; ``licenses`` gives the license keys of now.

    Without a ``client`` there is no way out. ``tell`` gets events, from any thread. Whoever asks for a
    token ends a ``calm``.
    """

    def __init__(  # noqa: PLR0913 - what licensing needs, given once
        self,
        keeper: LicenseKeeper,
        node: str,
        licenses: Callable[[], LicenseKeys],
        client: BeaconClient | None,
        *,
        disk: Disk,
        clock: Clock,
        random: Random,
        tell: Callable[[Event], None],
        calm: Calm | None = None,
    ) -> None:
        self._keeper = keeper
        self._node = node
        self._licenses = licenses
        self._client = client
        self._disk = disk
        self._clock = clock
        self._random = random
        self._tell = tell
        self._spool = keeper.reader.spool
        self._plans: dict[str, _Plan] = {}
        self._refreshes = dict(read_refreshes(self._spool))
        self._states: dict[str, State] = {}
        self._calm = calm or Calm()
        self._noting = Noting(clock, self._calm)
        self._due = clock.monotonic()
        self._learned: Passed | None = None
        self._said_failed = ""
        self._stopping = False
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._run, name="license", daemon=True)
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="license")
        self.broken: BaseException | None = None

    def start(self) -> None:
        """Begin to look after the licenses."""
        self._thread.start()

    def stop(self) -> None:
        """End; a request that is under way ends by itself, and nobody waits for it."""
        self._stopping = True
        self._woken.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def answering(self, pass_on: Verify, licenses: LicenseKeys) -> Verify:
        """Answers license requests: what ``pass_on`` says; else what is kept and may be served."""
        own = licenses.accepted(self._node)

        async def answer(presented: str) -> Passed | None:
            self._calm.stir()
            loop = asyncio.get_running_loop()
            licensed = Licensed.by(own or [presented])
            passed = await pass_on(presented)
            if passed is None:
                return await loop.run_in_executor(self._pool, self._kept, licensed)
            if passed is not self._learned:  # several who asked at once get the same one
                self._learned = passed
                key = own[0] if own else presented
                learning = loop.run_in_executor(self._pool, self._learn, key, licensed, passed)
                await asyncio.wait({learning}, timeout=LEARN_S)
            return passed

        return answer

    def glance(self) -> None:
        """Have done what is due; to be called on the beat. Never waits."""
        self._due = self._next_due()
        self.glance_if_due()

    def glance_if_due(self) -> None:
        """The same, as far as the last glance knew when; in a calm no more is needed."""
        if self._clock.monotonic() >= self._due or self._noting.is_clock_set():
            self._due = self._next_due()
            if self._clock.monotonic() >= self._due:
                self._woken.set()

    def _next_due(self) -> float:
        return min((self._noting.due, *map(self._asks_at, self._licenses().nodes())))

    def _asks_at(self, node: str) -> float:
        plan = self._plans.get(node)
        if self._client is None:
            return inf
        if plan is None:
            return -inf
        return inf if self._key_to_ask_with(node) is None else plan.due

    def _key_to_ask_with(self, node: str) -> str | None:
        """None also where the license is an offline one: there is no token to ask for."""
        key = self._licenses().to_send(node)
        return key if key is not None and key.startswith(ONLINE_KEY) else None

    def look(self) -> None:
        """Ask for the tokens that are due, and note the time if it is time."""
        try:
            if self._clock.monotonic() >= self._noting.due:
                self._noting.begin()
                self._note()
            if self._client is not None:
                for node in self._licenses().nodes():
                    self._ask_if_due(self._client, node)
            self._said_failed = ""
            self._due = self._next_due()
        except (OSError, BridgeError) as error:
            self._failed(error)

    def _run(self) -> None:
        try:
            while True:
                self._woken.wait()
                self._woken.clear()
                if self._stopping:  # asked last: whoever stops it may have called a moment ago
                    return
                self.look()
        except BaseException as error:  # noqa: BLE001 - the daemon ends with it
            self.broken = error
            self._calm.stir()

    def _licensed(self, node: str) -> Licensed:
        return Licensed.by(self._licenses().accepted(node))

    def _has_failed(self, node: str) -> bool:
        """Whether the last request for a token brought none, or none is ever asked."""
        last = self._refreshes.get(node)
        return self._client is None or (last is not None and last.problem != "")

    def _judgement(self, node: str) -> Judgement:
        failed = self._has_failed(node)
        return self._keeper.reader.judgement(node, self._licensed(node), refresh_failed=failed)

    def _note(self) -> None:
        nodes = tuple(dict.fromkeys((self._node, *self._licenses().nodes())))
        noted = self._keeper.note(nodes)
        if not noted.in_order:
            message = "The anchors of the clock guard were damaged or gone; they were made anew."
            self._tell(Event("license.anchors_lost", message))
        ends_in = []
        for node, seen in zip(nodes, noted.seen, strict=True):
            found = self._keeper.reader.judged(
                seen, self._licensed(node), refresh_failed=self._has_failed(node)
            )
            if found.expires_at is not None and found.expires_at > found.at:
                ends_in.append(found.expires_at - found.at)
            before = self._states.get(node, State.NONE)
            self._states[node] = found.state
            if found.state is not before:
                row = TABLE[found.state]
                name = "license.problem" if found.word is Word.NEEDS_YOU else "license.state"
                said = f"The license token of {node} is {found.state}: {row.meaning}."
                self._tell(Event(name, said, {"node": node, "state": str(found.state)}))
                self._hurry(node, found)
        self._noting.done(min(ends_in, default=None))

    def _hurry(self, node: str, found: Judgement) -> None:
        """What was served and is not any more may be had anew, long before it was planned."""
        plan = self._plans.get(node)
        if plan is not None and not found.served and not plan.failures:
            plan.due = min(plan.due, self._clock.monotonic())

    def _ask_if_due(self, client: BeaconClient, node: str) -> None:
        now = self._clock.monotonic()
        plan = self._plans.get(node)
        if plan is None:
            start = self._random.uniform(*START_MS) / MS
            plan = self._plans[node] = _Plan(now + start)
        key = self._key_to_ask_with(node)
        if now < plan.due or key is None:
            return
        found = self._judgement(node)
        if found.served and found.got_at != plan.got_at:
            # Another one brought it: a producer, a person, or the process before this one.
            plan.failures = 0
            self._plan(plan, found)
            if self._clock.monotonic() < plan.due:
                self._say(node, "", plan.due)
                return
        problem = ask(client, self._keeper, node, key, self._licensed(node))
        plan.failures = plan.failures + 1 if problem else 0
        self._plan(plan, self._judgement(node))
        self._say(node, problem, plan.due)

    def _plan(self, plan: _Plan, found: Judgement) -> None:
        """The next request after one, or from when the token came on."""
        now = self._clock.monotonic()
        plan.got_at = found.got_at
        if plan.failures or found.expires_at is None or found.got_at is None:
            wait = wait_ms(None, plan.failures, self._random)
        else:
            from_then = wait_ms(found.expires_at - found.got_at, 0, self._random)
            wait = max(from_then - (found.at - found.got_at), 0)
        plan.due = now + wait / MS

    def _say(self, node: str, problem: str, due: float) -> None:
        at = self._clock.wall_ms()
        next_at = at + int((due - self._clock.monotonic()) * MS)
        self._refreshes[node] = Refresh(at, problem, next_at)
        write_refreshes(self._disk, self._spool, self._refreshes)

    def _learn(self, key: str, licensed: Licensed, passed: Passed) -> None:
        """Keep what came back to a producer."""
        try:
            take(self._keeper, self._node, key, licensed, passed.status, passed.body)
        except (OSError, BridgeError) as error:
            self._failed(error)

    def _kept(self, licensed: Licensed) -> Passed | None:
        """What is kept, as an answer; None where nothing may be served."""
        try:
            found = self._keeper.reader.judgement(self._node, licensed)
        except (OSError, BridgeError) as error:
            self._failed(error)
            return None
        if found.token is not None:
            return Passed(OK, orjson.dumps({"token": found.token}))
        if TABLE[found.state].answer is Row.REFUSAL:
            said = {
                "error": "license.denied",
                "message": "The beacon refused this license when it was last asked.",
                "hint": TABLE[found.state].hint,
            }
            return Passed(found.refused or 403, orjson.dumps(said))
        return None

    def _failed(self, error: OSError | BridgeError) -> None:
        known = explained(error, "keep the license token") if isinstance(error, OSError) else error
        if known.message != self._said_failed:
            self._said_failed = known.message
            self._tell(Event("license.failed", known.message, {"error": known.id}))
