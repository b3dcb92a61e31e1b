"""Which lane goes next."""

from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import cast

from bridge.egress.backoff import Backoff
from bridge.egress.circuits import EVERYTHING, Circuits, Scope
from bridge.egress.lanes import BACKLOG_SHARE, Lanes, LaneState
from bridge.egress.ramp import Ramp
from bridge.egress.sender import Sender
from bridge.egress.step import Step
from tests.support.spools import HandClock


@dataclass(frozen=True)
class Scoped:
    """All that choosing asks of a sender."""

    scopes: tuple[Scope, ...] = (EVERYTHING, ("route", "r"))


def lane(rank: int, *, backlog: bool = False) -> LaneState:
    return LaneState(cast("Sender", Scoped()), rank, backlog=backlog)


def lanes(*states: LaneState, clock: HandClock | None = None) -> Lanes:
    clock = clock or HandClock()
    circuits = Circuits(clock.monotonic, lambda: Backoff(Random(1)))
    found = Lanes(circuits, Ramp(clock.monotonic), (), clock.monotonic)
    found.states += states
    return found


def turns(found: Lanes, count: int) -> list[LaneState]:
    """Who goes, if each step is over at once and leaves as much as there was."""
    chosen = []
    for _ in range(count):
        state = found.choose()
        assert state is not None
        chosen.append(state)
        found.done(state, Step(reached=True, answered=True, sent=1))
    return chosen


def test_billing_goes_before_usage_before_the_rest() -> None:
    billing, usage, logs = lane(0, backlog=True), lane(1), lane(2)
    found = lanes(logs, usage, billing)
    assert turns(found, 9) == [billing] * 9
    billing.idle = True
    assert turns(found, 9) == [usage] * 9
    usage.idle = True
    assert turns(found, 9) == [logs] * 9


def test_fresh_data_waits_for_no_backlog_and_the_backlog_has_its_share() -> None:
    old, new, newer = lane(2, backlog=True), lane(2), lane(2)
    found = lanes(old, new, newer)
    count = Counter(map(id, turns(found, 40 * BACKLOG_SHARE)))
    assert count[id(old)] == 40
    assert abs(count[id(new)] - count[id(newer)]) <= 1


def test_a_lane_that_becomes_ready_goes_at_the_next_turn_but_one() -> None:
    old, older, new = lane(2, backlog=True), lane(2, backlog=True), lane(2)
    new.idle = True
    found = lanes(old, older, new)
    for already in range(2 * BACKLOG_SHARE):
        turns(found, already)
        new.idle = False
        assert new in turns(found, 2)
        new.idle = True


def test_lanes_of_one_kind_go_in_turn() -> None:
    first, second, third = lane(2, backlog=True), lane(2, backlog=True), lane(2, backlog=True)
    assert turns(lanes(first, second, third), 6) == [first, second, third] * 2


def test_what_a_request_left_makes_a_backlog_until_it_is_gone() -> None:
    state = lane(2)
    found = lanes(state)
    for step, backlog in (
        (Step(reached=True, backlog=True), True),
        (Step(), True),
        (Step(reached=True, backlog=False), False),
        (Step(reached=True, backlog=True), True),
        (Step(idle=True), False),
    ):
        assert found.choose() is state
        found.done(state, step)
        assert state.backlog is backlog


def test_one_request_is_under_way_in_a_lane() -> None:
    state = lane(0)
    found = lanes(state)
    assert found.choose() is state
    assert found.choose() is None
    assert found.next_in() is None


def test_one_lane_probes_while_a_circuit_is_open() -> None:
    first, second = lane(0), lane(0)
    found = lanes(first, second)
    assert found.choose() is first
    found.done(first, Step(sent=1, trip=(EVERYTHING, "why", None)))
    wait = found.next_in()
    assert wait is not None
    assert wait > 0
    assert found.choose() is None


def of_route(path: str, rank: int) -> LaneState:
    scopes = (EVERYTHING, ("route", path), ("route", path, "license", "n"))
    return LaneState(cast("Sender", Scoped(scopes)), rank)


def minutes(found: Lanes, clock: HandClock, count: int, broken: LaneState) -> Counter[int]:
    """How often each lane goes, if each second something comes and ``broken`` gets no answer."""
    went: Counter[int] = Counter()
    for _ in range(60 * count):
        for each in found.states:
            each.idle = False
        while (state := found.choose()) is not None:
            went[id(state)] += 1
            if state is broken:
                found.done(state, Step(sent=1, trip=(EVERYTHING, "it broke", None)))
            else:
                found.done(state, Step(reached=True, answered=True, sent=1))
                state.idle = True
        clock.seconds += 1
    return went


def test_a_lane_that_breaks_each_connection_while_others_get_through_is_tried_ever_less() -> None:
    clock = HandClock()
    billing, broken = of_route("transactions", 0), of_route("traces", 2)
    found = lanes(broken, billing, clock=clock)
    went = minutes(found, clock, 10, broken)
    assert went[id(billing)] > 60 * 10 * 0.9
    assert 8 < went[id(broken)] < 60
    # Its way is free again: it goes like any other.
    clock.seconds += 120
    billing.idle, broken.idle = True, False
    assert turns(found, 1) == [broken]
    found.release()  # after an outage of minutes requests are spread
    assert minutes(found, clock, 1, lane(9))[id(broken)] == 60


def test_an_outage_of_everything_leaves_no_lane_waiting_by_itself() -> None:
    clock = HandClock()
    first, second = of_route("transactions", 0), of_route("traces", 2)
    found = lanes(first, second, clock=clock)
    for _ in range(10):
        clock.seconds += 60
        assert found.choose() is first
        found.done(first, Step(sent=1, trip=(EVERYTHING, "down", None)))
    clock.seconds += 61
    assert turns(found, 1) == [first]
    first.idle = True
    found.release()  # after an outage of minutes requests are spread
    assert turns(found, 2) == [second, second]
