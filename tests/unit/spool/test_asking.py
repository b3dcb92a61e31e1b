"""What is open is asked for, and waited for no longer than it takes."""

from pathlib import Path

from spool.asking import ask, ask_and_wait
from tests.support.spools import leave_open, new_lane, records, recover, seal_one


def test_where_nothing_is_open_nobody_is_asked(tmp_path: Path) -> None:
    lane = new_lane(tmp_path)
    seal_one(lane, records(1))
    assert ask(lane) == []
    assert not lane.seal_request.exists()


def test_a_request_names_what_is_open_and_is_for_the_owner_alone(tmp_path: Path) -> None:
    lane = new_lane(tmp_path)
    path = leave_open(lane, records(2))
    assert ask(lane) == [path]
    assert lane.seal_request.stat().st_mode & 0o7777 == 0o600


def test_what_a_writer_left_is_sealed_while_its_asker_waits(tmp_path: Path) -> None:
    lanes = [new_lane(tmp_path), new_lane(tmp_path, stream="logs")]
    for lane in lanes:
        leave_open(lane, records(2))
    looks: list[int] = []

    def recover_at_the_second_look() -> None:
        looks.append(1)
        if len(looks) == 2:
            for lane in lanes:
                recover(lane)

    assert ask_and_wait(lanes, recover_at_the_second_look) == []
    assert len(looks) == 2
    assert [list(lane.sealed_numbers()) for lane in lanes] == [[1], [1]]
