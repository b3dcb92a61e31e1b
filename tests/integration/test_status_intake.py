"""The status tells what the intake counted and which lanes are stuck, also after the daemon ended."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from bridge.demo.clients import LICENSE
from bridge.intake.connection import HEAD_MAX
from keys.ed25519 import SigningKey
from spool.lane import Lane
from spool.writer import Writer
from tests.support.beacon import RunningBeacon, running_beacon
from tests.support.bridges import Node, node_for
from tests.support.spools import wait_until

pytestmark = pytest.mark.enable_socket


@pytest.fixture
def beacon(tmp_path: Path) -> Iterator[RunningBeacon]:
    with running_beacon(tmp_path / "beacon") as running:
        yield running


def status_of(node: Node) -> Any:  # noqa: ANN401 - a tree of JSON
    return json.loads(node.bridge("status", "--json").stdout)


def seal(node: Node, stream: str, record: bytes, signer: SigningKey | None = None) -> Lane:
    """One sealed segment of one record."""
    with Writer(node.spool, stream, node=node.name, signer=signer) as writer:
        writer.append([record])
    return Lane(node.spool, node.name, stream)


def test_what_the_intake_counted_is_shown_by_another_process(
    tmp_path: Path, beacon: RunningBeacon
) -> None:
    with node_for(tmp_path, beacon.url, more="config: {telemetry: {traces: false}}\n") as node:
        assert status_of(node)["intake"] is None
        node.daemon.start()
        assert status_of(node)["intake"]["requests"] == {}
        head = b'{"license":"%b","trace_transactions":' % LICENSE.encode()
        sent = {
            "/v1/beacon/ingest-traces": head + b'[{"id":"a"},{"id":"a"}]}',
            "/v1/logs": b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityNumber":9}]}]}]}',
            "/v1/traces": b'{"resourceSpans":[{"scopeSpans":[{"spans":[{}]}]}]}',
            "/v1/metrics": b"nonsense",
            "/v1/beacon/new": b"{}",
            f"/runs/{LICENSE}": b"{}",
        }
        answers = [node.daemon.post(path, body) for path, body in sent.items()]
        assert answers == [200, 200, 200, 400, 404, 404]
        answer = httpx.post(
            f"http://127.0.0.1:{node.daemon.port}/v1/metrics",
            content=b"\xfa\x3f\x01x" * 3,  # a field that OTLP does not have
            headers={"Content-Type": "application/x-protobuf"},
            trust_env=False,
        )
        assert b"3 protobuf fields were left out" in answer.content
        node.daemon.stop()
        intake = status_of(node)["intake"]
        assert intake["requests"] == dict.fromkeys(list(sent)[:4], 1) | {"/v1/metrics": 2}
        assert intake["unknown"] == {"metrics": 3}
        assert intake["records"] == {"transactions": 2}
        assert intake["filtered"] == {"logs": 1}
        assert intake["switched_off"] == {"traces": 1}
        assert intake["refused"] == {"record.json": 1, "intake.unrouted": 2}
        assert intake["unrouted"] == {"'/v1/beacon/new'": 1, "other": 1}
        assert intake["repeated"] == 1
        said = node.bridge("status").stdout
        assert "1 log record below WARN left out" in said
        assert "traces is switched off (1)" in said
        assert "3 protobuf fields unknown to this version left out" in said
        assert "'/v1/beacon/new' 1" in said
        assert "point only beacon and OTLP traffic at the intake" in said
        assert LICENSE not in said
        # The next daemon begins anew, and nobody takes the last one's sums for its own.
        node.daemon.start()
        assert status_of(node)["intake"]["requests"] == {}
        assert status_of(node)["intake"]["since"] > intake["since"]


def test_connections_that_never_become_a_request_are_shown(
    tmp_path: Path, beacon: RunningBeacon
) -> None:
    sent = {
        "SSH": b"SSH-2.0-OpenSSH_9.6\r\n",
        "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
        "a head without an end": b"GET /livez HTTP/1.1\r\nX: " + b"x" * 2 * HEAD_MAX,
    }
    with node_for(tmp_path, beacon.url) as node:
        node.daemon.start()
        for data in sent.values():
            with socket.create_connection(("127.0.0.1", node.daemon.port), 20) as connection:
                connection.sendall(data)
                with suppress(ConnectionResetError):
                    while connection.recv(65536):
                        pass
        wanted = {"intake.not_http": 2, "intake.head": 1}
        wait_until(lambda: status_of(node)["intake"]["refused"] == wanted, 20)
        said = node.bridge("status").stdout
        assert "intake.not_http 2" in said
        assert "intake.head 1" in said


def test_an_intake_that_is_open_to_other_machines_is_a_standing_problem(tmp_path: Path) -> None:
    more = "intake: {listen: '%s', require_license: %s}\n"
    with node_for(tmp_path, "http://127.0.0.1:9") as node:
        text = "".join(
            line
            for line in node.config.read_text().splitlines(keepends=True)
            if "listen" not in line
        )
        for listen, required, wanted in [
            ("0.0.0.0:8480", "false", True),
            ("[::]:8480", "false", True),
            ("127.0.0.1:8480", "false", False),
            ("0.0.0.0:8480", "auto", False),
        ]:
            node.config.write_text(text.replace("intake:", "") + more % (listen, required))
            status = status_of(node)
            assert ("intake.open" in [each["id"] for each in status["problems"]]) is wanted


def test_an_exchanged_node_key_is_a_verification_failure_that_the_status_shows(
    tmp_path: Path, beacon: RunningBeacon
) -> None:
    with node_for(tmp_path, beacon.url) as node:
        node.bridge("run", "--once")
        own = SigningKey.from_pem((node.folder / "keys" / "node.pem").read_bytes())
        seal(node, "transactions", b'{"id":"a"}', own)
        other = SigningKey.generate()
        (node.folder / "keys" / "node.pem").write_bytes(other.pem())
        (node.folder / "keys" / "node.pub.pem").write_bytes(other.public.pem())
        begun = time.monotonic()
        ended = node.bridge("run", "--once")
        assert ended.returncode == 4, ended.stderr
        assert "[key.untrusted]" in ended.stderr
        assert "Not everything was sent; nothing was dropped." in ended.stderr
        assert ".." not in ended.stderr
        assert time.monotonic() - begun < 20
        for _ in range(2):
            assert node.bridge("status").returncode == 3
            (problem,) = status_of(node)["problems"]
            assert problem["id"] == "key.untrusted"
            assert problem["message"].startswith("n/transactions is not sent: ")
            assert "node.pem" in problem["hint"]
            # A daemon says so as well, and it stands there when it has stopped.
            node.daemon.start()
            time.sleep(1.5)
            node.daemon.stop()
        told = node.bridge("doctor", "--json")
        assert told.returncode == 78
        wrong = {each["id"]: each["problem"] for each in json.loads(told.stdout)["checks"]}
        assert wrong["spool.sealed"]["id"] == "key.exchanged"
        (node.folder / "keys" / "node.pem").write_bytes(own.pem())
        (node.folder / "keys" / "node.pub.pem").write_bytes(own.public.pem())
        ended = node.bridge("run", "--once")
        assert ended.returncode == 0, ended.stderr
        assert "key.untrusted" not in node.bridge("status").stdout
        assert beacon.received()["transactions"]["distinct"] == 1


def test_a_rotten_digit_of_a_seals_key_id_stops_its_lane_alone_and_is_shown(
    tmp_path: Path, beacon: RunningBeacon
) -> None:
    with node_for(tmp_path, beacon.url) as node:
        node.bridge("run", "--once")
        own = SigningKey.from_pem((node.folder / "keys" / "node.pem").read_bytes())
        lane = seal(node, "transactions", b'{"id":"a"}', own)
        seal(node, "langgraph", b'{"from_timestamp":"a","to_timestamp":"b","measures":{}}', own)
        (path,) = [lane.segment(seq) for seq in lane.sealed_numbers()][-1:]
        data = path.read_bytes()
        at = data.index(own.public.id.encode())
        digit = b"0" if data[at : at + 1] != b"0" else b"1"
        path.write_bytes(data[:at] + digit + data[at + 1 :])
        ended = node.bridge("run", "--once")
        assert (ended.returncode, "[key.untrusted]" in ended.stderr) == (4, True), ended.stderr
        assert [each["id"] for each in status_of(node)["problems"]] == ["key.untrusted"]
        assert beacon.received()["langgraph"]["records"] == 1
        assert beacon.received()["transactions"]["records"] == 0


def test_a_data_planes_telemetry_is_sent_with_its_credential_and_billing_is_not(
    tmp_path: Path,
) -> None:
    credential = "data-plane-EXAMPLE"
    with (
        running_beacon(tmp_path / "beacon", licenses=[credential]) as beacon,
        node_for(tmp_path, beacon.url, more="data_plane_auth_file: auth\n") as node,
    ):
        (node.folder / "auth").write_text(credential)
        record = b'{"severityNumber":13}'
        seal(node, "logs", b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[%b]}]}]}' % record)
        seal(node, "transactions", b'{"id":"a"}')
        assert node.bridge("run", "--once").returncode == 7  # this beacon knows no license key
        assert beacon.received()["logs"]["records"] == 1
        assert beacon.received()["transactions"]["records"] == 0
