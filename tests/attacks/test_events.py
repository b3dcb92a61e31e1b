"""Events of the file system (112, 114) only wake a daemon: without them, or with too many, it sends."""

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from keys.keyfile import read_signing_key
from spool.lane import Lane
from spool.writer import Writer
from tests.support.apart import ServiceApart
from tests.support.beacon import RunningBeacon, running_beacon
from tests.support.bridges import Node, node_for
from tests.support.spools import wait_until

pytestmark = pytest.mark.enable_socket
FILES = 40_000
"""More than the kernel keeps events."""
_QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")


def failing(calls: str, error: str) -> tuple[str, ...]:
    """Around a daemon: these system calls fail, each time, and its log tells of it."""
    inject = ("-e", f"trace={calls}", "-e", f"inject={calls}:error={error}")
    return ("strace", "-D", "-f", "-qq", *inject)


class WithoutQueue(ServiceApart):
    """The kernel gives it nothing that could hold events."""

    under = failing("inotify_init,inotify_init1", "EMFILE")


class WithoutWatches(ServiceApart):
    """The kernel watches no folder for it."""

    under = failing("inotify_add_watch", "ENOSPC")


SERVICES: dict[str, type[ServiceApart]] = {
    "twin": ServiceApart,
    "no-queue": WithoutQueue,
    "no-watch": WithoutWatches,
}


@contextmanager
def running(folder: Path, service: type[ServiceApart]) -> Iterator[tuple[Node, RunningBeacon]]:
    with (
        running_beacon(folder / "beacon") as beacon,
        node_for(folder, beacon.url, service=service) as node,
    ):
        node.daemon.start()
        append(node, "first")
        all_arrived(node, beacon, 1)
        yield node, beacon


def append(node: Node, name: str) -> None:
    """One record, sealed by another process than the daemon's."""
    signer = read_signing_key(node.folder / "keys" / "node.pem")
    with Writer(node.spool, "transactions", node=node.name, signer=signer) as writer:
        writer.append([b'{"id":"%b"}' % name.encode()])


def all_arrived(node: Node, beacon: RunningBeacon, count: int) -> None:
    """So many, each once, before long."""
    wait_until(
        lambda: beacon.received().get("transactions", {}).get("distinct") == count, every_s=0.1
    )
    assert beacon.received()["transactions"]["records"] == count
    assert isinstance(node.daemon, ServiceApart)
    node.daemon.keeps_to_bounds()


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not here")
@pytest.mark.parametrize("name", list(SERVICES))
def test_attack_114_a_daemon_that_no_event_reaches_sends_all_the_same(
    tmp_path: Path, name: str
) -> None:
    with running(tmp_path, SERVICES[name]) as (node, beacon):
        for number in (2, 3):
            append(node, f"{number}")
            all_arrived(node, beacon, number)
        if name == "twin":
            assert "(INJECTED)" not in node.log.read_text()
        else:
            wait_until(lambda: "(INJECTED)" in node.log.read_text())
        assert node.bridge("status").returncode == 0
        assert node.bridge("verify", str(node.spool)).returncode == 0


@pytest.mark.parametrize("files", [FILES, 0], ids=["files", "twin"])
def test_attack_112_forty_thousand_files_at_once_hide_no_segment(
    tmp_path: Path, files: int
) -> None:
    # The daemon stands still meanwhile, and reads none of them.
    assert int(_QUEUE.read_text()) < FILES
    with running(tmp_path, ServiceApart) as (node, beacon):
        assert isinstance(node.daemon, ServiceApart)
        lane = Lane(node.spool, node.name, "transactions")
        folder = os.open(lane.folder, os.O_RDONLY | os.O_DIRECTORY)
        node.daemon.process.send_signal(signal.SIGSTOP)
        for number in range(files):
            name = f"x{number}"
            os.close(os.open(name, os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=folder))
        for number in range(2, 5):
            append(node, f"{number}")  # what tells of these comes last, and is not kept
        node.daemon.process.send_signal(signal.SIGCONT)
        all_arrived(node, beacon, 4)
        for number in range(files):
            os.unlink(f"x{number}", dir_fd=folder)
        os.close(folder)
        assert node.bridge("status").returncode == 0
        assert node.bridge("verify", str(node.spool)).returncode == 0
