"""SIGTERM under load over TLS: what was acknowledged is kept, and nobody is left hanging."""

import json
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest
import zstandard

from bridge.demo.processes import free_port
from bridge.intake.connection import DESCRIPTORS_KEPT, LINGERING_MAX
from tests.support.clients.marks import raw_of_spool
from tests.support.commands import COMMAND, SECRET, bridge, environment

pytestmark = pytest.mark.enable_socket
HOST = "beacon.langchain.com"
PATH = "/v1/beacon/ingest-traces"
ENDS_S = 5.0
"""Seconds from the signal until nobody hangs."""
CLIENTS = 4


@pytest.fixture
def node(tmp_path: Path) -> Path:
    folder = tmp_path / "node"
    assert bridge("init", folder, "--node", "n", "--tls").code == 0
    (folder / "license_key").write_text(SECRET)
    return folder


def started(node: Path, *before: str) -> "tuple[subprocess.Popen[bytes], int]":
    """The daemon, run by the command ``before``, and its port."""
    port, config = free_port(), node / "bridge.yaml"
    text = config.read_text().replace("127.0.0.1:8480", f"127.0.0.1:{port}")
    config.write_text(text + "egress: {mode: offline}\n")
    with (node / "log").open("wb") as log:
        daemon = subprocess.Popen(
            [*before, *COMMAND, "--config", str(config), "run"], stderr=log, env=environment()
        )
    end = time.monotonic() + 60
    while b"daemon.ready" not in (said := (node / "log").read_bytes()):
        if daemon.poll() is not None or time.monotonic() > end:
            daemon.kill()
            pytest.fail(f"the daemon did not begin: {said.decode()}")
        time.sleep(0.05)
    return daemon, port


def trusting(node: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=node / "tls" / "ca.pem")


def body(mark: str) -> bytes:
    return json.dumps({"license": SECRET, "trace_transactions": [{"id": mark}]}).encode()


def secured(node: Path, port: int) -> ssl.SSLSocket:
    plain = socket.create_connection(("127.0.0.1", port), timeout=30)
    return trusting(node).wrap_socket(plain, server_hostname=HOST)


def let_in(node: Path, port: int) -> bool:
    try:
        secured(node, port).close()
    except ConnectionError:
        return False
    return True


def until_closed(connection: socket.socket) -> bytes:
    """What still comes; a connection that is reset is closed as well."""
    found = b""
    try:
        while piece := connection.recv(65536):
            found += piece
    except (ConnectionError, ssl.SSLError):
        pass
    return found


class Load:
    """Clients that send until they are refused; what was acknowledged to them."""

    def __init__(self, node: Path, port: int) -> None:
        self.acknowledged: list[str] = []
        self.ended_at: list[float] = []
        self._context = trusting(node)
        self._url = f"https://127.0.0.1:{port}{PATH}"
        self._threads = [threading.Thread(target=self._send, args=[n]) for n in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def _send(self, number: int) -> None:
        extensions, headers = {"sni_hostname": HOST}, {"Host": HOST}
        with httpx.Client(verify=self._context, trust_env=False, timeout=30) as client:
            for count in range(1_000_000):
                mark = f"mark-{number}-{count}"
                try:
                    answer = client.post(
                        self._url, content=body(mark), extensions=extensions, headers=headers
                    )
                except httpx.TransportError:
                    break
                if answer.status_code != 200:
                    assert answer.status_code == 503
                    break
                self.acknowledged.append(mark)
        self.ended_at.append(time.monotonic())

    def wait(self) -> None:
        for thread in self._threads:
            thread.join(30)


def test_what_was_acknowledged_over_tls_is_kept_and_nobody_hangs(node: Path) -> None:
    daemon, port = started(node)
    load = Load(node, port)
    head = f"POST {PATH} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n".encode()
    idle, half_head, half_body = (secured(node, port) for _ in range(3))
    silent = socket.create_connection(("127.0.0.1", port), timeout=30)
    whole = body("idle")
    idle.sendall(head + b"Content-Length: %d\r\n\r\n" % len(whole) + whole)
    answer = b""
    while b"inserted_count" not in answer:
        answer += idle.recv(65536)
    assert answer.startswith(b"HTTP/1.1 200")
    half_head.sendall(head)
    half_body.sendall(head + b'Content-Length: 1000\r\n\r\n{"license":')
    end = time.monotonic() + 30
    while len(load.acknowledged) < 50:
        assert time.monotonic() < end
        time.sleep(0.05)

    begun = time.monotonic()
    daemon.send_signal(signal.SIGTERM)
    answers = {
        name: until_closed(connection)
        for name, connection in {
            "idle": idle, "half_head": half_head, "half_body": half_body, "silent": silent,
        }.items()
    }  # fmt: skip
    load.wait()
    assert daemon.wait(30) == 0
    took = max(time.monotonic(), *load.ended_at) - begun
    for connection in (idle, half_head, half_body, silent):
        connection.close()

    assert took < ENDS_S, took
    assert answers["idle"] == answers["half_head"] == answers["silent"] == b""
    assert answers["half_body"] == b"" or b" 503 " in answers["half_body"].splitlines()[0]
    raw = raw_of_spool(node / "spool", "n", ["transactions"])
    kept = Counter(json.loads(line)["id"] for line in raw.splitlines())
    assert all(kept[mark] == 1 for mark in ["idle", *load.acknowledged])
    assert sum(kept.values()) <= len(load.acknowledged) + 1 + CLIENTS


def test_a_client_that_never_says_hello_is_cut_off_and_keeps_nobody_out(node: Path) -> None:
    daemon, port = started(node)
    try:
        silent = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(200)]
        begun = time.monotonic()
        secured(node, port).close()
        assert time.monotonic() - begun < 5
        assert until_closed(silent[0]) == b""
        assert time.monotonic() - begun < 20
        for connection in silent:
            connection.close()
    finally:
        daemon.terminate()
        assert daemon.wait(30) == 0


def test_clients_that_never_say_hello_leave_descriptors_to_the_spool(node: Path) -> None:
    daemon, port = started(node, "prlimit", f"--nofile={DESCRIPTORS_KEPT + 100}")
    try:
        silent = []
        for _ in range(500):
            connection = socket.socket()
            connection.settimeout(0)
            connection.connect_ex(("127.0.0.1", port))
            silent.append(connection)
        time.sleep(1)
        held = len(list(Path(f"/proc/{daemon.pid}/fd").iterdir()))
        assert 100 < held < 100 + LINGERING_MAX + 60
        for connection in silent:
            connection.close()
        end = time.monotonic() + 30
        while not let_in(node, port):  # that they are closed, it has to see first
            assert time.monotonic() < end
            time.sleep(0.1)
    finally:
        daemon.terminate()
        assert daemon.wait(30) == 0
    assert b'"level":"error"' not in (node / "log").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "why"), [(["-tls1_1"], "old"), (["-comp"], "compressed")], ids=["1.1", "zlib"]
)
def test_neither_old_versions_nor_compression_are_spoken(
    node: Path, arguments: list[str], why: str
) -> None:
    daemon, port = started(node)
    try:
        said = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", *arguments,
             "-cipher", "DEFAULT@SECLEVEL=0"],
            input=b"", capture_output=True, check=False, timeout=30,
        ).stdout  # fmt: skip
    finally:
        daemon.terminate()
        assert daemon.wait(30) == 0
    if why == "old":
        assert b"Cipher is (NONE)" in said
    else:
        assert b"Compression: NONE" in said


def processor_s(pid: int) -> float:
    """Seconds that a process has worked."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_large_body_that_is_being_judged_is_abandoned_and_not_acknowledged(node: Path) -> None:
    daemon, port = started(node)
    # Records of no usual shape, full of lists: more than is judged in the seconds that there are.
    record = b'{"severityNumber":17,"x":[%b1]}' % (b"[]," * 20)
    hostile = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[%b]}]}]}' % b",".join(
        [record] * (60 * 1024 * 1024 // len(record))
    )
    stored = zstandard.ZstdCompressor().compress(hostile)
    connection = secured(node, port)
    connection.sendall(
        f"POST /v1/logs HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
        f"Content-Encoding: zstd\r\nContent-Length: {len(stored)}\r\n\r\n".encode()
        + stored
    )
    idle_s = processor_s(daemon.pid)
    end = time.monotonic() + 60
    while processor_s(daemon.pid) < idle_s + 0.8:  # more than it takes to decompress it
        assert time.monotonic() < end
        time.sleep(0.05)

    at_signal_s, begun = processor_s(daemon.pid), time.monotonic()
    daemon.send_signal(signal.SIGTERM)
    answer = until_closed(connection)
    hung = time.monotonic() - begun
    connection.close()
    _, status, used = os.wait4(daemon.pid, 0)
    took = time.monotonic() - begun
    daemon.returncode = os.waitstatus_to_exitcode(status)

    assert daemon.returncode == 0
    assert answer == b"" or b" 503 " in answer.splitlines()[0]
    assert hung < ENDS_S, hung
    assert took < 2 * ENDS_S, took
    assert used.ru_utime + used.ru_stime - at_signal_s < ENDS_S
    assert not list((node / "spool" / "n" / "logs").rglob("*.zst"))
    assert b"daemon.stopped" in (node / "log").read_bytes()
