"""After an outage of many bridges the beacon is not felled by their backlogs: a simulation.

Lanes, circuits, back-off and ramp are the real ones; the clock and the beacon are not. Each bridge has
three lanes in which something to send comes every ten seconds; a request carries five of these.
"""

import heapq
from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import cast

import pytest

from bridge.egress.backoff import Backoff
from bridge.egress.circuits import EVERYTHING, Circuits, Scope
from bridge.egress.lanes import Lanes, LaneState
from bridge.egress.ramp import DOUBLING_S, OUTAGE_S, STEADY_MIN, Ramp
from bridge.egress.sender import Sender
from bridge.egress.step import Step
from tests.support.spools import HandClock

BRIDGES = 200
EVERY_S = 10.0
CARRIES = 5
DOWN_AT, UP_AT, END = 900.0, 1500.0, 2700.0
BIN_S = 10.0
STREAMS = (("transactions", 0), ("logs", 2), ("traces", 2))


@dataclass(frozen=True)
class Scoped:
    """All that choosing asks of a sender."""

    scopes: tuple[Scope, ...]


class NoRamp(Ramp):
    """The control."""

    def recovered(self, open_for: float) -> None:
        del open_for


class Bridge:
    """One bridge: what waits in its lanes, and the objects that decide when it goes."""

    def __init__(self, clock: HandClock, seed: int, ramp: Ramp) -> None:
        random = Random(seed)
        self.clock = clock
        self.circuits = Circuits(clock.monotonic, lambda: Backoff(random))
        self.lanes = Lanes(self.circuits, ramp, (), clock.monotonic)
        self.waiting: dict[int, int] = {}
        self.comes: list[float] = []
        for name, rank in STREAMS:
            route = ("route", name)
            scopes = (EVERYTHING, route, ("license", "n"), (*route, "license", "n"))
            state = LaneState(cast("Sender", Scoped(scopes)), rank, idle=True)
            self.waiting[id(state)] = 0
            self.comes.append(random.uniform(0, EVERY_S))
            self.lanes.states.append(state)

    def turn(self, *, up: bool) -> int:
        """Take what came, send what may go; how many requests that were."""
        now = self.clock.seconds
        for index, lane in enumerate(self.lanes.states):
            while self.comes[index] <= now:
                self.comes[index] += EVERY_S
                self.waiting[id(lane)] += 1
                lane.idle = False
        requests = 0
        while (state := self.lanes.choose()) is not None:
            requests += 1
            if up:
                left = max(self.waiting[id(state)] - CARRIES, 0)
                self.waiting[id(state)] = left
                state.idle = not left
                step = Step(reached=True, answered=True, sent=1, backlog=bool(left))
            else:
                step = Step(sent=1, trip=(EVERYTHING, "connection refused", None))
            self.lanes.done(state, step)
        return requests

    def next_at(self) -> float:
        """When something may change."""
        wait = self.lanes.next_in()
        times = list(self.comes) if wait is None else [*self.comes, self.clock.seconds + wait]
        return max(min(times), self.clock.seconds + 1e-3)


def simulate(kind: type[Ramp]) -> tuple[Counter[int], list[Bridge]]:
    """Requests in each ten seconds."""
    clock = HandClock(seconds=0.0)
    bridges = [Bridge(clock, seed, kind(clock.monotonic)) for seed in range(BRIDGES)]
    queue = [(0.0, number) for number in range(BRIDGES)]
    bins: Counter[int] = Counter()
    while queue:
        clock.seconds, number = heapq.heappop(queue)
        if clock.seconds >= END:
            break
        bridge = bridges[number]
        requests = bridge.turn(up=not DOWN_AT <= clock.seconds < UP_AT)
        bins[int(clock.seconds // BIN_S)] += requests
        heapq.heappush(queue, (bridge.next_at(), number))
    return bins, bridges


def peak(bins: Counter[int], begin: float, end: float) -> int:
    return max(bins[n] for n in range(int(begin // BIN_S), int(end // BIN_S)))


STEADY = BRIDGES * len(STREAMS) * BIN_S / EVERY_S


def test_ten_minutes_after_which_all_come_back_are_no_more_than_twice_the_usual() -> None:
    bins, bridges = simulate(Ramp)
    usual = sum(bins[n] for n in range(30, 90)) / 60
    assert usual == pytest.approx(STEADY, rel=0.01)
    # While it is down, one probe a bridge every half minute or so.
    assert peak(bins, DOWN_AT + 120, UP_AT) < usual / 2
    assert peak(bins, UP_AT, END) <= 2 * usual
    assert sum(sum(bridge.waiting.values()) for bridge in bridges) < BRIDGES * len(STREAMS)


def test_without_the_ramp_they_are_more() -> None:
    bins, _ = simulate(NoRamp)
    assert peak(bins, UP_AT, END) > 2 * STEADY


def ramp_at(steady_every: float) -> tuple[HandClock, Ramp]:
    """A ramp that saw a request every so many seconds for half an hour."""
    clock = HandClock(seconds=0.0)
    ramp = Ramp(clock.monotonic)
    while clock.seconds < 1800:
        clock.seconds += steady_every
        ramp.begin()
        ramp.end(1, 0, reached=True)
    return clock, ramp


def rate(clock: HandClock, ramp: Ramp, seconds: float) -> float:
    """Requests a second for so long, by somebody who always has something to send."""
    end = clock.seconds + seconds
    count = 0
    while clock.seconds < end:
        clock.seconds += max(ramp.wait(), 1e-3)
        ramp.begin()
        ramp.end(1, 0, reached=False)
        count += 1
    return count / seconds


def test_a_ramp_begins_at_what_was_usual_and_doubles() -> None:
    clock, ramp = ramp_at(2.0)
    clock.seconds += 3600
    ramp.recovered(3600)
    assert rate(clock, ramp, 60) == pytest.approx(0.5, rel=0.15)
    clock.seconds += DOUBLING_S - 60
    assert rate(clock, ramp, 60) == pytest.approx(1.0, rel=0.15)
    clock.seconds += DOUBLING_S * 20
    assert ramp.wait() == 0


def test_a_short_outage_and_a_person_need_no_ramp() -> None:
    _, ramp = ramp_at(2.0)
    ramp.recovered(OUTAGE_S - 1)
    assert ramp.wait() == 0
    ramp.recovered(OUTAGE_S)
    assert ramp.wait() > 0
    ramp.release()
    assert ramp.wait() == 0


def test_a_process_that_knows_nothing_begins_slowly() -> None:
    clock = HandClock()
    ramp = Ramp(clock.monotonic)
    clock.seconds += 600
    ramp.recovered(600)
    assert ramp.wait() == pytest.approx(1 / STEADY_MIN)
