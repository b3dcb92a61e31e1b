"""The daemon under a service manager: a real process and a real notify socket."""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from bridge.demo import clients
from spool.writer import Writer
from tests.integration.test_metrics import admin_port, get
from tests.support.beacon import running_beacon
from tests.support.bridges import Node, node_for
from tests.support.commands import environment

pytestmark = pytest.mark.enable_socket

_FAILING = """
import builtins, os, sys, threading
from pathlib import Path
from bridge.config import load
from bridge.config.licensekeys import LicenseKeys
from bridge.daemon.run import Daemon
from bridge.operate.logs import configure
from keys.keyfile import read_signing_key

class Broken(LicenseKeys):
    def to_send(self, node):
        if threading.current_thread().name.startswith(sys.argv[2]):
            raise getattr(builtins, sys.argv[3])("a fault of the program")
        return None

config = load(Path(sys.argv[1]), os.environ)
configure("json", 0, [])
daemon = Daemon(config, read_signing_key(config.keys.path / "node.pem"), Broken({}))
try:
    daemon.serve()
finally:
    daemon.close()
"""


class Manager:
    """What a service manager hears."""

    def __init__(self, listening: socket.socket) -> None:
        self._listening = listening
        self.heard: list[str] = []

    def drop(self) -> None:
        """Forget what was said and not heard yet."""
        self._listening.settimeout(0)
        with suppress(BlockingIOError):
            while True:
                self._listening.recv(4096)

    def wait_for(self, wanted: Callable[[str], bool], seconds: float = 25) -> str:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._listening.settimeout(max(end - time.monotonic(), 0.01))
            said = self._listening.recv(4096).decode()
            self.heard.append(said)
            if wanted(said):
                return said
        raise AssertionError(self.heard)


@contextmanager
def supervised(
    node: Node, folder: Path, arguments: list[str], watchdog_s: float = 3
) -> Iterator[tuple[Manager, subprocess.Popen[bytes]]]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(folder / "notify"))
        manager_environment = {
            **environment(),
            "BRIDGE_SPOOL__SEAL__AGE": "100ms",  # sealed at once, and so soon in flight
            "NOTIFY_SOCKET": str(folder / "notify"),
            "WATCHDOG_USEC": str(int(watchdog_s * 1_000_000)),
        }
        with (
            node.log.open("ab") as log,
            subprocess.Popen(
                [sys.executable, *arguments], env=manager_environment, stdout=log, stderr=log
            ) as process,
        ):
            try:
                yield Manager(listening), process
            finally:
                process.kill()


def _run(node: Node) -> list[str]:
    return ["-m", "bridge.cli.main", "--config", str(node.config), "run"]


@pytest.mark.parametrize("mode", ["online", "offline"])
def test_the_service_manager_hears_ready_status_life_and_the_end(tmp_path: Path, mode: str) -> None:
    more = "egress: {mode: offline}\n" if mode == "offline" else ""
    with (
        running_beacon(tmp_path / "beacon") as beacon,
        node_for(tmp_path, beacon.url, more=more) as node,
        supervised(node, tmp_path, _run(node)) as (manager, process),
    ):
        manager.wait_for(lambda said: said == "READY=1")
        # What is said before it would be a lie.
        assert manager.heard == ["READY=1"]
        status = manager.wait_for(lambda said: said.startswith("STATUS="))
        state = "up" if mode == "online" else "offline"
        assert status.startswith("STATUS=")
        assert "records pending, egress" in status
        for _ in range(3):
            manager.wait_for(lambda said: said == "WATCHDOG=1", 20)
        last = rf"STATUS=\d lanes, 0 records pending, egress {state}"
        # A line that is as before is not said again.
        if not any(re.fullmatch(last, said) for said in manager.heard):
            manager.wait_for(lambda said: re.fullmatch(last, said) is not None, 20)
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        manager.wait_for(lambda said: said == "STOPPING=1", 10)
        assert process.wait(10) == 0
        assert time.monotonic() - begun < 10


def test_a_stop_in_the_midst_of_an_outage_and_of_requests_takes_less_than_ten_seconds(
    tmp_path: Path,
) -> None:
    with (
        running_beacon(tmp_path / "beacon") as beacon,
        node_for(tmp_path, beacon.url) as node,
        supervised(node, tmp_path, _run(node)) as (manager, process),
    ):
        manager.wait_for(lambda said: said == "READY=1")
        beacon.set_faults({"path": "*", "times": None, "delay_s": 60})
        request = next(clients.captured())
        assert node.daemon.post(request.path, request.body) == 200
        with Writer(node.spool, "transactions", node=node.name) as writer:
            writer.append([b'{"id":"a"}'])
        time.sleep(3)  # for a request to be in flight that nobody answers for a minute
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert time.monotonic() - begun < 10
        # Whoever comes next repeats it, and says that it is a repetition.
        beacon.set_faults()
        assert node.bridge("run", "--once").returncode == 0
        assert beacon.received()["transactions"]["distinct"] == 1


def test_a_daemon_that_is_stopped_by_the_kernel_feeds_no_watchdog(tmp_path: Path) -> None:
    with (
        running_beacon(tmp_path / "beacon") as beacon,
        node_for(tmp_path, beacon.url) as node,
        supervised(node, tmp_path, _run(node), watchdog_s=1.5) as (manager, process),
    ):
        manager.wait_for(lambda said: said == "WATCHDOG=1")
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(0.5)
        manager.drop()
        with pytest.raises(TimeoutError):
            manager.wait_for(lambda said: said == "WATCHDOG=1", 3)


def _failing(node: Node, thread: str, error: str) -> list[str]:
    return ["-c", _FAILING, str(node.config), thread, error]


def test_a_thread_that_dies_ends_the_daemon_which_says_so(tmp_path: Path) -> None:
    with (
        running_beacon(tmp_path / "beacon") as beacon,
        node_for(tmp_path, beacon.url) as node,
        supervised(node, tmp_path, _failing(node, "send", "ZeroDivisionError")) as (
            manager,
            process,
        ),
    ):
        manager.wait_for(lambda said: said == "READY=1")
        with Writer(node.spool, "transactions", node=node.name) as writer:
            writer.append([b'{"id":"a"}'])
        manager.wait_for(lambda said: said == "STOPPING=1")
        assert process.wait(20) == 1
        log = node.log.read_text()
        assert '"event":"daemon.broken"' in log
        assert '"error":"ZeroDivisionError"' in log


def test_so_does_the_one_that_shows_metrics(tmp_path: Path) -> None:
    with (
        node_for(tmp_path, "http://127.0.0.1:9") as node,
        supervised(node, tmp_path, _failing(node, "metrics", "SystemExit")) as (manager, process),
    ):
        manager.wait_for(lambda said: said == "READY=1")
        with pytest.raises(http.client.RemoteDisconnected):
            get(admin_port(node))
        manager.wait_for(lambda said: said == "STOPPING=1")
        assert process.wait(20) == 1
        log = node.log.read_text()
        assert '"event":"daemon.broken"' in log
        assert '"error":"SystemExit"' in log
