"""Every line that a lane holds is given, sealed or not, and what cannot be read is named."""

from pathlib import Path

import pytest

from spool.heldlines import held_lines
from spool.lane import Lane
from tests.support.spools import leave_open, new_lane, raw_of, records, seal_one


@pytest.fixture
def lane(tmp_path: Path) -> Lane:
    return new_lane(tmp_path)


def held(lane: Lane) -> tuple[bytes, list[str]]:
    unread: list[str] = []
    lines = b"".join(held_lines(lane, lambda path, why: unread.append(f"{path.name}: {why}")))
    return lines, unread


def test_a_lane_that_holds_nothing_gives_nothing(lane: Lane) -> None:
    assert held(lane) == (b"", [])


def test_what_is_open_comes_first_and_then_the_segments_in_order(lane: Lane) -> None:
    seal_one(lane, records(2, "a"))
    seal_one(lane, records(1, "b"), records(2, "c"))
    leave_open(lane, records(3, "d"))
    expected = [records(3, "d"), records(2, "a"), records(1, "b"), records(2, "c")]
    assert held(lane) == (b"".join(map(raw_of, expected)), [])


def test_what_is_above_the_head_is_not_read(lane: Lane) -> None:
    seal_one(lane, records(2, "a"))
    lane.segment(2).write_bytes(lane.segment(1).read_bytes())
    assert held(lane) == (raw_of(records(2, "a")), [])


def test_a_segment_that_cannot_be_read_is_named_and_the_others_are_given(lane: Lane) -> None:
    for name in "abc":
        seal_one(lane, records(1, name))
    lane.segment(1).write_bytes(lane.segment(2).read_bytes())
    lane.segment(2).write_bytes(b"junk")
    lines, unread = held(lane)
    assert lines == raw_of(records(1, "c"))
    assert [name.partition(":")[0] for name in unread] == [
        lane.segment(1).name,
        lane.segment(2).name,
    ]


def test_a_link_among_the_open_files_is_named_and_not_followed(lane: Lane) -> None:
    path = leave_open(lane, records(1))
    link = path.with_name(f"0{path.name}")
    link.symlink_to(path)
    lines, (unread,) = held(lane)
    assert lines == raw_of(records(1))
    assert unread.startswith(f"{link.name}: ")
