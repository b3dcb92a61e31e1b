"""How long the waits are."""

from random import Random

import pytest

from bridge.egress.backoff import LONGEST_S, STEP_S, Backoff


class Highest(Random):
    """Always the upper end."""

    def uniform(self, a: float, b: float) -> float:
        del a
        return b


def test_the_longest_wait_doubles_up_to_a_minute() -> None:
    backoff = Backoff(Highest())
    waits = [backoff.failed() for _ in range(9)]
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_a_year_of_failures_is_no_trouble() -> None:
    backoff = Backoff(Highest())
    assert {backoff.failed() for _ in range(100_000)} <= {1, 2, 4, 8, 16, 32, LONGEST_S}


def test_waits_are_spread_over_the_whole_interval() -> None:
    random = Random(1)
    waits = [Backoff(random).failed() for _ in range(2000)]
    assert 0 <= min(waits) < STEP_S / 20
    assert STEP_S * 0.95 < max(waits) <= STEP_S
    assert sum(waits) / len(waits) == pytest.approx(STEP_S / 2, rel=0.1)


@pytest.mark.parametrize("floor", [0.0, 7.0, 3600.0])
def test_nobody_comes_back_before_the_floor_and_not_all_at_once(floor: float) -> None:
    random = Random(2)
    waits = {Backoff(random).failed(floor) for _ in range(100)}
    assert floor <= min(waits)
    assert max(waits) <= floor + STEP_S
    assert len(waits) == 100


def test_one_counter_knows_nothing_of_another() -> None:
    first, second = Backoff(Highest()), Backoff(Highest())
    first.failed()
    first.failed()
    assert second.failed() == STEP_S
