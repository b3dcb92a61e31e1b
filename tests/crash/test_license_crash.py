"""A crash at any moment leaves the old token or the new one, and never turns the clock back."""

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from bridge.license.states import State
from tests.support.licensed import DAY_MS, HOUR_MS, KEY, NODE, Cache, TurnedClock
from tests.support.simdisk import Crash, Keep, SimDisk

STATES = [(Keep.NOTHING, 0), (Keep.EVERYTHING, 0), (Keep.SOME, 1), (Keep.SOME, 2), (Keep.SOME, 3)]
Act = Callable[[Cache], object]


def _with_token(root: Path) -> tuple[TurnedClock, str]:
    """A spool with a token that has been there for a day."""
    begun = Cache(root)
    token = begun.token(days=30)
    begun.took(token)
    begun.clock.pass_ms(DAY_MS)
    begun.keeper.note([NODE])
    return begun.clock, token


def _crashed(root: Path, act: Act, crash_at: int, keep: Keep, seed: int) -> tuple[Cache, str, bool]:
    """What a restart finds after a crash in ``act``; whether ``act`` had ended by then."""
    clock, token = _with_token(root)
    clock.pass_ms(HOUR_MS)
    disk = SimDisk(root, crash_at=crash_at)
    cache = Cache(root, disk=disk, clock=clock)
    try:
        act(cache)
    except Crash:
        done = False
    else:
        done = True
    disk.settle(keep, Random(seed * 1000 + crash_at))
    return Cache(root, clock=clock), token, done


def _each(tmp_path: Path, act: Act, check: Callable[[Cache, str, bool], None]) -> None:
    for keep, seed in STATES:
        for crash_at in range(200):
            root = tmp_path / f"{keep.value}-{seed}-{crash_at}"
            cache, token, done = _crashed(root, act, crash_at, keep, seed)
            check(cache, token, done)
            if done:
                break
        else:
            pytest.fail("it never ended")


def test_a_crash_while_a_token_is_kept_leaves_the_old_or_the_new_one(tmp_path: Path) -> None:
    made: list[str] = []

    def act(cache: Cache) -> None:
        made.append(cache.token(days=60))
        assert cache.took(made[-1]).kept

    def check(cache: Cache, old: str, done: bool) -> None:  # noqa: FBT001 - a fact of a crash
        found = cache.now()
        assert found.state is State.VALID
        assert found.token in ((made[-1],) if done else (old, made[-1]))
        assert cache.took(cache.token(days=90)).kept  # and the next one can be kept

    _each(tmp_path, act, check)


def test_a_crash_while_the_time_is_noted_turns_nothing_back(tmp_path: Path) -> None:
    def check(cache: Cache, _old: str, done: bool) -> None:  # noqa: FBT001 - as above
        assert cache.now().state is State.VALID
        assert not cache.now().anchors_lost
        # What was noted before stays believed; what was noted now, once that had ended.
        cache.clock.reboot()
        cache.clock.wall -= HOUR_MS if done else 3 * HOUR_MS
        assert cache.now().state is State.CLOCK_ROLLBACK

    _each(tmp_path, lambda cache: cache.keeper.note([NODE]), check)


def test_a_crash_while_a_refusal_is_kept_leaves_the_token_or_the_refusal(tmp_path: Path) -> None:
    def check(cache: Cache, _old: str, done: bool) -> None:  # noqa: FBT001 - as above
        assert cache.now().state in ((State.DENIED,) if done else (State.DENIED, State.VALID))

    _each(tmp_path, lambda cache: cache.keeper.refused(NODE, 403, KEY), check)


def test_a_crash_while_a_token_puts_the_clock_right_locks_nobody_out(tmp_path: Path) -> None:
    far = 3650 * DAY_MS

    def act(cache: Cache) -> None:
        cache.clock.wall += far
        cache.keeper.note([NODE])
        cache.clock.wall -= far
        cache.took(cache.token(days=60))

    def check(cache: Cache, _old: str, done: bool) -> None:  # noqa: FBT001 - as above
        if cache.clock.wall > 2_000_000_000_000:  # it was cut off in 2036
            cache.clock.wall -= far
        if not done:
            cache.clock.pass_ms(1000)
            cache.took(cache.token(days=61))
        cache.keeper.note([NODE])
        assert cache.now().state is State.VALID

    _each(tmp_path, act, check)
