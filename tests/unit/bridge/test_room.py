"""Who is taken while room runs out."""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.daemon.calm import AFTER_S, Calm
from bridge.daemon.glancing import MOVED
from bridge.daemon.roomwatch import LOOK_EVERY_S, RoomWatch
from bridge.intake.room import Room
from spool.streams import Kind
from tests.support.spools import wait_until

KINDS: list[Kind] = ["billing", "usage", "operational"]
GIB = 2**30


def taken(room: Room) -> list[Kind]:
    return [kind for kind in KINDS if room.takes(kind)]


@pytest.mark.parametrize(
    ("used", "kinds"),
    [
        (0, KINDS),
        (89, KINDS),
        (90, ["billing", "usage"]),
        (94, ["billing", "usage"]),
        (95, ["billing"]),
        (99, ["billing"]),
        (100, []),
        (200, []),
    ],
)
def test_telemetry_gives_way_first_then_usage_and_billing_at_the_end(
    used: int, kinds: list[Kind]
) -> None:
    assert taken(Room(used, 100, 10**9, 0)) == kinds


def test_a_small_disk_is_the_limit_where_it_holds_less_than_the_spool_may() -> None:
    assert taken(Room(0, 5 * GIB, GIB, GIB // 2)) == KINDS
    assert taken(Room(9 * GIB, 50 * GIB, GIB, GIB // 2)) == ["billing", "usage"]
    assert taken(Room(0, 5 * GIB, GIB // 2, GIB // 2)) == []
    assert taken(Room(0, 5 * GIB, 0, 0)) == []


@given(
    used=st.integers(0, 2**50),
    most=st.integers(1, 2**50),
    free=st.integers(0, 2**50),
    kept=st.integers(0, 2**50),
)
def test_who_matters_more_is_never_refused_before_who_matters_less(
    used: int, most: int, free: int, kept: int
) -> None:
    found = taken(Room(used, most, free, kept))
    assert found == KINDS[: len(found)]
    if used >= most or free <= kept:
        assert found == []


def test_the_watch_reads_the_spool_and_its_disk(tmp_path: Path) -> None:
    (tmp_path / "n").mkdir()
    (tmp_path / "n" / "file").write_bytes(bytes(95))
    watch = RoomWatch(tmp_path, max_size=100, min_free=0)
    watch.start()
    try:
        wait_until(lambda: [kind for kind in KINDS if watch.has_room(kind)] == ["billing"])
    finally:
        watch.stop()
    with pytest.raises(OSError, match="missing"):
        RoomWatch(tmp_path / "missing", max_size=100, min_free=0)


def test_while_nobody_asks_a_glance_sees_that_the_spool_has_grown(tmp_path: Path) -> None:
    watch = RoomWatch(tmp_path, max_size=GIB, min_free=0)
    watch.start()
    try:
        before = watch.now()
        (tmp_path / "file").write_bytes(bytes(3 * MOVED))

        def seen() -> bool:
            watch.glance()
            return watch.now().used >= before.used + 3 * MOVED

        wait_until(seen, every_s=0.2)
    finally:
        watch.stop()


def test_in_a_calm_the_spool_is_not_walked_through_for_what_others_write(tmp_path: Path) -> None:
    moments = [0.0]
    calm = Calm(monotonic=lambda: moments[0])
    moments.append(moments.pop() + AFTER_S)
    calm.settle(at_rest=True)
    watch = RoomWatch(tmp_path, max_size=GIB, min_free=0, calm=calm)
    watch.start()
    try:
        before = watch.now()
        (tmp_path / "file").write_bytes(bytes(3 * MOVED))
        for _ in range(3):
            watch.glance()
            time.sleep(0.05)
        assert watch.now().used == before.used
        calm.end()

        def seen() -> bool:
            watch.glance()
            return watch.now().used >= before.used + 3 * MOVED

        wait_until(seen, every_s=0.2)
    finally:
        watch.stop()


def test_whoever_asks_ends_a_calm_also_when_the_disk_was_looked_at_just_now(tmp_path: Path) -> None:
    moments = [0.0]
    calm = Calm(monotonic=lambda: moments[0])
    watch = RoomWatch(tmp_path, max_size=GIB, min_free=0, calm=calm)
    watch.start()
    try:
        for _ in range(20):
            moments[0] += AFTER_S
            calm.settle(at_rest=True)
            assert watch.has_room("billing")
            assert not calm.reigns
    finally:
        watch.stop()


def test_who_only_wants_to_know_ends_no_calm_and_has_nobody_look(tmp_path: Path) -> None:
    moments = [0.0]
    calm = Calm(monotonic=lambda: moments[0])
    watch = RoomWatch(tmp_path, max_size=GIB, min_free=0, calm=calm)
    watch.start()
    try:
        moments[0] += AFTER_S
        calm.settle(at_rest=True)
        before = watch.now()
        for _ in range(3):
            assert watch.knows_room("billing")
            time.sleep(LOOK_EVERY_S / 2)
        assert calm.reigns
        assert watch.now() is before
    finally:
        watch.stop()


def test_no_glance_at_the_disk_hides_that_the_spool_cannot_be_walked_through(
    tmp_path: Path,
) -> None:
    spool = tmp_path / "spool"
    spool.write_bytes(b"")  # a file has a disk, and no folders
    watch = RoomWatch(spool, max_size=GIB, min_free=0)
    watch.start()
    try:
        for _ in range(20):
            watch.glance()
            with pytest.raises(NotADirectoryError):
                watch.now()
        spool.unlink()
        spool.mkdir()

        def seen() -> bool:
            watch.glance()
            try:
                return watch.has_room("billing")
            except OSError:
                return False

        wait_until(seen)
    finally:
        watch.stop()


def test_the_watch_says_what_ended_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = RoomWatch(tmp_path, max_size=GIB, min_free=0)

    def no_memory() -> Room:
        raise MemoryError

    monkeypatch.setattr(watch, "look", no_memory)
    watch.start()
    wait_until(lambda: watch.broken is not None)
    watch.stop()
    assert isinstance(watch.broken, MemoryError)
