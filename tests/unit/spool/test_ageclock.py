"""When the wall clock is believed about ages."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from spool.ageclock import BACK_MAX_MS, STEP_MAX_MS, Look, next_look, read_look, write_look
from tests.support.disks import FastDisk

NOW = 1_795_424_400_000
HOUR = 3_600_000


def evenly(look: Look | None, since: int, hours: int) -> Look:
    for hour in range(hours):
        look = next_look(look, since + hour * HOUR)
    assert look is not None
    return look


def test_a_clock_that_goes_on_evenly_for_a_week_is_believed() -> None:
    assert not evenly(None, NOW, 24 * 7).believed
    assert evenly(None, NOW, 24 * 7 + 1).believed


@given(st.integers(-(10**12), 10**12).filter(lambda ms: not -BACK_MAX_MS <= ms <= STEP_MAX_MS))
def test_a_step_in_either_direction_is_doubted_for_a_week(step: int) -> None:
    look = evenly(None, NOW, 24 * 8)
    stepped = next_look(look, look.at + step)
    assert not stepped.believed
    assert not evenly(stepped, stepped.at, 24 * 7).believed
    assert evenly(stepped, stepped.at, 24 * 7 + 1).believed


def test_a_clock_that_is_put_right_by_seconds_stays_believed() -> None:
    look = evenly(None, NOW, 24 * 8)
    assert next_look(look, look.at - 5000).believed


def test_a_look_is_noted_and_read_and_what_is_no_note_is_none(tmp_path: Path) -> None:
    assert read_look(tmp_path) is None
    look = Look(NOW, NOW + 5)
    write_look(FastDisk(), tmp_path, look)
    assert read_look(tmp_path) == look
    (tmp_path / "retention.json").write_bytes(b'{"v":1,"at":1.5}')
    assert read_look(tmp_path) is None
