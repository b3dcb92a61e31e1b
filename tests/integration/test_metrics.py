"""The admin listener: how things stand, for whoever watches."""

import http.client
import re
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from bridge.daemon.admin import AdminServer
from bridge.egress.event import Event
from bridge.operate.status import Status
from spool.errors import SpoolError
from tests.support.beacon import running_beacon
from tests.support.bridges import Node, node_for
from tests.support.sending import ONE
from tests.support.spools import wait_until

pytestmark = pytest.mark.enable_socket

TYPED = re.compile(r'airgap_bridge_\w+(\{\w+="[^"\\]*"(,\w+="[^"\\]*")*\})? -?[0-9.e+]+')


def admin_port(node: Node) -> int:
    found = re.search(r"admin: \{listen: 127\.0\.0\.1:(\d+)\}", node.config.read_text())
    assert found is not None
    return int(found[1])


def get(port: int, path: str = "/metrics", method: str = "GET") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def value(page: str, name: str) -> float:
    (line,) = (line for line in page.splitlines() if line.startswith(f"airgap_bridge_{name} "))
    return float(line.rpartition(" ")[2])


def test_metrics_say_what_the_status_says_and_turn_red_with_it(tmp_path: Path) -> None:
    with (
        running_beacon(tmp_path / "beacon") as beacon,
        node_for(tmp_path, beacon.url) as node,
    ):
        text = node.config.read_text()
        node.config.write_text(text.replace("{path: spool}", "{path: spool, seal: {age: 1s}}"))
        node.daemon.start()
        assert node.daemon.post("/v1/traces", ONE["traces"] % 1) == 200
        delivered = 'records{node="n",stream="traces",state="delivered"}'
        wait_until(lambda: value(get(admin_port(node))[1], delivered) == 1)
        status, page = get(admin_port(node))
        assert status == 200
        lines = [line for line in page.splitlines() if not line.startswith("#")]
        assert all(TYPED.fullmatch(line) for line in lines), page
        assert value(page, "healthy") == value(page, "progresses") == 1
        assert "lcl_" not in page
        beacon.set_faults({"path": "*", "times": None, "status": 403})
        node.daemon.post("/v1/traces", ONE["traces"] % 2)
        wait_until(lambda: value(get(admin_port(node))[1], "healthy") == 0)
        page = get(admin_port(node))[1]
        assert value(page, 'problem{id="egress.paused"}') == 1
        assert value(page, 'egress_state{state="paused"}') == 1


def test_the_admin_listener_shows_nothing_else_and_outlives_bad_requests(tmp_path: Path) -> None:
    with node_for(tmp_path, "http://127.0.0.1:9") as node:
        node.daemon.start()
        port = admin_port(node)
        assert get(port, "/")[0] == 404
        assert get(port, "/metrics/../../etc/passwd")[0] == 404
        assert get(port, method="POST")[0] == 501
        with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
            raw.sendall(b"\x00\xff" * 1000 + b"\r\n\r\n")
            raw.recv(4096)
        assert get(port)[0] == 200


def test_a_taken_address_is_told_and_stops_nothing(tmp_path: Path) -> None:
    with (
        node_for(tmp_path, "http://127.0.0.1:9") as node,
        socket.create_server(("127.0.0.1", admin_port(node))),
    ):
        node.daemon.start()
        assert node.daemon.post("/v1/traces", ONE["traces"] % 1) == 200
        assert "admin.listen" in node.log.read_text()


def test_a_fault_of_ours_is_told_once_and_whoever_breaks_off_is_not() -> None:
    said: list[Event] = []

    def broken() -> Status:
        raise ZeroDivisionError

    admin = AdminServer("127.0.0.1", 0, broken, said.append)
    try:
        for _ in range(2):
            with pytest.raises(http.client.RemoteDisconnected):
                get(admin.port)
        socket.create_connection(("127.0.0.1", admin.port), timeout=10).close()
        with pytest.raises(http.client.RemoteDisconnected):
            get(admin.port)
    finally:
        admin.close()
    assert [(each.name, each.fields["error"]) for each in said] == [("admin.failed", "internal")]
    assert "ZeroDivisionError" in said[0].message


def test_who_drips_a_request_keeps_nobody_waiting_for_long() -> None:
    def look() -> Status:
        raise SpoolError("disk.io", "It is asked, at least.", "Look again.")

    admin = AdminServer("127.0.0.1", 0, look, lambda _: None, request_s=0.5)
    ended = threading.Event()

    def drip(line: socket.socket) -> None:
        with suppress(OSError):
            while not ended.wait(0.05):
                line.send(b"G")

    try:
        with socket.create_connection(("127.0.0.1", admin.port), timeout=10) as line:
            dripping = threading.Thread(target=drip, args=(line,))
            dripping.start()
            try:
                assert get(admin.port)[0] == 500
            finally:
                ended.set()
                dripping.join()
    finally:
        admin.close()


def test_who_waits_for_a_disk_that_hangs_is_answered_and_so_is_who_asks_next() -> None:
    hangs, mended = threading.Event(), threading.Event()
    looks: list[int] = []

    def look() -> Status:
        looks.append(1)
        assert mended.wait(60)
        raise SpoolError("disk.io", "It is of then.", "Look again.")

    admin = AdminServer("127.0.0.1", 0, look, lambda _: None, hangs=hangs.is_set)
    try:
        with ThreadPoolExecutor(2) as pool:
            waiting = pool.submit(get, admin.port)
            wait_until(lambda: bool(looks))
            hangs.set()
            for status, page in (waiting.result(30), get(admin.port)):
                assert (status, value(page, 'problem{id="daemon.stalled"}')) == (200, 1)
        assert len(looks) == 1
        mended.set()
        wait_until(lambda: all(thread.name != "metrics" for thread in threading.enumerate()))
        hangs.clear()
        assert (get(admin.port), len(looks)) == ((500, "disk.io\n"), 2)
    finally:
        mended.set()
        admin.close()


_NO_DESCRIPTORS = r"""
import resource, socket, threading, time
from bridge.daemon.admin import AdminServer
admin = AdminServer("127.0.0.1", 0, None, None)
with socket.socket() as client:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    client.connect(("127.0.0.1", admin.port))
    used = time.process_time()
    time.sleep(0.5)
    used = time.process_time() - used
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    client.settimeout(20)
    client.sendall(b"GET / HTTP/1.0\r\n\r\n")
    assert client.recv(100).startswith(b"HTTP/1.0 404")
admin.close()
print(used)
"""


def test_without_a_descriptor_it_does_not_try_again_and_again_and_goes_on_later() -> None:
    command = [sys.executable, "-c", _NO_DESCRIPTORS]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert float(done.stdout) < 0.2
    assert done.stderr == ""
