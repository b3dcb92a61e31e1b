"""How fast, and at which hours."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.egress.limits import RATE_SPAN_S, REQUEST_LEAST, Pace, Rate, RecordRate, request_max
from bridge.egress.windows import DAY_MS, Window, Windows
from tests.support.spools import HandClock

MIB = 1 << 20
HOUR_MS = 3_600_000
MIDNIGHT = 1_795_392_000_000
"""Mon, 23 Nov 2026 00:00:00 GMT."""


@given(st.lists(st.integers(1, 4 * MIB), min_size=1, max_size=40), st.integers(1024, 8 * MIB))
def test_never_more_than_the_rate_allows_and_one_request(sizes: list[int], per_s: int) -> None:
    clock = HandClock(seconds=0.0)
    rate = Rate(per_s, 4 * MIB, clock.monotonic)
    sent = 0
    for size in sizes:
        clock.seconds += rate.wait()
        assert sent <= per_s * (clock.seconds + RATE_SPAN_S) + 1
        rate.begin()
        rate.end(size, 0, reached=True)
        sent += size


def test_a_request_larger_than_a_seconds_worth_goes_whole_and_silence_follows() -> None:
    clock = HandClock(seconds=0.0)
    rate = Rate(100 * 1024, 4 * MIB, clock.monotonic)
    assert rate.wait() == 0
    rate.begin()
    rate.end(4 * MIB, 0, reached=True)
    assert rate.wait() == pytest.approx(4 * MIB / (100 * 1024) - RATE_SPAN_S)


def test_while_the_size_of_one_is_not_known_the_largest_is_counted() -> None:
    clock = HandClock(seconds=0.0)
    rate = Rate(MIB, MIB, clock.monotonic)
    rate.begin()
    rate.begin()
    assert rate.wait() == pytest.approx(1.0)
    rate.end(0, 0, reached=False)
    rate.end(0, 0, reached=False)
    assert rate.wait() == 0


@pytest.mark.parametrize(
    ("configured", "per_s", "found"),
    [
        (4 * MIB, None, 4 * MIB),
        (4 * MIB, 100 * MIB, 4 * MIB),
        (4 * MIB, MIB, MIB),
        (4 * MIB, 1024, REQUEST_LEAST),
    ],
)
def test_a_low_rate_makes_requests_of_a_seconds_worth(
    configured: int, per_s: int | None, found: int
) -> None:
    assert request_max(configured, Pace(per_s)) == found


@pytest.mark.parametrize(
    ("text", "hour", "opens_in_h"),
    [
        ("22:00-04:00", 21, 1),
        ("22:00-04:00", 22, 0),
        ("22:00-04:00", 0, 0),
        ("22:00-04:00", 3, 0),
        ("22:00-04:00", 4, 18),
        ("09:00-17:00", 8, 1),
        ("09:00-17:00", 9, 0),
        ("09:00-17:00", 16, 0),
        ("09:00-17:00", 17, 16),
        ("00:00-12:00", 0, 0),
        ("12:00-00:00", 23, 0),
        ("12:00-00:00", 0, 12),
    ],
)
def test_a_window_begins_and_ends_on_time_and_may_wrap(
    text: str, hour: int, opens_in_h: int
) -> None:
    assert Window.parse(text).opens_in(MIDNIGHT + hour * HOUR_MS) == opens_in_h * HOUR_MS


def test_a_window_is_open_up_to_its_last_millisecond() -> None:
    window = Window.parse("22:00-04:00")
    end = MIDNIGHT + 4 * HOUR_MS
    assert window.opens_in(end - 1) == 0
    assert window.opens_in(end) == 18 * HOUR_MS


@given(st.integers(0, 10**13), st.integers(0, 1439), st.integers(0, 1439))
def test_a_window_that_is_waited_for_is_open(at: int, first: int, last: int) -> None:
    texts = [f"{n // 60:02d}:{n % 60:02d}" for n in (first, last)]
    if first == last:
        with pytest.raises(ValueError, match="-"):
            Window.parse("-".join(texts))
        return
    window = Window.parse("-".join(texts))
    wait = window.opens_in(at)
    assert 0 <= wait < DAY_MS
    assert window.opens_in(at + wait) == 0


@pytest.mark.parametrize("text", ["", "22-04", "24:00-01:00", "22:00-04:60", "22:00 - 04:00", "x"])
def test_another_form_is_no_window(text: str) -> None:
    with pytest.raises(ValueError, match=r"^"):
        Window.parse(text)


def test_of_several_windows_the_next_counts_and_a_stepped_clock_is_obeyed() -> None:
    clock = HandClock(wall=MIDNIGHT + 5 * HOUR_MS)
    windows = Windows([Window.parse("22:00-04:00"), Window.parse("12:00-13:00")], clock.wall_ms)
    assert windows.wait() == 7 * 3600
    assert str(windows.closed) == "window: nothing is sent before 12:00 UTC"
    clock.wall += 7 * HOUR_MS
    assert windows.wait() == 0
    assert windows.closed is None
    clock.wall -= 3650 * DAY_MS + HOUR_MS
    assert windows.wait() == 3600
    clock.wall += 7300 * DAY_MS + HOUR_MS
    assert windows.wait() == 0


def test_without_windows_nothing_is_held_back() -> None:
    windows = Windows([], HandClock().wall_ms)
    assert (windows.wait(), windows.closed) == (0, None)


def test_a_rate_of_records_is_kept_on_the_average_whatever_a_request_holds() -> None:
    clock = HandClock(seconds=0.0)
    rate = RecordRate(200, clock.monotonic)
    sent = 0
    for count in [500, 1, 700, 50] * 20:
        clock.seconds += rate.wait()
        assert sent <= 200 * (clock.seconds + 1) + 1
        rate.begin()
        rate.end(10_000_000, count, reached=True)
        sent += count
    assert sent >= 200 * (clock.seconds - 4)


def test_at_a_rate_of_records_requests_are_small() -> None:
    assert request_max(4 * MIB, Pace(records_per_s=200)) == REQUEST_LEAST
