"""Kernel locks: they mean the name, end with their process, and are not inherited."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from spool import locks
from spool.durable import OS_DISK
from spool.errors import SpoolError


def test_a_lock_is_had_by_one_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    fd = locks.take(path)
    assert fd is not None
    assert locks.take(path, wait=False) is None
    locks.let_go(fd)
    again = locks.take(path, wait=False)
    assert again is not None
    locks.let_go(again)


def test_a_shared_lock_is_had_by_many_and_by_no_exclusive_one(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    held = [locks.take(path, shared=True, wait=False) for _ in range(3)]
    assert None not in held
    assert locks.take(path, wait=False) is None
    for fd in held:
        assert fd is not None
        locks.let_go(fd)


def test_who_waits_gets_the_lock_on_the_file_that_has_the_name_then(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first = locks.take(path)
    assert first is not None
    taken: list[int | None] = []
    waiting = threading.Thread(target=lambda: taken.append(locks.take(path)))
    waiting.start()
    path.rename(tmp_path / "moved")
    locks.let_go(first)
    waiting.join()
    (fd,) = taken
    assert fd is not None
    assert locks.still_named(fd, path)
    locks.let_go(fd)


def test_a_lock_on_a_file_that_lost_its_name_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "file"
    fd = OS_DISK.create(path)
    path.unlink()
    assert not locks.try_lock(fd, path)
    OS_DISK.close(fd)


def test_a_lock_on_a_file_whose_name_another_has_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "file"
    fd = OS_DISK.create(path)
    path.unlink()
    path.write_bytes(b"")
    assert not locks.try_lock(fd, path)
    path.unlink()
    path.symlink_to(f"/proc/self/fd/{fd}")
    assert not locks.try_lock(fd, path)
    OS_DISK.close(fd)


@pytest.mark.parametrize("kind", ["symlink", "dangling", "folder", "fifo"])
def test_what_is_no_lock_file_is_neither_followed_nor_waited_for(tmp_path: Path, kind: str) -> None:
    path, victim = tmp_path / "lock", tmp_path / "victim"
    if kind == "symlink":
        victim.write_bytes(b"")
        path.symlink_to(victim)
    elif kind == "dangling":
        path.symlink_to(victim)
    elif kind == "folder":
        path.mkdir()
    else:
        os.mkfifo(path)
    with pytest.raises(SpoolError) as caught:
        locks.take(path)
    assert caught.value.id == "lock.kind"
    assert victim.exists() == (kind == "symlink")


def test_a_killed_process_lets_go_of_its_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    program = (
        "import sys, time; from pathlib import Path; from spool import locks\n"
        "locks.take(Path(sys.argv[1])); print('held', flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, path],
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        assert locks.take(path, wait=False) is None
        child.kill()
    fd = locks.take(path, wait=False)
    assert fd is not None
    locks.let_go(fd)


def test_a_living_child_does_not_hold_the_lock_of_its_parent_that_was_killed(
    tmp_path: Path,
) -> None:
    path = tmp_path / "lock"
    program = (
        "import os, sys, time; from pathlib import Path; from spool import locks\n"
        "locks.take(Path(sys.argv[1])); pid = os.fork()\n"
        "if pid == 0: print(os.getpid(), flush=True)\n"
        "time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, path],
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert locks.take(path, wait=False) is None
        parent.kill()
        parent.wait()
        try:
            fd = locks.take(path, wait=False)
        finally:
            os.kill(child, signal.SIGKILL)
    assert fd is not None
    locks.let_go(fd)


def _fork_that_waits() -> tuple[int, int]:
    """A child that lives until the returned pipe is closed."""
    wait, end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(end)
            os.read(wait, 1)
        finally:
            os._exit(0)
    os.close(wait)
    return pid, end


def test_a_living_child_does_not_hold_the_lock_that_its_parent_let_go(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    fd = locks.take(path)
    assert fd is not None
    pid, end = _fork_that_waits()
    try:
        locks.let_go(fd)
        again = locks.take(path, wait=False)
        assert again is not None
        locks.let_go(again)
    finally:
        os.close(end)
        os.waitpid(pid, 0)


def test_children_forked_while_other_threads_lock_and_let_go_hold_nothing(tmp_path: Path) -> None:
    stop = threading.Event()

    def churn(path: Path) -> None:
        while not stop.is_set():
            fd = locks.take(path)
            assert fd is not None
            locks.let_go(fd)

    paths = [tmp_path / f"{n}" for n in range(3)]
    threads = [threading.Thread(target=churn, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    children = [_fork_that_waits() for _ in range(30)]
    stop.set()
    for thread in threads:
        thread.join()
    try:
        for path in paths:
            fd = locks.take(path, wait=False)
            assert fd is not None, "a child holds it"
            locks.let_go(fd)
    finally:
        for _, end in children:
            os.close(end)
        for pid, _ in children:
            os.waitpid(pid, 0)
