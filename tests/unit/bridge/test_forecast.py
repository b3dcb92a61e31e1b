"""Forecasts follow from rates alone, and where nothing follows they say nothing."""

import pytest

from bridge.cli.watching import Drain
from bridge.egress.limits import Rate
from bridge.operate.forecast import Forecast, Rates, forecast
from bridge.operate.progress import BEGIN_MS, STUCK_MS, UNTRIED_MS, Backlog, no_progress
from bridge.operate.sentence import duration
from spool.ledger_activity import Activity
from spool.totals import NOTHING, Totals
from tests.support.spools import HandClock

AT = 1_795_424_400_000
HOUR = 3_600_000


def test_with_nothing_leaving_the_spool_is_full_when_what_comes_has_used_the_room() -> None:
    rates = Rates(taken=1000.0, stored=100.0, sent=None)
    said = forecast(AT, rates, pending=5000, room=360_000, droppable=True)
    assert said == Forecast(AT + HOUR, AT + HOUR, None)


def test_where_only_billing_waits_nothing_is_ever_dropped() -> None:
    rates = Rates(taken=1000.0, stored=100.0, sent=None)
    said = forecast(AT, rates, pending=5000, room=360_000, droppable=False)
    assert said.full_at is not None
    assert said.drop_at is None


def test_a_backlog_that_shrinks_is_drained_by_the_difference_and_fills_nothing() -> None:
    rates = Rates(taken=100.0, stored=10.0, sent=1100.0)
    said = forecast(AT, rates, pending=3_600_000, room=1, droppable=True)
    assert said == Forecast(None, None, AT + HOUR)


def test_a_backlog_that_grows_although_it_is_sent_fills_the_spool_by_the_difference() -> None:
    rates = Rates(taken=1000.0, stored=100.0, sent=500.0)
    said = forecast(AT, rates, pending=1, room=180_000, droppable=False)
    assert said == Forecast(AT + HOUR, None, None)


@pytest.mark.parametrize(
    "rates", [Rates(None, None, None), Rates(0.0, 0.0, None), Rates(1e-9, 1e-9, None)]
)
def test_nobody_knows_what_no_rate_says(rates: Rates) -> None:
    said = forecast(AT, rates, pending=10, room=10**12, droppable=True)
    assert said == Forecast(None, None, None)


def test_a_spool_without_room_is_full_now() -> None:
    said = forecast(AT, Rates(1.0, 1.0, None), pending=0, room=-5, droppable=True)
    assert said.full_at == AT


def _activity(delivered_at: int | None, attempted_at: int | None) -> Activity:
    return Activity(AT - HOUR, NOTHING, delivered_at, attempted_at)


OLD = Backlog(12, AT - 10 * HOUR)


@pytest.mark.parametrize(
    ("state", "activity", "since", "stuck"),
    [
        ("up", _activity(None, None), AT - HOUR, True),
        ("idle", _activity(AT - STUCK_MS, AT), AT - HOUR, True),
        ("up", _activity(AT - STUCK_MS + 1, None), AT - HOUR, False),
        ("up", _activity(None, None), AT - BEGIN_MS + 1, False),
        ("down", _activity(None, AT - 60_000), AT - 9 * HOUR, False),
        ("down", _activity(None, AT - UNTRIED_MS), AT - 9 * HOUR, True),
        ("down", _activity(None, None), AT - HOUR, False),
        ("paused", _activity(None, None), AT - 9 * HOUR, False),
        ("offline", _activity(None, None), AT - 9 * HOUR, False),
    ],
)
def test_backlog_without_progress_is_a_problem_and_an_outage_is_not(
    state: str, activity: Activity, since: int, *, stuck: bool
) -> None:
    problem = no_progress(AT, OLD, activity, state=state, since=since)
    assert (problem is not None) is stuck
    if problem is not None:
        assert problem.id == "egress.no_progress"
        assert problem.message.startswith("12 records wait since ")


def test_the_silence_after_a_large_record_at_a_low_rate_is_progress_and_what_follows_it_is_not() -> (
    None
):
    per_s, size = 1024, 8 * 1024 * 1024
    clock = HandClock()
    rate = Rate(per_s, 64 * 1024, clock.monotonic)
    rate.begin()
    rate.end(size, 1, reached=True)
    silence = int(rate.wait() * 1000)
    assert silence > 2 * HOUR
    for kept, refused in ((per_s, False), (None, False), (per_s, True)):
        sent_at = AT - silence
        activity = Activity(
            AT - HOUR,
            NOTHING,
            None if refused else sent_at,
            sent_at,
            Totals(1, size),
            sent_at,
        )

        def alarm(at: int, activity: Activity = activity, kept: int | None = kept) -> bool:
            found = no_progress(at, OLD, activity, state="up", since=AT - 9 * HOUR, rate=kept)
            return found is not None

        assert alarm(AT) is (kept is None)
        assert alarm(AT + STUCK_MS - 1000) is (kept is None)
        assert alarm(AT + STUCK_MS + 2000)


def test_what_waits_for_minutes_only_is_no_backlog() -> None:
    young = Backlog(12, AT - STUCK_MS + 1)
    assert no_progress(AT, young, _activity(None, None), state="up", since=AT - HOUR) is None


@pytest.mark.parametrize(
    ("ms", "said"),
    [
        (-5, "0 s"),
        (59_999, "59 s"),
        (60_000, "1 min"),
        (3_600_000, "1 h"),
        (5_400_000, "1 h 30 min"),
        (90_000_000, "1 d 1 h"),
    ],
)
def test_a_duration_is_said_in_two_units_at_most(ms: int, said: str) -> None:
    assert duration(ms) == said


def test_a_drain_says_its_rate_and_the_time_left_once_it_has_seen_both() -> None:
    drain = Drain()
    assert drain.look(10_000, 0, 100.0) == "10,000 records pending, 0 delivered"
    line = drain.look(8_000, 2_000, 101.0)
    assert line == "8,000 records pending, 2,000 delivered, 2,000 a second, 4 s left"
    assert drain.look(0, 10_000, 102.0).endswith("10,000 delivered, 5,000 a second")


def test_a_backlog_that_grows_has_no_time_left_to_tell() -> None:
    drain = Drain()
    drain.look(10, 0, 1.0)
    assert "left" not in drain.look(20, 5, 2.0)
