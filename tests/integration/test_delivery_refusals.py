"""A hundred records refused in a row: it is not the records."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bridge.egress.refusals import ASIDE_MAX, REFUSED_MAX, Refusals
from bridge.egress.routes import ROUTES
from bridge.egress.step import Step
from spool.clock import SYSTEM_CLOCK
from spool.ledger import Ledger, SegmentSums, State
from spool.totals import NOTHING, Totals
from spool.waking import ask_to_wake
from tests.support.judging import Asked, judging
from tests.support.sending import Sending, fill, running_engine, sending
from tests.support.spools import wait_until

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


def test_once_a_person_wants_it_sent_bad_records_are_set_aside_without_a_pause(
    tmp_path: Path,
) -> None:
    lane = fill(tmp_path, "transactions", 3, 70)
    bad = set(range(200))
    with refusing(lambda found: bool(found & bad)) as (url, _), sending(lane, url) as out:
        steps_until(out, lambda step: step.trip is not None)
        assert out.sender.wanted() == ROUTE
        steps = steps_until(out, lambda step: step.idle)
        assert all(step.trip is None for step in steps)
        assert out.records() == {State.DELIVERED: 10, State.QUARANTINED: 200}
        assert out.sender.wanted() is None  # nothing is paused any more


def test_of_a_lane_that_a_person_wants_sent_what_lies_behind_the_bad_records_leaves_at_once(
    tmp_path: Path,
) -> None:
    fill(tmp_path, "transactions", 3, 70)
    bad = set(range(200))
    with (
        refusing(lambda found: bool(found & bad)) as (url, taken),
        running_engine(tmp_path, url) as running,
    ):
        wait_until(lambda: any(event.name == "egress.paused" for event in running.events), 60)
        assert taken == []
        ask_to_wake(tmp_path)
        settled = {State.DELIVERED: 10, State.QUARANTINED: 200}
        wait_until(
            lambda: {s: n for s, n in running.ledger.counts()[0].records.items() if n} == settled,
            60,
        )


def test_a_wish_sets_aside_so_many_and_then_it_is_the_route_again(tmp_path: Path) -> None:
    lane = fill(tmp_path, "transactions", 1, 1)
    with Ledger.open(tmp_path, clock=SYSTEM_CLOCK) as ledger:
        refusals = Refusals(ledger, tmp_path, "transactions")
        sums = SegmentSums(1, NOTHING, Totals(ASIDE_MAX, 0))
        assert not refusals.wanted()
        assert not any(refusals.refused(lane, sums, line) for line in range(ASIDE_MAX))
        row = [refusals.refused(lane, sums, ASIDE_MAX + n) for n in range(REFUSED_MAX)]
        assert row == [False] * (REFUSED_MAX - 1) + [True]
        assert refusals.wanted()


def test_a_wish_is_over_when_a_route_has_taken_so_many_requests(tmp_path: Path) -> None:
    # A replay while all was well had a route that broke weeks later put a thousand aside for good.
    lane = fill(tmp_path, "transactions", 1, 1)
    with Ledger.open(tmp_path, clock=SYSTEM_CLOCK) as ledger:
        refusals = Refusals(ledger, tmp_path, "transactions")
        assert not refusals.wanted()
        for _ in range(ASIDE_MAX):
            refusals.taken()
        sums = SegmentSums(1, NOTHING, Totals(REFUSED_MAX, 0))
        row = [refusals.refused(lane, sums, line) for line in range(REFUSED_MAX)]
        assert row == [False] * (REFUSED_MAX - 1) + [True]
