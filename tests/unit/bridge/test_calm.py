"""In a calm a daemon looks around less often, and nothing that happens is seen later for it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.daemon.calm import AFTER_S, Calm
from bridge.daemon.glancing import MOVED, Glance
from bridge.daemon.noting import CALM_EVERY_S, EVERY_S, STAYS_S, STEP_MS, Noting
from bridge.daemon.rounds import Rounds
from spool.beat import BEAT_S, CALM_BEAT_S, CALM_LOOK_S, CALM_TURN_S, TURN_S, Pulse
from spool.waking import ask_to_wake


class Moments:
    """Two clocks that stand still until a test moves them."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.wall = 1_800_000_000_000

    def monotonic(self) -> float:
        return self.now

    def wall_ms(self) -> int:
        return self.wall

    def passes(self, seconds: float) -> None:
        self.now += seconds
        self.wall += int(seconds * 1000)


@pytest.fixture
def moments() -> Moments:
    return Moments()


def calm_of(moments: Moments, wake: Callable[[], None] = lambda: None) -> Calm:
    found = Calm(wake, moments.monotonic)
    moments.passes(AFTER_S)
    found.settle(at_rest=True)
    assert found.reigns
    return found


def test_it_is_calm_when_nothing_happened_for_a_minute(moments: Moments) -> None:
    calm = Calm(monotonic=moments.monotonic)
    moments.passes(AFTER_S - 1)
    calm.settle(at_rest=True)
    assert (calm.reigns, calm.beat_s) == (False, BEAT_S)
    assert (calm.turn_s(), calm.quiet_s()) == (TURN_S, TURN_S)
    moments.passes(1)
    calm.settle(at_rest=True)
    assert (calm.reigns, calm.beat_s) == (True, CALM_BEAT_S)
    assert (calm.turn_s(), calm.quiet_s()) == (CALM_TURN_S, CALM_LOOK_S)


def test_the_first_thing_that_happens_ends_a_calm_and_wakes_once(moments: Moments) -> None:
    woken: list[None] = []
    calm = calm_of(moments, lambda: woken.append(None))
    calm.stir()
    calm.stir()
    assert (calm.reigns, len(woken)) == (False, 1)
    moments.passes(AFTER_S - 1)
    calm.settle(at_rest=True)
    assert not calm.reigns


def test_whoever_sleeps_for_long_in_a_calm_is_woken_at_its_end_whoever_ends_it(
    moments: Moments,
) -> None:
    calm = calm_of(moments)
    woken: list[str] = []
    calm.wakes(lambda: woken.append("loop"))
    calm.wakes(lambda: woken.append("engine"))
    ends: list[Callable[[], None]] = [
        calm.stir, calm.end, lambda: calm.settle(at_rest=False),
    ]  # fmt: skip
    for end in ends:
        for _ in range(2):
            end()
            assert not calm.reigns
        assert woken == ["loop", "engine"]
        woken.clear()
        moments.passes(AFTER_S)
        calm.settle(at_rest=True)
        assert calm.reigns
    assert woken == []


def test_what_is_not_at_rest_puts_a_calm_off(moments: Moments) -> None:
    calm = calm_of(moments)
    calm.settle(at_rest=False)
    moments.passes(AFTER_S - 1)
    calm.settle(at_rest=True)
    assert not calm.reigns


def test_what_happens_at_the_moment_when_it_gets_calm_is_not_overlooked(moments: Moments) -> None:
    woken: list[str] = []
    calms: list[Calm] = []

    def monotonic() -> float:
        if calms and calms[0].reigns:
            # As another thread would, between the two steps of who settles it.
            calms.pop().stir()
        return moments.now

    calm = Calm(lambda: woken.append("woken"), monotonic)
    calm.wakes(lambda: woken.append("sleeper"))
    calms.append(calm)
    moments.passes(AFTER_S)
    calm.settle(at_rest=True)
    assert not calm.reigns
    assert set(woken) == {"woken", "sleeper"}


@pytest.fixture
def lane(tmp_path: Path) -> Path:
    lane = tmp_path / "n" / "logs"
    (lane / "open").mkdir(parents=True)
    (lane / "head").write_bytes(b"0")
    (tmp_path / "ledger.db").write_bytes(b"")
    (tmp_path / "ledger.db-wal").write_bytes(b"")
    os.utime(tmp_path / "ledger.db-wal", ns=(1, 1))
    for folder in (tmp_path, lane, lane / "open"):
        os.utime(folder, ns=(1, 1))
    return lane


def _new_head(spool: Path, lane: Path) -> None:
    (spool / "elsewhere").write_bytes(b"1")
    (spool / "elsewhere").rename(lane / "head")


def _made_anew(spool: Path, lane: Path) -> None:
    lane.rename(spool / "old")
    (lane / "open").mkdir(parents=True)
    for folder in (spool, lane, lane / "open"):
        os.utime(folder, ns=(1, 1))


@pytest.mark.parametrize(
    "change",
    [
        _new_head,
        _made_anew,
        lambda spool, _: ask_to_wake(spool),
        lambda spool, _: (spool / "ledger.db").unlink(),
        lambda spool, _: (spool / "ledger.db-wal").write_bytes(b"x"),
        lambda _, lane: (lane / "open" / "w.ndjson.zst").write_bytes(b"x"),
        lambda spool, _: spool.rename(spool.with_name("moved")),
    ],
    ids=[
        "a new head", "a lane made anew", "somebody asks", "the ledger is gone",
        "another process moves spans", "an open file", "the spool is gone",
    ],
)  # fmt: skip
def test_a_glance_finds(tmp_path: Path, lane: Path, change: Callable[[Path, Path], object]) -> None:
    paths = [tmp_path, tmp_path / "ledger.db-wal", lane, lane / "open"]
    glance = Glance(str(tmp_path), [str(path) for path in paths])
    glance.note()
    assert not glance.finds_change()
    change(tmp_path, lane)
    assert glance.finds_change()
    glance.note()
    assert not glance.finds_change()


def test_a_glance_finds_that_others_fill_the_disk(tmp_path: Path) -> None:
    glance = Glance(str(tmp_path), [])
    glance.note()
    with (tmp_path / "others").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, 16 * MOVED)
    assert glance.finds_other_room()


class Watched:
    """Rounds in a calm, and what they call."""

    def __init__(self, moments: Moments, folder: Path) -> None:
        self.calls: list[str] = []
        self.at_rest = self.due = self.event = False
        self.calm = calm_of(moments)
        self.glance = Glance(str(folder), [str(folder)])
        self.rounds = Rounds(
            self.calm,
            self.glance,
            always=[lambda: self.calls.append("always")],
            looks=[lambda: self.calls.append("look")],
            looks_at_room=[lambda: self.calls.append("room")],
            events=[lambda: self.event],
            dues=[lambda: self.due],
            is_at_rest=lambda: self.at_rest,
        )
        os.utime(folder, ns=(1, 1))
        self.glance.note()

    def beat(self) -> list[str]:
        self.calls.clear()
        self.rounds.beat()
        return list(self.calls)


def test_in_a_calm_a_beat_is_a_glance_until_something_is_otherwise(
    tmp_path: Path, moments: Moments
) -> None:
    watched = Watched(moments, tmp_path)
    watched.at_rest = True
    assert watched.beat() == ["always"]
    watched.due = True
    assert watched.beat() == ["always", "look", "room"]
    watched.due = False
    assert watched.beat() == ["always"]  # it is calm still
    (tmp_path / "new").write_bytes(b"")
    for _ in range(2):
        assert watched.beat() == ["always", "look", "room"]
    assert not watched.calm.reigns


def test_in_a_calm_a_disk_that_others_fill_is_looked_at_and_nothing_else(
    tmp_path: Path, moments: Moments
) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    watched = Watched(moments, spool)
    with (tmp_path / "others").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, 16 * MOVED)
    assert watched.beat() == ["always", "room"]
    assert watched.calm.reigns


def test_an_event_or_trouble_that_a_look_meets_ends_a_calm(
    tmp_path: Path, moments: Moments
) -> None:
    watched = Watched(moments, tmp_path)
    watched.at_rest = watched.event = True
    assert watched.beat() == ["always", "look", "room"]
    assert not watched.calm.reigns
    watched = Watched(moments, tmp_path)
    watched.due = True
    assert watched.beat() == ["always", "look", "room"]
    assert not watched.calm.reigns


def test_the_time_is_noted_each_minute_and_in_a_calm_each_ten(moments: Moments) -> None:
    calm = calm_of(moments)
    noting = Noting(moments, calm)
    assert noting.due < moments.now
    noting.begin()
    noting.done(None)
    assert noting.due == moments.now + CALM_EVERY_S
    moments.passes(100)
    calm.stir()
    assert noting.due == moments.now - 100 + EVERY_S


def test_in_a_calm_the_time_is_noted_when_a_token_ends_and_when_the_clock_was_set(
    moments: Moments,
) -> None:
    noting = Noting(moments, calm_of(moments))
    noting.begin()
    noting.done(200_000)
    assert noting.due == moments.now + 200
    noting.done(1_000)
    assert noting.due == moments.now + EVERY_S
    moments.passes(30)
    moments.wall -= STEP_MS // 2
    assert noting.due > moments.now
    moments.wall -= STEP_MS // 2
    assert noting.due < moments.now


def test_a_clock_that_is_set_forward_and_put_right_within_a_minute_is_not_noted(
    moments: Moments,
) -> None:
    noting = Noting(moments, calm_of(moments))
    noting.begin()
    noting.done(None)
    for _ in range(2):
        moments.wall += 1_000_000_000
        for _ in range(int(STAYS_S) - 1):
            assert noting.due > moments.now
            moments.passes(1)
        moments.wall -= 1_000_000_000
        assert noting.due > moments.now
    moments.wall += 1_000_000_000
    assert noting.due > moments.now
    moments.passes(STAYS_S)
    assert noting.due < moments.now
    noting.begin()
    moments.wall -= STEP_MS
    assert noting.due < moments.now


def test_a_note_that_fails_is_tried_again_after_a_minute_in_a_calm_too(moments: Moments) -> None:
    noting = Noting(moments, calm_of(moments))
    noting.begin()
    assert noting.due == moments.now + EVERY_S


def test_a_pulse_is_late_once_its_turn_should_have_come(moments: Moments) -> None:
    pulse = Pulse(moments.monotonic)
    moments.passes(TURN_S + 30)
    assert not pulse.is_late(30)
    moments.passes(1)
    assert pulse.is_late(30)
    pulse.turn(CALM_TURN_S)
    moments.passes(CALM_TURN_S + 30)
    assert not pulse.is_late(30)


def test_who_is_woken_and_does_not_turn_is_late_soon_however_long_it_meant_to_sleep(
    moments: Moments,
) -> None:
    pulse = Pulse(moments.monotonic)
    pulse.turn(CALM_LOOK_S)
    pulse.hurry(TURN_S)
    moments.passes(TURN_S + 31)
    assert pulse.is_late(30)
    pulse.turn(1)
    pulse.hurry(TURN_S)  # it does not put off what is due before
    moments.passes(32)
    assert pulse.is_late(30)
