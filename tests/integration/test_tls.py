"""The intake speaks TLS as the beacon would; its certificate is exchanged under load, and renewed."""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest
from cryptography import x509

from bridge.config.load import load
from bridge.daemon.certwatch import tls_for
from bridge.demo.processes import free_port
from bridge.intake.app import Intake
from bridge.intake.gate import Gate
from bridge.intake.server import IntakeServer
from bridge.intake.tls import IntakeTls
from bridge.intake.tlsfolder import renew
from spool.clock import SYSTEM_CLOCK
from spool.secrets import SecretGuard
from spool.streams import STREAMS
from spool.writer import Writer
from tests.support.commands import COMMAND, SECRET, bridge, environment
from tests.support.spools import wait_until
from tests.support.stored import open_lines

pytestmark = pytest.mark.enable_socket
HOST = "beacon.langchain.com"
ONE = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityNumber":17}]}]}]}'
REQUEST = (
    b"POST /v1/beacon/v1/logs HTTP/1.1\r\nHost: %b\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (HOST.encode(), len(ONE), ONE)
)
RELOADS = 100
REQUESTS_PER_RELOAD = 50
"""5,000 altogether; that a thousand a second are kept meanwhile, scripts/bench renewing measures."""
CLIENTS = 4
KEPT_PER_NEW = 4
"""Requests on the connection that stays, for each on a new one."""


def made(folder: Path, *more: str | Path) -> Path:
    told = bridge("init", folder, "--node", "n", "--tls", *more)
    assert told.code == 0, told.err
    return folder / "tls"


def serial(port: int, ca: Path) -> str:
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", HOST,
         "-CAfile", str(ca), "-verify_hostname", HOST, "-verify_return_error", "-tls1_2"],
        input=b"", capture_output=True, check=True, timeout=30,
    )  # fmt: skip
    shown = ["openssl", "x509", "-noout", "-serial"]
    return subprocess.run(shown, input=done.stdout, capture_output=True, check=True).stdout.decode()


def serial_of(file: Path) -> str:
    shown = ["openssl", "x509", "-noout", "-serial", "-in", str(file)]
    return subprocess.run(shown, capture_output=True, check=True).stdout.decode()


def tls_of(folder: Path) -> IntakeTls:
    found = tls_for(load(folder / "bridge.yaml", {}), SYSTEM_CLOCK)
    assert found is not None
    return found


class Load:
    """Clients that send without a pause, on connections that stay and on new ones."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self._port = port
        self._context = context
        self._ended = threading.Event()
        self._done = [0] * CLIENTS
        self.failed: list[str] = []
        self._threads = [threading.Thread(target=self._run, args=[n]) for n in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    @property
    def done(self) -> int:
        return sum(self._done)

    def wait_for(self, done: int) -> None:
        """Return when so many requests were answered."""
        wait_until(lambda: self.done >= done or bool(self.failed), 120)

    def end(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def connect(self) -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", self._port), timeout=60)
        return self._context.wrap_socket(plain, server_hostname=HOST)

    def _run(self, number: int) -> None:
        with self.connect() as kept:
            while not self._ended.is_set():
                try:
                    for _ in range(KEPT_PER_NEW):
                        self._ask(kept, number)
                    with self.connect() as new:
                        self._ask(new, number)
                except (OSError, AssertionError) as error:
                    self.failed.append(repr(error))
                    return

    def _ask(self, connection: ssl.SSLSocket, number: int) -> None:
        connection.sendall(REQUEST)
        said = b""
        while not said.endswith(b"{}"):
            piece = connection.recv(4096)
            assert piece, said
            said += piece
        assert said.startswith(b"HTTP/1.1 200 "), said
        self._done[number] += 1


def test_a_hundred_certificates_under_load_fail_no_request(tmp_path: Path) -> None:
    """While requests go on, each new connection is given the newest; all that was taken is there."""
    ca_key = tmp_path / "ca-key.pem"
    place = made(tmp_path / "node", "--ca-key", ca_key)
    tls = tls_of(tmp_path / "node")
    context = ssl.create_default_context(cafile=place / "ca.pem")
    with ExitStack() as held:
        writers = {n: held.enter_context(Writer(tmp_path / "spool", n, node="n")) for n in STREAMS}
        gate = Gate(lambda key: key == SECRET, open_otlp=True)
        intake = Intake(writers, gate, SecretGuard([SECRET]), lambda _: True, Random(1))
        server = IntakeServer(intake, "127.0.0.1", 0, tls.context)
        server.start()
        held.callback(server.stop)
        load = Load(server.port, context)
        held.callback(load.end)
        for number in range(RELOADS):
            load.wait_for(number * REQUESTS_PER_RELOAD)
            renew(place, HOST, ca_key, datetime.now(UTC), new_ca=False)
            tls.reload()
            with load.connect() as new:
                served = new.getpeercert()
            assert served is not None
            newest = x509.load_pem_x509_certificate((place / "cert.pem").read_bytes())
            assert int(str(served["serialNumber"]), 16) == newest.serial_number
        now_served = serial(server.port, place / "ca.pem")
        load.end()
        assert load.failed == []
        assert load.done >= (RELOADS - 1) * REQUESTS_PER_RELOAD
        assert now_served == serial_of(place / "cert.pem")
    assert len(open_lines(tmp_path / "spool", "logs")) == load.done


@pytest.mark.parametrize("name", [HOST, None])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_running_bridge_takes_a_renewed_certificate_on_sighup(
    tmp_path: Path, name: str | None, version: ssl.TLSVersion
) -> None:
    folder, key = tmp_path / "node", tmp_path / "ca-key.pem"
    place = made(folder, "--ca-key", key)
    (folder / "license_key").write_text(SECRET)
    port, config = free_port(), folder / "bridge.yaml"
    config.write_text(
        config.read_text().replace("127.0.0.1:8480", f"127.0.0.1:{port}")
        + "egress: {mode: offline}\n"
    )
    client = ssl.create_default_context(cafile=place / "ca.pem")
    client.check_hostname = False
    client.minimum_version = client.maximum_version = version

    def served() -> str:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
            client.wrap_socket(plain, server_hostname=name) as secure,
        ):
            found = secure.getpeercert()
            assert found is not None
            return str(found["serialNumber"])

    with (tmp_path / "log").open("wb") as log:
        daemon = subprocess.Popen(
            [*COMMAND, "--config", str(config), "run"], stderr=log, env=environment()
        )
    try:
        before = waited(served)
        assert bridge("init", folder, "--tls", "--renew", "--ca-key", key).code == 0
        daemon.send_signal(signal.SIGHUP)
        end = time.monotonic() + 30
        while served() == before:
            assert time.monotonic() < end
            time.sleep(0.1)
        (place / "cert.pem").write_bytes(b"x")
        daemon.send_signal(signal.SIGHUP)
        end = time.monotonic() + 30
        while "tls.cert" not in problems(config):
            assert time.monotonic() < end
        assert served() != before
    finally:
        daemon.terminate()
        assert daemon.wait(30) == 0
    log_lines = [json.loads(line)["event"] for line in (tmp_path / "log").read_text().splitlines()]
    assert log_lines.count("tls.taken") == log_lines.count("tls.refused") == 1


def waited(served: Callable[[], str]) -> str:
    end = time.monotonic() + 30
    while True:
        try:
            return served()
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.1)


def problems(config: Path) -> list[str]:
    told = bridge("--config", config, "status", "--json")
    return [problem["id"] for problem in told.answer["problems"]]


def test_a_bridge_with_a_certificate_that_cannot_be_served_does_not_start(tmp_path: Path) -> None:
    place = made(tmp_path / "node")
    (place / "key.pem").chmod(0o644)
    (tmp_path / "node" / "license_key").write_text(SECRET)
    told = bridge("--config", tmp_path / "node" / "bridge.yaml", "run")
    assert told.code == 78
    assert "tls.key_mode" in told.err


def test_half_of_a_pair_in_the_configuration_is_an_error(tmp_path: Path) -> None:
    config = tmp_path / "bridge.yaml"
    config.write_text("node: n\nintake: {tls: {cert: tls/cert.pem}}\n")
    told = bridge("--config", config, "status")
    assert told.code == 78
    assert "config.tls" in told.err


def test_init_keeps_what_it_made_and_forgets_the_key_of_the_ca(tmp_path: Path) -> None:
    place = made(tmp_path / "node")
    before = {path: path.read_bytes() for path in place.iterdir()}
    assert {path.name for path in before} == {"ca.pem", "cert.pem", "key.pem"}
    assert (place / "key.pem").stat().st_mode & 0o777 == 0o600
    made(tmp_path / "node")
    assert {path: path.read_bytes() for path in place.iterdir()} == before
    assert "tls.made" in bridge("init", tmp_path / "node", "--tls", "--ca-key", tmp_path / "k").err
    refused = bridge("init", tmp_path / "node", "--tls", "--renew")
    assert refused.code == 78
    assert "tls.ca_key_missing" in refused.err
    assert "--new-ca" in refused.err


def test_a_new_ca_is_given_out_beside_the_old_one_before_its_certificate_is_served(
    tmp_path: Path,
) -> None:
    place = made(tmp_path / "node")
    before = (place / "cert.pem").read_bytes()
    assert bridge("init", tmp_path / "node", "--tls", "--renew", "--new-ca").code == 0
    assert (place / "cert.pem").read_bytes() == before
    assert (place / "ca.pem").read_bytes().count(b"BEGIN CERTIFICATE") == 2
    verify = ["openssl", "verify", "-CAfile", str(place / "ca.pem")]
    for cert in (place / "cert.pem", place / "next" / "cert.pem"):
        subprocess.run([*verify, str(cert)], check=True, capture_output=True)
    assert bridge("init", tmp_path / "node", "--tls", "--renew").code == 0
    assert (place / "cert.pem").read_bytes() != before
    assert not (place / "next").exists()
    tls_of(tmp_path / "node")


@pytest.mark.skipif(not Path("/usr/bin/strace").exists(), reason="strace is not here")
@pytest.mark.parametrize("when", range(1, 6))
@pytest.mark.parametrize("command", ["make", "renew"])
def test_a_kill_at_any_rename_is_healed_by_the_same_command(
    tmp_path: Path, command: str, when: int
) -> None:
    folder, key = tmp_path / "node", tmp_path / "ca-key.pem"
    arguments = ["init", str(folder), "--node", "n", "--tls"]
    if command == "renew":
        made(folder, "--ca-key", key)
        arguments += ["--renew", "--ca-key", str(key)]
    strace = ["strace", "-f", "-o", "/dev/null", "-e", "trace=rename,link,linkat"]
    inject = ["-e", f"inject=rename,link,linkat:signal=KILL:when={when}"]
    subprocess.run(
        [*strace, *inject, sys.executable, "-B", *COMMAND[1:], *arguments],
        check=False, capture_output=True, env={**os.environ, **environment()},
    )  # fmt: skip
    assert bridge(*arguments).code == 0
    tls_of(folder)


def test_a_node_that_was_made_without_a_certificate_is_given_one(tmp_path: Path) -> None:
    assert bridge("init", tmp_path / "node", "--node", "n").code == 0
    made(tmp_path / "node")
    tls_of(tmp_path / "node")
    other = tmp_path / "other"
    assert bridge("init", other, "--node", "n").code == 0
    config = other / "bridge.yaml"
    config.write_text(config.read_text().replace("127.0.0.1:8480", "127.0.0.1:8482"))
    told = bridge("init", other, "--tls")
    assert b"Add to intake in bridge.yaml: tls: {cert: tls/cert.pem" in told.out


def test_a_certificate_near_its_end_is_a_problem_of_the_status(tmp_path: Path) -> None:
    place = made(tmp_path / "node")
    (tmp_path / "node" / "license_key").write_text(SECRET)
    for days, problem in (("20", "tls.expiring"), ("0", "tls.expired")):
        pair = ["-in", str(place / "cert.pem"), "-key", str(place / "key.pem")]
        subprocess.run(
            ["openssl", "x509", *pair, "-days", days, "-out", str(place / "cert.pem")],
            check=True,
            capture_output=True,
        )
        assert problem in problems(tmp_path / "node" / "bridge.yaml")
