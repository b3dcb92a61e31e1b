"""What was taken lately is told by the newest seals, and by few of them."""

from pathlib import Path

import pytest

from spool.lane import Lane
from spool.recent import SEALS_MAX, newest_record_at, newest_seals
from spool.sealing import Sealer
from spool.tail import Tail
from tests.support.spools import FAST, KEY, HandClock, new_lane, records, unit

BEGIN = 1_795_424_400_000


@pytest.fixture
def lane(tmp_path: Path) -> Lane:
    return new_lane(tmp_path)


def seal_at(lane: Lane, *times: int) -> None:
    """A segment for each time, its record accepted then."""
    for time in times:
        clock = HandClock(BEGIN + time)
        tail = Tail.begin(FAST, lane, clock)
        tail.commit([unit(records(1))], 1)
        Sealer(FAST, lane, KEY, clock).seal(tail.filled(), "size")


def numbers(lane: Lane, since: int = 0) -> list[int]:
    return [said.seq for said in newest_seals(lane, since)]


def test_a_lane_without_a_segment_has_no_newest_record(lane: Lane) -> None:
    assert numbers(lane) == []
    assert newest_record_at(lane) is None


def test_seals_come_newest_first_up_to_the_first_from_before(lane: Lane) -> None:
    seal_at(lane, 100, 200, 300, 400)
    assert numbers(lane) == [4, 3, 2, 1]
    assert numbers(lane, BEGIN + 300) == [4, 3, 2]
    assert numbers(lane, BEGIN + 500) == [4]
    assert newest_record_at(lane) == BEGIN + 400


def test_a_heartbeat_is_no_record_and_a_missing_segment_is_stepped_over(lane: Lane) -> None:
    seal_at(lane, 100, 200)
    Sealer(FAST, lane, KEY, HandClock(BEGIN + 900)).heartbeat()
    lane.segment(2).unlink()
    assert numbers(lane, BEGIN + 150) == [3, 1]
    assert newest_record_at(lane) == BEGIN + 100


def test_no_more_than_some_seals_are_read(lane: Lane) -> None:
    seal_at(lane, *range(SEALS_MAX + 3))
    assert numbers(lane) == list(range(SEALS_MAX + 3, 3, -1))
