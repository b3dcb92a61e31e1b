"""A stop is not held up by the files of dead writers, and what is left for the next start is whole."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.daemon.housekeeping import Housekeeping
from spool.chain import begin_lane
from spool.clock import SYSTEM_CLOCK, Clock
from spool.head import read_head
from spool.lane import Lane
from spool.segment import Segment
from spool.statement import Lost
from tests.support.disks import FastDisk
from tests.support.spools import (
    FAST,
    KEY,
    HandClock,
    leave_open,
    lines_of,
    new_lane,
    open_tail,
    records,
    seal_one,
    sealer,
    unit,
)

GROUPS = 6
"""Frames of one record: they are rewritten into one when there is time."""
UNKNOWN = Lost("", None, None, "bad_frames")


def house_of(
    spool: Path, is_over: Callable[[], bool] = lambda: False, clock: Clock = SYSTEM_CLOCK
) -> Housekeeping:
    """The house of a daemon, its lanes begun."""
    house = Housekeeping(
        spool, "n", KEY, disk=FastDisk(), clock=clock, tell=lambda _: None, is_over=is_over
    )
    for each in house.sealers.values():
        begin_lane(FAST, each.lane)
    return house


def keep_house(spool: Path, is_over: Callable[[], bool]) -> None:
    """One look of a daemon."""
    house_of(spool, is_over).look()


def after(steps: int) -> Callable[[], bool]:
    """Whether somebody said stop, which happens after so many looks."""
    looks = iter([False] * steps)
    return lambda: next(looks, True)


def left_behind(lane: Lane, damage: str) -> None:
    groups = [[record] for record in records(GROUPS)]
    path = leave_open(lane, *groups)
    size = sum(len(unit(group).data) for group in groups)
    data = bytearray(path.read_bytes())
    if damage == "torn":
        del data[size - 3 :]
    if damage == "bad":
        data[size // 2] ^= 1
    path.write_bytes(data)


def said(lane: Lane) -> tuple[list[bytes], int]:
    """All sealed lines, and how many loss records there are."""
    lines, losses = b"", 0
    for seq in lane.sealed_numbers():
        with Segment.open(lane.segment(seq)) as segment:
            losses += segment.statement.lost == UNKNOWN
            lines += lines_of(segment)
    return lines.splitlines(), losses


@pytest.mark.parametrize("damage", ["", "torn", "bad"])
def test_whenever_it_is_told_to_stop_the_next_look_finds_every_record_once(
    tmp_path: Path, damage: str
) -> None:
    sound = new_lane(tmp_path / "sound", FAST, "transactions")
    left_behind(sound, damage)
    keep_house(tmp_path / "sound", lambda: False)
    expected = said(sound)
    assert (len(expected[0]), expected[1]) == (GROUPS - bool(damage), int(damage == "bad"))
    ends = set()
    for steps in range(3 * GROUPS):
        spool = tmp_path / str(steps)
        lane = new_lane(spool, FAST, "transactions")
        left_behind(lane, damage)
        (path,) = (lane.folder / "open").iterdir()
        before = path.read_bytes()
        keep_house(spool, after(steps))
        found = sorted((lane.folder / "open").iterdir())
        assert found in ([], [path])
        if found:
            assert path.read_bytes() == before
        ends.add(bool(found))
        keep_house(spool, lambda: False)
        assert not list((lane.folder / "open").iterdir())
        assert said(lane) == expected
    assert ends == {True, False}


def test_a_stop_while_frames_are_made_larger_seals_them_as_they_are(tmp_path: Path) -> None:
    lane = new_lane(tmp_path, FAST, "transactions")
    left_behind(lane, "")
    keep_house(tmp_path, after(GROUPS + GROUPS // 2))
    assert said(lane)[0] == records(GROUPS)


def test_lanes_that_come_after_the_stop_are_not_begun(tmp_path: Path) -> None:
    lanes = [new_lane(tmp_path, FAST, stream) for stream in ("transactions", "logs")]
    for lane in lanes:
        left_behind(lane, "")
    keep_house(tmp_path, after(1))
    assert [len(list((lane.folder / "open").iterdir())) for lane in lanes] == [1, 1]


class _NoHead(FastDisk):
    """Has no room for the head once the segment is in its place."""

    def create(self, path: Path) -> int:
        if path.name == "head.tmp":
            raise OSError(errno.ENOSPC, "no room", str(path))
        return super().create(path)


def test_what_was_half_sealed_is_seen_to_without_another_sealing(tmp_path: Path) -> None:
    house = house_of(tmp_path)
    house.look()
    lane = house.sealers["logs"].lane
    seal_one(lane, records(1))
    tail = open_tail(lane, [records(2)])
    with pytest.raises(OSError, match="no room"):
        sealer(lane, _NoHead()).seal(tail.filled(), "age")
    assert not list(lane.open.iterdir())
    head = read_head(lane)
    assert head is not None
    assert head.seq == 1
    house.look()
    head = read_head(lane)
    assert head is not None
    assert head.seq == 2
    assert len(said(lane)[0]) == 3


def test_a_lane_that_cannot_be_looked_after_holds_up_none_of_the_others(tmp_path: Path) -> None:
    house = house_of(tmp_path)
    first, *others = [each.lane for each in house.sealers.values()]
    (tmp_path / "quarantine").write_bytes(b"no folder")
    first.open_file("planted").symlink_to("nowhere")
    for lane in others:
        left_behind(lane, "")
    for _ in range(2):
        with pytest.raises(FileExistsError):
            house.look()
    assert not any(list(lane.open.iterdir()) for lane in others)
    (tmp_path / "quarantine").unlink()
    house.look()


def test_a_disk_whose_clock_is_ahead_gets_no_heartbeat_at_each_look(tmp_path: Path) -> None:
    clock = HandClock()  # days behind the clock that stamps files
    house = house_of(tmp_path, clock=clock)
    lane = house.sealers["transactions"].lane
    for _ in range(5):
        house.look()
        clock.seconds += 4
    assert list(lane.sealed_numbers()) == [1]
    clock.seconds += 3600
    house.look()
    assert list(lane.sealed_numbers()) == [1, 2]
