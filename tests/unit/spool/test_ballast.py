"""Room is held by a file, made whole or not at all, and given back at once."""

from pathlib import Path

import pytest

from spool.ballast import Ballast
from tests.support.disks import FlakyDisk, no_room
from tests.support.spools import FAST

MIB = 1024 * 1024
SIZE = 2 * MIB + 7


def test_ballast_is_taken_once_and_let_go_once(tmp_path: Path) -> None:
    ballast = Ballast(FAST, tmp_path, SIZE)
    assert ballast.take(free=2 * SIZE)
    assert (tmp_path / "ballast").stat().st_size == SIZE
    assert not ballast.take(free=2 * SIZE)
    assert ballast.let_go()
    assert list(tmp_path.iterdir()) == []
    assert not ballast.let_go()


def test_ballast_does_not_compress_to_nothing(tmp_path: Path) -> None:
    Ballast(FAST, tmp_path, SIZE).take(free=2 * SIZE)
    held = (tmp_path / "ballast").read_bytes()
    assert all(len(set(held[at : at + 4096])) > 200 for at in range(0, 2 * MIB, 4096))


def test_ballast_is_not_taken_where_it_would_leave_less_than_itself(tmp_path: Path) -> None:
    assert not Ballast(FAST, tmp_path, SIZE).take(free=2 * SIZE - 1)
    assert list(tmp_path.iterdir()) == []


def test_no_ballast_is_no_file(tmp_path: Path) -> None:
    assert not Ballast(FAST, tmp_path, 0).take(free=SIZE)
    assert list(tmp_path.iterdir()) == []


def test_ballast_that_is_too_small_and_what_a_kill_left_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "ballast").write_bytes(b"x" * (SIZE - 1))
    (tmp_path / "ballast.tmp").write_bytes(b"x")
    assert Ballast(FAST, tmp_path, SIZE).take(free=2 * SIZE)
    assert [(path.name, path.stat().st_size) for path in tmp_path.iterdir()] == [("ballast", SIZE)]


@pytest.mark.parametrize("operation", ["write", "sync"])
def test_ballast_that_finds_no_room_leaves_nothing(tmp_path: Path, operation: str) -> None:
    disk = FlakyDisk()
    disk.failures = [(operation, no_room())]
    with pytest.raises(OSError, match="No space"):
        Ballast(disk, tmp_path, SIZE).take(free=2 * SIZE)
    assert list(tmp_path.iterdir()) == []
