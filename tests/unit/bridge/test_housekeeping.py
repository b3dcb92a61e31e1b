"""A stop is not held up by the files of dead writers, and what is left for the next start is whole."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.daemon.housekeeping import Housekeeping
from spool.chain import begin_lane
from spool.clock import SYSTEM_CLOCK
from spool.lane import Lane
from spool.segment import Segment
from spool.statement import Lost
from tests.support.disks import FastDisk
from tests.support.spools import FAST, KEY, leave_open, lines_of, new_lane, records, unit

GROUPS = 6
"""Frames of one record: they are rewritten into one when there is time."""
UNKNOWN = Lost("", None, None, "bad_frames")


def keep_house(spool: Path, is_over: Callable[[], bool]) -> None:
    """One look of a daemon."""
    house = Housekeeping(
        spool,
        "n",
        KEY,
        disk=FastDisk(),
        clock=SYSTEM_CLOCK,
        tell=lambda _: None,
        is_over=is_over,
    )
    for sealer in house.sealers.values():
        begin_lane(FAST, sealer.lane)
    house.look()


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
