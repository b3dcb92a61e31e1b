"""The intake answers in the beacon's shapes, after the record is durable, and leaks nothing."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.config import load
from bridge.config.licensekeys import load_license_keys
from bridge.daemon.serving import start_intake
from keys.ed25519 import SigningKey
from spool.chain import begin_lane
from spool.clock import SYSTEM_CLOCK
from spool.durable import OS_DISK
from spool.lane import Lane
from spool.recovery import Recovery
from spool.sealing import Sealer
from tests.support.books import lines
from tests.support.stored import open_lines

pytestmark = pytest.mark.enable_socket
KEY = SigningKey.generate()
LICENSE = "lcl_EXAMPLE_NOT_A_KEY"
HEAD = b"POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
CAPTURES = Path(__file__).parents[1] / "captures"


class Running:
    """An intake in this process, with its own spool."""

    def __init__(self, folder: Path, more: str, held: ExitStack) -> None:
        (folder / "license_key").write_text(LICENSE)
        (folder / "spool").mkdir()
        path = folder / "bridge.yaml"
        path.write_text("node: n\nintake: {listen: 127.0.0.1:0}\n" + more)
        config = load(path, {})
        self.spool = config.spool.path
        self.port = start_intake(config, KEY, load_license_keys(config, {}), held).server.port

    def send(
        self,
        path: str,
        body: bytes,
        headers: dict[str, str] | None = None,
        *,
        method: str = "POST",
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            sent = {name.title(): value for name, value in (headers or {}).items()}
            connection.request(method, path, body, {"Content-Type": "application/json"} | sent)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def durable(self, stream: str) -> list[bytes]:
        """What is in the open files at this moment, as a crash would find it."""
        return open_lines(self.spool, stream)


@pytest.fixture
def intake(tmp_path: Path) -> Iterator[Running]:
    with ExitStack() as held:
        yield Running(tmp_path, "license_key_file: license_key\n", held)


@pytest.fixture
def unconfigured(tmp_path: Path) -> Iterator[Running]:
    with ExitStack() as held:
        yield Running(tmp_path, "", held)


def captured() -> list[tuple[str, str, dict[str, str], bytes]]:
    found = []
    for said_in in sorted(CAPTURES.glob("*/*.json")):
        body = said_in.with_suffix(".body")
        if body.exists():
            said = json.loads(said_in.read_bytes())
            headers = {
                name: value
                for name, value in said["headers"]
                if name.lower() not in {"host", "content-length", "transfer-encoding", "connection"}
            }
            name = f"{said_in.parent.name}/{said_in.stem}"
            found.append((name, said["path"], headers, body.read_bytes()))
    return found


def headers_are_protobuf(headers: Mapping[str, str]) -> bool:
    return "application/x-protobuf" in headers.values()


@pytest.mark.parametrize("name", [entry[0] for entry in captured()])
def test_every_captured_request_is_answered_as_its_client_expects(
    intake: Running, name: str
) -> None:
    (_, path, headers, body) = next(entry for entry in captured() if entry[0] == name)
    method = "GET" if path == "/info" else "POST"
    status, answered, said = intake.send(path, body, headers, method=method)
    if name.startswith("langsmith-py"):
        assert status == 404
        assert b"intake.unrouted" in said
    elif headers_are_protobuf(headers):
        assert (status, said) == (200, b"")
        assert answered["content-type"] == "application/x-protobuf"
    else:
        assert status == 200
        assert answered["content-type"] == "application/json"
        assert said == b"{}"
        stored = b"".join(
            b"".join(intake.durable(s)) for s in ("logs", "metrics", "traces", "langgraph")
        )
        # The collector's file reader was told of no severities: none is known to be a warning.
        assert stored or name.startswith("otelcol")
        assert LICENSE.encode() not in stored


@pytest.mark.parametrize(
    ("name", "path", "stream", "status", "said"),
    [
        ("ingest-traces", "ingest-traces", "transactions", 200, b'{"inserted_count":1}'),
        ("usage-snapshot", "usage-snapshot", "snapshots", 204, b""),
        ("logs", "v1/logs", "logs", 200, b"{}"),
        ("metrics", "v1/metrics", "metrics", 200, b"{}"),
        ("traces", "v1/traces", "traces", 200, b"{}"),
    ],
)
def test_the_vendors_own_examples_pass_with_their_defects(
    intake: Running, name: str, path: str, stream: str, status: int, said: bytes
) -> None:
    body = (CAPTURES / "vendor-examples" / f"{name}-request.json").read_bytes()
    body = body.replace(b"<YOUR_LICENSE_KEY>", LICENSE.encode())
    answered, _, content = intake.send(f"/v1/beacon/{path}", body)
    assert (answered, content) == (status, said)
    (line,) = intake.durable(stream)
    assert b"1678886400000000000" in line or stream != "metrics"


def test_numbers_order_and_unknown_fields_stay_as_they_came(intake: Running) -> None:
    record = b'{"id":"a","z":1.0,"a":1e5,"big":123456789012345678901234567890,"new":{"x":[]}}'
    body = b'{"license":"%b","trace_transactions":[ %b ]}' % (LICENSE.encode(), record)
    assert intake.send("/v1/beacon/ingest-traces", body)[0] == 200
    assert intake.durable("transactions") == [record]


@pytest.mark.parametrize(
    ("headers", "body", "status", "error"),
    [
        ({}, b'{"license":"lcl_WRONG_KEY","trace_transactions":[]}', 403, "license.wrong"),
        ({}, b'{"trace_transactions":[]}', 403, "license.missing"),
        ({}, b'{"license":7,"trace_transactions":[]}', 403, "license.wrong"),
        ({"X-Data-Plane-Auth": "x"}, b"{}", 403, "license.data_plane"),
        ({"Content-Type": "text/plain"}, b"{}", 415, "intake.content_type"),
        ({"Content-Type": "application/x-protobuf"}, b"{}", 415, "intake.content_type"),
        ({"Content-Encoding": "br"}, b"{}", 415, "intake.encoding"),
        ({"Content-Encoding": "gzip"}, b"{}", 400, "intake.encoding_broken"),
        ({}, b'{"license":"a","license":"b","trace_transactions":[]}', 400, "record.repeated_key"),
    ],
)
def test_a_refusal_is_an_object_of_strings_with_a_stable_id(
    intake: Running, headers: dict[str, str], body: bytes, status: int, error: str
) -> None:
    answered, _, said = intake.send("/v1/beacon/ingest-traces", body, headers)
    found = orjson.loads(said)
    assert (answered, found["error"]) == (status, error)
    assert all(isinstance(value, str) for value in found.values())
    assert b"WRONG_KEY" not in said


def test_an_otlp_refusal_is_a_google_rpc_status(intake: Running) -> None:
    wrong = {"X-Langchain-License-Key": "lcl_WRONG_KEY"}
    status, _, said = intake.send("/v1/beacon/v1/logs", b'{"resourceLogs":[]}', wrong)
    assert (status, orjson.loads(said)["code"]) == (403, 7)
    status, _, said = intake.send("/v1/logs", b"nonsense")
    assert (status, orjson.loads(said)["code"]) == (400, 3)


def test_otlp_is_taken_with_the_right_key_and_without_any(intake: Running) -> None:
    empty = b'{"resourceLogs":[]}'
    right = {"X-Langchain-License-Key": LICENSE}
    assert intake.send("/v1/beacon/v1/logs", empty, right)[0] == 200
    assert intake.send("/v1/logs", empty)[0] == 200
    assert intake.durable("logs") == []


def test_attack_068_a_record_that_holds_the_key_is_refused_or_left_out(intake: Running) -> None:
    body = b'{"license":"%b","trace_transactions":[{"id":"a","x":"%b"}]}'
    key = LICENSE.encode()
    assert intake.send("/v1/beacon/ingest-traces", body % (key, key))[0] == 400
    record = b'{"severityNumber":13,"body":"%b"}'
    records = b",".join([record % key, record % b"b"])
    logs = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[%b]}]}]}' % records
    status, _, said = intake.send("/v1/logs", logs)
    assert status == 200
    assert orjson.loads(said)["partialSuccess"]["rejectedLogRecords"] == "1"
    stored = b"".join(intake.durable("logs") + intake.durable("transactions"))
    assert b'"b"' in stored
    assert key not in stored


def test_without_a_configured_key_the_first_one_is_pinned_and_not_stored(
    unconfigured: Running,
) -> None:
    body = b'{"license":"%b","trace_transactions":[{"id":"a"}]}'
    path = "/v1/beacon/ingest-traces"
    assert unconfigured.send(path, body % b"lcl_FIRST_KEY_SEEN")[0] == 200
    assert unconfigured.send(path, body % b"lcl_FIRST_KEY_SEEN")[0] == 200
    status, _, said = unconfigured.send(path, body % b"lcl_SECOND_KEY")
    assert (status, orjson.loads(said)["error"]) == (403, "license.changed")
    files = [path for path in unconfigured.spool.rglob("*") if path.is_file()]
    assert not any(b"lcl_FIRST_KEY_SEEN" in path.read_bytes() for path in files)
    assert (unconfigured.spool / "license" / "pinned").exists()


@pytest.mark.parametrize("length", ["68000000", "9" * 30, "-1", "x"])
def test_a_body_that_claims_too_much_is_refused_before_it_is_read(
    intake: Running, length: str
) -> None:
    with socket.create_connection(("127.0.0.1", intake.port), timeout=10) as connection:
        connection.sendall(HEAD + f"Content-Length: {length}\r\n\r\n".encode())
        assert connection.recv(65536).split(b" ")[1] in {b"413", b"400"}


def test_chunked_bodies_are_taken(intake: Running) -> None:
    with socket.create_connection(("127.0.0.1", intake.port), timeout=10) as connection:
        body = b'{"resourceLogs":[{"a":1}]}'
        chunks = b"".join(b"1\r\n%b\r\n" % body[i : i + 1] for i in range(len(body)))
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    assert intake.durable("logs") == [body]


def test_a_half_sent_body_is_ended_after_seconds_and_others_are_served_meanwhile(
    intake: Running,
) -> None:
    begun = time.monotonic()
    with socket.create_connection(("127.0.0.1", intake.port), timeout=20) as connection:
        connection.sendall(HEAD + b"Content-Length: 100\r\n\r\n{")
        assert intake.send("/v1/logs", b'{"resourceLogs":[]}')[0] == 200
        assert connection.recv(65536).startswith(b"HTTP/1.1 408")
    assert time.monotonic() - begun < 10


def test_many_clients_at_once_lose_and_double_nothing(intake: Running) -> None:
    def send(name: int) -> None:
        for number in range(10):
            body = b'{"license":"%b","trace_transactions":[{"id":"%d-%d"}]}'
            path = "/v1/beacon/ingest-traces"
            assert intake.send(path, body % (LICENSE.encode(), name, number))[0] == 200

    threads = [threading.Thread(target=send, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stored = intake.durable("transactions")
    assert len(stored) == len(set(stored)) == 80


def test_health_is_about_this_process_alone(intake: Running) -> None:
    assert intake.send("/livez", b"", method="GET")[0] == 200
    assert intake.send("/readyz", b"", method="GET")[0] == 200
    assert intake.send("/v1/logs", b"", method="GET")[0] == 405


ROUTES = ["ingest-traces", "metadata/submit", "usage-snapshot", "v1/logs", "v1/traces", "verify"]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(ROUTES), body=st.binary(max_size=300) | st.text().map(str.encode))
def test_any_bytes_get_one_of_the_documented_answers(
    intake: Running, path: str, body: bytes
) -> None:
    status, _, _ = intake.send(f"/v1/beacon/{path}", body)
    assert status in {200, 204, 400, 403, 413, 503}


def test_a_graceful_stop_seals_everything_that_was_acknowledged(tmp_path: Path) -> None:
    with ExitStack() as held:
        running = Running(tmp_path, "license_key_file: license_key\n", held)
        assert running.send("/v1/logs", b'{"resourceLogs":[{"a":1}]}')[0] == 200
    lane = Lane(tmp_path / "spool", "n", "logs")
    begin_lane(OS_DISK, lane)
    list(Recovery(OS_DISK, Sealer(OS_DISK, lane, KEY, SYSTEM_CLOCK), SYSTEM_CLOCK).recover())
    assert lines(lane, KEY) == [b'{"resourceLogs":[{"a":1}]}']
