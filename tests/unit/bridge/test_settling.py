"""What was written to a medium begins to leave for its disk before all of it is written."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.transfer.settling import STEP, Settling


@pytest.fixture
def written(tmp_path: Path) -> Iterator[int]:
    """A file of two steps, which its disk has."""
    fd = os.open(tmp_path / "bundle", os.O_RDWR | os.O_CREAT)
    os.write(fd, bytes(2 * STEP))
    os.fsync(fd)
    yield fd
    os.close(fd)


def test_a_whole_step_is_given_to_the_disk_and_what_follows_it_is_not(written: int) -> None:
    if not (_in_memory(written, 0) and _in_memory(written, STEP)):
        pytest.skip("this file system does not tell what it holds in memory")
    settling = Settling(written)

    settling.wrote(STEP - 1)
    assert _in_memory(written, 0)
    settling.wrote(1)

    # What the disk has already is let go at once, so one can see what it was asked for.
    assert not _in_memory(written, 0)
    assert _in_memory(written, STEP)


def test_each_byte_is_given_to_the_disk_once_and_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int, int, int]] = []
    monkeypatch.setattr(os, "posix_fadvise", lambda *what: asked.append(what))
    settling = Settling(7)
    for count, then in [
        (STEP - 1, []),
        (1, [(0, STEP)]),
        (STEP // 2, []),
        (STEP // 2 + 5, [(STEP, STEP + 5)]),
        (3 * STEP, [(2 * STEP + 5, 3 * STEP)]),
        (1, []),
    ]:
        settling.wrote(count)
        assert asked == [(7, at, size, os.POSIX_FADV_DONTNEED) for at, size in then]
        asked.clear()


def test_what_the_system_says_is_raised() -> None:
    reading, writing = os.pipe()
    try:
        with pytest.raises(OSError, match="seek"):
            Settling(writing).wrote(STEP)
    finally:
        os.close(reading)
        os.close(writing)


def _in_memory(fd: int, at: int) -> bool:
    try:
        return bool(os.preadv(fd, [bytearray(1)], at, os.RWF_NOWAIT))
    except OSError:
        return False
