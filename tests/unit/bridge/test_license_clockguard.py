"""Turning the clock: what the anchors make of it (facts: attacks 145, 147, 148)."""

from dataclasses import replace

import pytest

from bridge.license.clockguard import Anchors, Reading, advanced, merged, now_of, signed_at

HOUR = 3_600_000
DAY = 24 * HOUR
WALL = 1_900_000_000_000
TOLERANCE = 300_000
BEGUN = Reading(WALL, "boot-a", 5 * DAY)
ANCHORS = advanced(None, BEGUN, 0)


def _after(ms: int, *, step: int = 0, boot: str = "boot-a") -> Reading:
    """So long after, by a wall clock that was set by ``step`` ms meanwhile."""
    since = BEGUN.since_boot + ms if boot == "boot-a" else ms
    return Reading(WALL + ms + step, boot, since)


@pytest.mark.parametrize("step", [-HOUR, -DAY, -WALL], ids=["1h", "1d", "1970"])
def test_attack_145_a_clock_set_back_in_the_same_boot_is_seen_and_lengthens_nothing(
    step: int,
) -> None:
    now = now_of(ANCHORS, _after(2 * DAY, step=step), 0, TOLERANCE)
    assert now.rolled_back
    assert now.at == WALL + 2 * DAY


@pytest.mark.parametrize("step", [-HOUR, -DAY, -WALL], ids=["1h", "1d", "1970"])
def test_attack_145_a_clock_set_back_across_a_reboot_is_seen(step: int) -> None:
    now = now_of(ANCHORS, _after(60_000, step=step, boot="boot-b"), 0, TOLERANCE)
    assert now.rolled_back
    assert now.at == WALL


def test_attack_145_setting_it_back_a_little_again_and_again_gains_nothing() -> None:
    anchors, wall = ANCHORS, WALL
    for minute in range(1, 600):
        wall += 60_000 - 30_000
        reading = Reading(wall, "boot-a", BEGUN.since_boot + minute * 60_000)
        assert now_of(anchors, reading, 0, TOLERANCE).at == WALL + minute * 60_000
        anchors = advanced(anchors, reading, 0)
    assert now_of(anchors, reading, 0, TOLERANCE).rolled_back


def test_attack_145_a_clock_put_right_is_right_again() -> None:
    anchors = advanced(ANCHORS, _after(HOUR, step=-DAY), 0)
    assert not now_of(anchors, _after(2 * HOUR), 0, TOLERANCE).rolled_back


def test_attack_145_it_is_never_before_what_the_vendor_signed() -> None:
    fresh = replace(ANCHORS, signed=WALL + DAY)
    now = now_of(fresh, _after(HOUR), 0, TOLERANCE)
    assert (now.at, now.rolled_back) == (WALL + DAY, True)


def test_attack_147_without_anchors_the_spools_own_records_still_tell() -> None:
    now = now_of(None, _after(0, step=-DAY), WALL - HOUR, TOLERANCE)
    assert (now.at, now.rolled_back) == (WALL - HOUR, True)
    assert not now_of(None, _after(0), 0, TOLERANCE).rolled_back


def test_attack_147_of_two_copies_the_older_holds_nothing_back() -> None:
    older, newer = ANCHORS, advanced(ANCHORS, _after(DAY), 0)
    assert merged(older, newer) == merged(newer, older) == newer
    assert merged(None, newer) == merged(newer, None) == newer


def test_attack_148_eight_hours_of_sleep_are_no_alarm() -> None:
    now = now_of(ANCHORS, _after(8 * HOUR), 0, TOLERANCE)
    assert (now.at, now.rolled_back) == (WALL + 8 * HOUR, False)


@pytest.mark.parametrize("step", [-1000, 1000, -TOLERANCE])
def test_attack_148_leap_seconds_and_small_corrections_are_no_alarm(step: int) -> None:
    assert not now_of(ANCHORS, _after(HOUR, step=step), 0, TOLERANCE).rolled_back


def test_a_restored_machine_whose_boot_clock_began_anew_is_no_alarm() -> None:
    reading = Reading(WALL + HOUR, "boot-a", 1000)  # the same boot by name, and younger
    assert now_of(ANCHORS, reading, 0, TOLERANCE).at == WALL + HOUR


def test_one_boot_in_2036_locks_nobody_out_for_ever() -> None:
    far = 10 * 365 * DAY
    anchors = advanced(ANCHORS, _after(60_000, step=far, boot="boot-b"), 0)
    back = _after(2 * DAY, boot="boot-c")
    records = WALL + far + 30_000  # sealed while it was 2036
    assert now_of(anchors, back, records, TOLERANCE).rolled_back
    signed = WALL + 2 * DAY - 10_000
    put_right = signed_at(anchors, back, records, signed, TOLERANCE)
    for later in (back, _after(3 * DAY, boot="boot-c"), _after(4 * DAY, boot="boot-d")):
        now = now_of(put_right, later, records, TOLERANCE)
        assert (now.at, now.rolled_back) == (later.wall, False)
        put_right = advanced(put_right, later, records)
    # What was taken then may be sealed only now.
    assert not now_of(put_right, later, WALL + far + 60_000, TOLERANCE).rolled_back


def test_a_token_that_was_seen_before_puts_nothing_right() -> None:
    anchors = replace(advanced(ANCHORS, _after(10 * DAY), 0), signed=WALL)
    back = _after(DAY, boot="boot-b")
    for signed in (WALL, WALL - 1):
        assert signed_at(anchors, back, 0, signed, TOLERANCE) == anchors
    right = signed_at(anchors, back, 0, WALL + 1000, TOLERANCE)
    assert now_of(right, back, 0, TOLERANCE).at == back.wall


def test_a_token_from_after_the_clock_puts_nothing_right() -> None:
    anchors = advanced(ANCHORS, _after(10 * DAY), 0)
    back = _after(DAY, boot="boot-b")
    ahead = signed_at(anchors, back, 0, back.wall + DAY, TOLERANCE)
    assert now_of(ahead, back, 0, TOLERANCE).rolled_back


def test_refusals_are_remembered_by_node_and_forgotten_one_by_one() -> None:
    anchors = Anchors(0, "", 0).with_denied("a", 5).with_denied("b", 6).with_denied("a", 7)
    assert (anchors.denied_at("a"), anchors.denied_at("b"), anchors.denied_at("c")) == (7, 6, 0)
    assert anchors.with_denied("a", 0).denied == (("b", 6),)
