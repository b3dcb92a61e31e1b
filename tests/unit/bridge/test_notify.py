"""The service manager's socket: what is said, to whom, and what happens where nobody listens."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.operate.notify import ServiceManager


@pytest.fixture
def manager_socket(tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.settimeout(5)
        listening.bind(str(tmp_path / "notify"))
        yield str(tmp_path / "notify"), listening


def test_ready_status_alive_and_stopping_are_one_datagram_each(
    manager_socket: tuple[str, socket.socket],
) -> None:
    address, listening = manager_socket
    manager = ServiceManager(address)
    manager.ready()
    manager.status("3 lanes,\n12,000 records pending")
    manager.alive()
    manager.stopping()
    said = [listening.recv(4096) for _ in range(4)]
    assert said == [
        b"READY=1",
        b"STATUS=3 lanes, 12,000 records pending",
        b"WATCHDOG=1",
        b"STOPPING=1",
    ]


def test_an_abstract_socket_begins_with_an_at_sign() -> None:
    name = f"airgap-bridge-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.settimeout(5)
        listening.bind("\0" + name)
        ServiceManager("@" + name).ready()
        assert listening.recv(4096) == b"READY=1"


def test_without_a_manager_nothing_is_said() -> None:
    ServiceManager.of({}, 1).ready()
    ServiceManager.of({"NOTIFY_SOCKET": ""}, 1).stopping()


@pytest.mark.parametrize("address", ["vsock:2:1234", "relative"])
def test_a_socket_of_another_kind_is_an_error_and_not_silence(address: str) -> None:
    with pytest.raises(OSError, match="Address family not supported"):
        ServiceManager(address).ready()


def test_a_manager_that_is_gone_is_an_error_and_not_silence(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ServiceManager(str(tmp_path / "gone")).ready()


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({"WATCHDOG_USEC": "60000000"}, 60),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "7"}, 60),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "٦"}, None),
        ({}, None),
    ],
)
def test_the_watchdogs_time_is_ours_if_it_names_us(
    environment: dict[str, str], seconds: float | None
) -> None:
    assert ServiceManager.of(environment, 7).watchdog_s == seconds
