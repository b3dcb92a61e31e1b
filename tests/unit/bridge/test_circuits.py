"""Who may try while something is closed: one request at a time, after each step of back-off."""

from random import Random

from bridge.egress.backoff import LONGEST_S, Backoff
from bridge.egress.circuits import EVERYTHING, Circuits, Scope
from tests.support.spools import HandClock

ROUTE: Scope = ("route", "/a")
OTHER: Scope = ("route", "/b")


def circuits() -> tuple[HandClock, Circuits]:
    clock = HandClock()
    return clock, Circuits(clock.monotonic, lambda: Backoff(Random(1)))


def ready(found: Circuits, *scopes: Scope) -> bool:
    wait = found.wait(scopes)
    return wait is not None and wait <= 0


def test_while_a_circuit_is_open_one_request_probes_it() -> None:
    clock, found = circuits()
    found.trip(EVERYTHING, "why", None)
    clock.seconds += LONGEST_S
    assert ready(found, EVERYTHING, ROUTE)
    probed = found.begin((EVERYTHING, ROUTE))
    assert probed == {EVERYTHING}
    assert found.wait((EVERYTHING, OTHER)) is None
    found.end(probed)
    assert found.wait((EVERYTHING, OTHER)) is not None


def test_what_was_under_way_before_makes_no_room_for_a_second_probe() -> None:
    clock, found = circuits()
    early = found.begin((EVERYTHING, OTHER))
    found.trip(EVERYTHING, "why", None)
    clock.seconds += LONGEST_S
    found.begin((EVERYTHING, ROUTE))
    found.end(early)
    assert found.wait((EVERYTHING, OTHER)) is None


def test_what_fails_with_the_circuit_is_no_further_step_of_back_off() -> None:
    clock, found = circuits()
    for _ in range(4):
        found.trip(EVERYTHING, "why", None, frozenset())
    assert found.hopeless((EVERYTHING,), 2) is None
    clock.seconds += LONGEST_S
    probed = found.begin((EVERYTHING,))
    found.end(probed)
    found.trip(EVERYTHING, "why", None, probed)
    assert found.hopeless((EVERYTHING,), 2) is not None


def test_what_was_asked_for_is_a_floor_whoever_was_told() -> None:
    _, found = circuits()
    found.trip(EVERYTHING, "why", None)
    assert found.trip(EVERYTHING, "why", 500.0) >= 500.0
    assert (found.wait((EVERYTHING,)) or 0.0) >= 500.0


def test_closing_tells_for_how_long_it_was_open() -> None:
    clock, found = circuits()
    found.trip(ROUTE, "why", None)
    clock.seconds += 100
    found.trip(EVERYTHING, "why", None)
    clock.seconds += 20
    assert found.close((EVERYTHING, ROUTE)) == 120
    assert found.close((EVERYTHING, ROUTE)) == 0
    assert found.wait((EVERYTHING, ROUTE)) == 0
