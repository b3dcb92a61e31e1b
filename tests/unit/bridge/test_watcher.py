"""Events wake, and nothing that goes wrong with them stops anything."""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bridge.egress.watcher import HeadWatcher
from spool.waking import ask_to_wake

SOON_S = 10.0
"""Seconds for an event to come; it takes milliseconds, a loaded machine may need more."""
QUIET_S = 0.3
"""Seconds without an event after which none comes any more."""


class Bell:
    """Rings when it is waked."""

    def __init__(self) -> None:
        self.rung = threading.Event()

    def __call__(self) -> None:
        self.rung.set()

    def rings(self, seconds: float = SOON_S) -> bool:
        found = self.rung.wait(seconds)
        self.rung.clear()
        return found


@contextmanager
def watching(wake: Callable[[], None], *folders: Path) -> Iterator[HeadWatcher]:
    watcher = HeadWatcher(wake)
    watcher.start()
    try:
        for folder in folders:
            watcher.follow(folder)
        yield watcher
    finally:
        watcher.stop()


def put_head(lane: Path) -> None:
    """As the durable head is replaced: a temporary file, then a rename."""
    temporary = lane / "head.tmp"
    temporary.write_bytes(b"x")
    temporary.rename(lane / "head")


def lane_in(folder: Path, name: str = "logs") -> Path:
    lane = folder / name
    (lane / "sealed" / "00000000").mkdir(parents=True)
    (lane / "open").mkdir()
    return lane


def test_a_new_head_wakes(tmp_path: Path) -> None:
    lane, bell = lane_in(tmp_path), Bell()
    with watching(bell, lane) as watcher:
        for _ in range(3):
            put_head(lane)
            assert bell.rings()
        assert watcher.deaf is None


def test_nothing_else_in_a_lane_wakes(tmp_path: Path) -> None:
    lane, bell = lane_in(tmp_path), Bell()
    put_head(lane)
    with watching(bell, lane):
        (lane / "head").read_bytes()
        (lane / "delivered").write_bytes(b"x")
        (lane / "head.tmp").write_bytes(b"x")
        (lane / "open" / "w.ndjson.zst").write_bytes(b"x")
        (lane / "sealed" / "00000000" / "head").write_bytes(b"x")
        assert not bell.rings(QUIET_S)


def test_whoever_asks_for_sending_wakes(tmp_path: Path) -> None:
    bell = Bell()
    with watching(bell, tmp_path):
        for _ in range(2):
            ask_to_wake(tmp_path)
            assert bell.rings()
        (tmp_path / "egress.json").write_bytes(b"{}")
        assert not bell.rings(QUIET_S)


def test_lanes_can_be_added_and_said_twice(tmp_path: Path) -> None:
    bell = Bell()
    first, second = lane_in(tmp_path), lane_in(tmp_path, "traces")
    with watching(bell, first, first) as watcher:
        watcher.follow(second)
        for lane in (first, second):
            put_head(lane)
            assert bell.rings()


def test_a_lane_that_was_made_anew_is_watched_when_it_is_said_again(tmp_path: Path) -> None:
    lane, bell = lane_in(tmp_path), Bell()
    with watching(bell, lane) as watcher:
        lane.rename(tmp_path / "old")
        lane_in(tmp_path)
        watcher.follow(lane)
        bell.rung.clear()
        put_head(lane)
        assert bell.rings()


def test_a_lane_that_was_deleted_is_watched_when_it_is_back(tmp_path: Path) -> None:
    lane, bell = lane_in(tmp_path), Bell()
    with watching(bell, lane) as watcher:
        shutil.rmtree(lane)
        watcher.follow(lane)
        lane_in(tmp_path)
        watcher.follow(lane)
        bell.rung.clear()
        put_head(lane)
        assert bell.rings()
        assert watcher.deaf is None


def test_a_lane_that_got_the_same_inode_again_is_watched_after_a_look(tmp_path: Path) -> None:
    lane, bell = lane_in(tmp_path), Bell()
    with watching(bell, lane) as watcher:
        shutil.rmtree(lane)
        lane_in(tmp_path)
        for _ in range(100):
            watcher.follow(lane)
            put_head(lane)
            if bell.rings(0.1):
                break
        put_head(lane)
        assert bell.rings()


def test_a_lane_that_is_not_there_yet_makes_nobody_deaf(tmp_path: Path) -> None:
    bell = Bell()
    with watching(bell, tmp_path / "logs") as watcher:
        assert watcher.deaf is None
        lane = lane_in(tmp_path)
        watcher.follow(lane)
        put_head(lane)
        assert bell.rings()


def test_attack_114_an_error_of_the_waking_is_told_and_the_next_event_comes(tmp_path: Path) -> None:
    lane, bell = lane_in(tmp_path), Bell()

    def wake() -> None:
        bell()
        raise ValueError("no")

    with watching(wake, lane) as watcher:
        for _ in range(3):
            put_head(lane)
            assert bell.rings()
    assert watcher.deaf == "ValueError: no"


_RENAMES = """
import os, sys
os.chdir(sys.argv[1])
open("one", "w").close()
for _ in range(int(sys.argv[2])):
    os.rename("one", "two")
    os.rename("two", "one")
"""
_QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")


def test_attack_112_after_more_events_than_the_kernel_keeps_the_next_head_wakes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lane, bell = lane_in(tmp_path), Bell()
    times = int(_QUEUE.read_text()) // 2  # four events each: twice what it keeps
    with watching(bell, lane) as watcher:
        subprocess.run([sys.executable, "-c", _RENAMES, str(lane), str(times)], check=True)
        put_head(lane)  # this one may be among those that were lost
        end = time.monotonic() + 60
        while not bell.rings(0.5):
            put_head(lane)
            assert time.monotonic() < end
        assert watcher.deaf is None
    assert "overflow" in caplog.text


def test_a_lane_may_have_any_name_that_a_file_may_have(tmp_path: Path) -> None:
    lane, bell = lane_in(tmp_path, os.fsdecode(b"\xff\xfe")), Bell()
    with watching(bell, lane) as watcher:
        put_head(lane)
        assert bell.rings() or watcher.deaf is not None


_NO_DESCRIPTORS = """
import resource, sys
from pathlib import Path
from bridge.egress.watcher import HeadWatcher
lane = Path(sys.argv[1])
watcher = HeadWatcher(lambda: None)
resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
watcher.start()
watcher.follow(lane)
watcher.follow(lane)
watcher.stop()
print(watcher.deaf)
"""


def test_where_the_kernel_gives_no_watch_it_is_deaf_and_goes_on(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _NO_DESCRIPTORS, str(lane_in(tmp_path))]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith("OSError: ")
    assert done.stderr == ""


def test_it_can_be_stopped_without_having_been_started() -> None:
    HeadWatcher(lambda: None).stop()


def test_it_hears_of_the_folders_that_it_follows_until_one_is_gone(tmp_path: Path) -> None:
    first, second = lane_in(tmp_path), lane_in(tmp_path, "traces")
    watcher = HeadWatcher(lambda: None)
    assert not watcher.hears([])
    with watching(lambda: None, first) as watcher:
        assert watcher.hears([first])
        assert not watcher.hears([first, second])
        watcher.follow(second)
        assert watcher.hears([first, second])
        shutil.rmtree(second)
        watcher.follow(second)
        assert not watcher.hears([first, second])
    assert not watcher.hears([first])
