"""A hundred records refused in a row: it is not the records."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bridge.egress.refusals import REFUSED_MAX
from bridge.egress.routes import ROUTES
from bridge.egress.sender import Step
from spool.ledger import State
from tests.support.judging import Asked, judging
from tests.support.sending import Sending, fill, sending

pytestmark = pytest.mark.enable_socket
ROUTE = ("route", ROUTES["transactions"].path)


@contextmanager
def refusing(refuses: Callable[[set[int]], bool]) -> Iterator[tuple[str, list[Asked]]]:
    """A beacon that refuses requests by the numbers in them."""

    def judge(asked: Asked) -> tuple[int, bytes]:
        found = numbers(asked)
        if refuses(found):
            return 400, b'{"error":"no"}'
        return 200, b'{"inserted_count":%d}' % len(found)

    with judging(judge) as running:
        yield running


def numbers(asked: Asked) -> set[int]:
    return {int(found) for found in re.findall(rb'"id":"(\d+)"', asked.body)}


def steps_until(out: Sending, true: Callable[[Step], bool], most: int = 2000) -> list[Step]:
    """Steps up to the first that is as asked for."""
    steps: list[Step] = []
    while not steps or not true(steps[-1]):
        assert len(steps) < most
        steps.append(out.sender.step())
    return steps


def test_what_a_route_refuses_in_a_row_goes_back_and_the_route_pauses(tmp_path: Path) -> None:
    lane = fill(tmp_path, "transactions", 3, 70)
    with refusing(lambda _: True) as (url, taken), sending(lane, url) as out:
        steps = steps_until(out, lambda step: step.trip is not None)
        assert sum(step.refused for step in steps) == REFUSED_MAX
        assert steps[-1].trip is not None
        scope, reason, _ = steps[-1].trip
        assert scope == ROUTE
        assert "refused in a row with status 400" in reason
        assert out.records() == {State.PENDING: 210}
        assert out.ledger.exceptions(lane) == []
        # Each further refusal is a failed probe.
        assert all(out.sender.step().trip is not None for _ in range(10))
    assert taken == []


def test_when_the_route_takes_again_nothing_of_it_is_left_refused(tmp_path: Path) -> None:
    lane = fill(tmp_path, "transactions", 3, 70)
    is_broken = [True]
    with refusing(lambda _: is_broken[0]) as (url, taken), sending(lane, url) as out:
        steps_until(out, lambda step: step.trip is not None)
        # What is refused alone while it is paused is an exception for as long.
        steps_until(out, lambda step: step.refused)
        assert len(out.ledger.exceptions(lane)) == 1
        is_broken[0] = False
        steps_until(out, lambda step: step.idle)
        assert out.records() == {State.DELIVERED: 210}
        assert out.ledger.exceptions(lane) == []
    assert sorted(n for asked in taken for n in numbers(asked)) == list(range(210))


def test_more_bad_records_side_by_side_than_are_counted_hold_up_nothing_for_ever(
    tmp_path: Path,
) -> None:
    lane = fill(tmp_path, "transactions", 3, 70)
    bad = set(range(20, 20 + REFUSED_MAX + 30))
    with refusing(lambda found: bool(found & bad)) as (url, taken), sending(lane, url) as out:
        steps_until(out, lambda step: step.idle)
        assert out.records() == {State.DELIVERED: 80, State.QUARANTINED: 130}
        refused = {each.seq * 70 - 70 + each.line for each in out.ledger.exceptions(lane)}
        assert refused == bad
    assert sorted(n for asked in taken for n in numbers(asked)) == [
        n for n in range(210) if n not in bad
    ]


def test_something_taken_between_begins_the_count_anew(tmp_path: Path) -> None:
    lane = fill(tmp_path, "transactions", 2, 120)
    with (
        refusing(lambda found: any(n % 2 for n in found)) as (url, _),
        sending(lane, url) as out,
    ):
        steps = steps_until(out, lambda step: step.idle)
        assert all(step.trip is None for step in steps)
        assert out.records() == {State.DELIVERED: 120, State.QUARANTINED: 120}


def test_what_was_refused_before_a_restart_goes_back_when_the_route_takes_again(
    tmp_path: Path,
) -> None:
    lane = fill(tmp_path, "transactions", 3, 70)
    is_broken = [True]
    with refusing(lambda _: is_broken[0]) as (url, taken):
        with sending(lane, url) as out:
            for _ in range(60):
                steps_until(out, lambda step: step.refused)
            assert len(out.ledger.exceptions(lane)) == 60
        with sending(lane, url) as out:
            # They may have been final: they do not count towards the next hundred.
            steps = steps_until(out, lambda step: step.trip is not None)
            assert sum(step.refused for step in steps) == REFUSED_MAX
            is_broken[0] = False
            steps_until(out, lambda step: step.idle)
            assert out.records() == {State.DELIVERED: 210}
            assert out.ledger.exceptions(lane) == []
    assert sorted(n for asked in taken for n in numbers(asked)) == list(range(210))


def test_what_was_refused_in_a_pause_goes_out_again_after_a_restart(tmp_path: Path) -> None:
    lane = fill(tmp_path, "transactions", 3, 70)
    is_broken = [True]
    with refusing(lambda _: is_broken[0]) as (url, taken):
        with sending(lane, url) as out:
            steps_until(out, lambda step: step.trip is not None)
            steps_until(out, lambda step: step.refused)
            steps_until(out, lambda step: step.refused)
            assert len(out.ledger.exceptions(lane)) == 2
        is_broken[0] = False
        with sending(lane, url) as out:
            steps_until(out, lambda step: step.idle)
            assert out.records() == {State.DELIVERED: 210}
    assert sorted(n for asked in taken for n in numbers(asked)) == list(range(210))


def test_a_bad_record_that_was_refused_before_a_restart_is_sent_once_more_and_no_oftener(
    tmp_path: Path,
) -> None:
    lane = fill(tmp_path, "transactions", 2, 4)
    seen: list[set[int]] = []

    def refuses(found: set[int]) -> bool:
        seen.append(found)
        return 2 in found

    with refusing(refuses) as (url, _):
        with sending(lane, url) as out:
            steps_until(out, lambda step: step.refused)
        for _ in range(3):
            with sending(lane, url) as out:
                steps_until(out, lambda step: step.idle)
                assert out.records() == {State.DELIVERED: 7, State.QUARANTINED: 1}
    assert seen.count({2}) == 2
