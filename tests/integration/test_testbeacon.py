"""The reference beacon over real sockets, with a real database."""

import base64
import hashlib
import json
import signal
import socket
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bridge.testbeacon.app import BODY_MAX
from bridge.testbeacon.routes import ROUTES, STREAMS
from bridge.testbeacon.server import BeaconServer
from keys.errors import ConfigError
from tests.support.beacon import LICENSE, RunningBeacon, running_beacon

pytestmark = pytest.mark.enable_socket

INGEST = "/v1/beacon/ingest-traces"
SUBMIT = "/v1/beacon/metadata/submit"
SNAPSHOT = "/v1/beacon/usage-snapshot"
VERIFY = "/v1/beacon/verify"
LOGS = "/v1/beacon/v1/logs"
METRICS = "/v1/beacon/v1/metrics"
SPAN = {"from_timestamp": "2026-11-23T09:00:00Z", "to_timestamp": "2026-11-23T10:00:00Z"}
HEADER = {"X-Langchain-License-Key": LICENSE}


@pytest.fixture
def beacon(tmp_path: Path) -> Iterator[RunningBeacon]:
    with running_beacon(tmp_path / "beacon") as running:
        yield running


@pytest.fixture
def client(beacon: RunningBeacon) -> Iterator[httpx.Client]:
    with beacon.client() as opened:
        yield opened


def transactions(*ids: str) -> dict[str, object]:
    return {
        "license": LICENSE,
        "trace_transactions": [{"id": id_, "trace_count": 1} for id_ in ids],
    }


def logs(*bodies: str) -> dict[str, object]:
    records = [{"body": {"stringValue": body}} for body in bodies]
    return {"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}


def cut(client: httpx.Client, path: str, content: object) -> None:
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        client.post(path, json=content)


def test_every_stream_stands_in_the_answer_before_anything_came(beacon: RunningBeacon) -> None:
    nothing = {"requests": 0, "records": 0, "distinct": 0}
    assert beacon.received() == dict.fromkeys(STREAMS, nothing)


def test_a_transaction_that_comes_again_is_stored_and_not_inserted(
    beacon: RunningBeacon, client: httpx.Client
) -> None:
    first = client.post(INGEST, json=transactions("a", "b", "a"))
    again = client.post(INGEST, json=transactions("b", "c"))
    assert (first.json(), again.json()) == ({"inserted_count": 2}, {"inserted_count": 1})
    assert beacon.received()["transactions"] == {"requests": 2, "records": 5, "distinct": 3}
    assert [record.id for record in beacon.records("transactions")] == ["a", "b", "a", "b", "c"]


def test_an_idempotency_key_that_comes_again_is_counted_again(
    beacon: RunningBeacon, client: httpx.Client
) -> None:
    for _ in range(2):
        client.post(INGEST, json=transactions("a"), headers={"Idempotency-Key": "k1"})
    assert beacon.received()["transactions"] == {"requests": 2, "records": 2, "distinct": 1}
    with sqlite3.connect(beacon.database) as db:
        keys = db.execute("SELECT idempotency_key FROM requests").fetchall()
    db.close()
    assert keys == [("k1",), ("k1",)]


def test_a_report_answers_an_empty_object_and_a_snapshot_answers_204(
    beacon: RunningBeacon, client: httpx.Client
) -> None:
    content = {"license_key": LICENSE, **SPAN, "measures": {"nodes": 3}}
    report = client.post(SUBMIT, json=content | {"tags": {"v": "1"}, "logs": []})
    snapshot = client.post(SNAPSHOT, json=content)
    assert (report.status_code, report.json()) == (200, {})
    assert (snapshot.status_code, snapshot.content) == (204, b"")
    (stored,) = beacon.records("snapshots")
    assert json.loads(stored.text) == {**SPAN, "measures": {"nodes": 3}}


def test_the_captured_requests_of_real_clients_are_taken(
    beacon: RunningBeacon, client: httpx.Client
) -> None:
    captures = Path(__file__).parents[1] / "captures"
    sent = 0
    for described in sorted(captures.glob("*/ok-*.json")):
        request = json.loads(described.read_bytes())
        headers = {name.lower(): value for name, value in request["headers"]}
        if (
            request["path"] not in ROUTES
            or headers.get("content-type") != "application/json"
            or "content-encoding" in headers
        ):
            continue
        kept = {"content-type": "application/json"} | HEADER
        answer = client.post(
            request["path"], content=described.with_suffix(".body").read_bytes(), headers=kept
        )
        assert answer.status_code == 200, (described, answer.text)
        sent += 1
    assert sent > 3
    assert sum(counts["requests"] for counts in beacon.received().values()) == sent


def test_otlp_records_are_leaves_and_distinct_by_content_and_resource(
    beacon: RunningBeacon, client: httpx.Client
) -> None:
    other = logs("one")
    other["resourceLogs"][0]["resource"] = {"attributes": []}  # type: ignore[index]
    for content in (logs("one", "two"), logs("two"), other):
        answer = client.post(LOGS, json=content, headers=HEADER)
        assert (answer.status_code, answer.json()) == (200, {})
        assert answer.headers["content-type"] == "application/json"
    assert beacon.received()["logs"] == {"requests": 3, "records": 4, "distinct": 3}


@pytest.mark.parametrize("name", ["X-Langchain-License-Key", "X-Data-Plane-Auth"])
def test_either_header_carries_the_license(client: httpx.Client, name: str) -> None:
    assert client.post(LOGS, json=logs("x"), headers={name: LICENSE}).status_code == 200


def test_otlp_without_a_license_is_401_with_a_google_rpc_status(client: httpx.Client) -> None:
    answer = client.post(LOGS, json=logs("x"))
    assert answer.status_code == 401
    assert answer.json() == {"code": 16, "message": "The request has no license key."}


def test_an_unknown_license_is_403_and_nothing_is_stored(tmp_path: Path) -> None:
    with running_beacon(tmp_path, licenses=["other"]) as beacon, beacon.client() as client:
        for path, content in ((INGEST, transactions("a")), (VERIFY, {"license": LICENSE})):
            answer = client.post(path, json=content)
            assert answer.status_code == 403
            assert all(isinstance(value, str) for value in answer.json().values())
        assert client.post(LOGS, json=logs("x"), headers=HEADER).status_code == 403
        assert beacon.received()["transactions"]["requests"] == 0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b'{"license":"k"}',
        b'{"license":"k","trace_transactions":[1]}',
        b'{"license":"k","trace_transactions":{}}',
        b'{"license":"k","trace_transactions":[{"id":""}]}',
        b'{"license":7,"trace_transactions":[]}',
        b'{"license":"a b","trace_transactions":[]}',
        b'{"license":"k","trace_transactions":[{"id":"\xff"}]}',
        b"[" * 100_000,
    ],
)
def test_a_malformed_body_is_400_with_an_object_of_strings(
    beacon: RunningBeacon, client: httpx.Client, body: bytes
) -> None:
    answer = client.post(INGEST, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert all(isinstance(value, str) for value in answer.json().values())
    assert beacon.received()["transactions"]["requests"] == 0


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/x-protobuf"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
def test_protobuf_and_encodings_are_415(client: httpx.Client, headers: dict[str, str]) -> None:
    assert client.post(LOGS, content=b"{}", headers=HEADER | headers).status_code == 415


def test_a_body_over_the_limit_is_413(client: httpx.Client) -> None:
    headers = {"Content-Type": "application/json"}
    answer = client.post(INGEST, content=bytes(BODY_MAX + 1), headers=headers)
    assert answer.status_code == 413


def test_other_paths_are_404_and_other_methods_405_with_a_plain_json_reason(
    client: httpx.Client,
) -> None:
    for method, path, status in (
        ("POST", "/intelligence/x", 404),
        ("GET", INGEST, 405),
        ("POST", VERIFY + "/", 404),
    ):
        answer = client.request(method, path)
        assert (answer.status_code, answer.json()["error"]) == (status, "path.unknown")


def test_a_token_is_verified_by_the_published_key(tmp_path: Path) -> None:
    with running_beacon(tmp_path, token_life_s=60) as beacon, beacon.client() as client:
        token = client.post(VERIFY, json={"license": LICENSE}).json()["token"]
        (jwk,) = client.get("/_beacon/jwks.json").json()["keys"]
    header, claims, signature = token.split(".")
    public = Ed25519PublicKey.from_public_bytes(unpadded(jwk["x"]))
    public.verify(unpadded(signature), f"{header}.{claims}".encode())
    said = json.loads(unpadded(claims))
    assert json.loads(unpadded(header)) == {"alg": "EdDSA", "kid": jwk["kid"], "typ": "JWT"}
    assert said["exp"] - said["iat"] == 60
    assert said["sub"] == hashlib.sha256(LICENSE.encode()).hexdigest()


def unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_a_beacon_on_the_same_folder_knows_what_it_took_and_keeps_its_key(tmp_path: Path) -> None:
    keys = []
    for _ in range(2):
        with running_beacon(tmp_path) as beacon, beacon.client() as client:
            client.post(INGEST, json=transactions("a"))
            keys.append(client.get("/_beacon/jwks.json").content)
            last = beacon.received()["transactions"]
    assert last == {"requests": 2, "records": 2, "distinct": 1}
    assert keys[0] == keys[1]


def test_a_beacon_comes_back_on_the_port_that_it_had(tmp_path: Path) -> None:
    with running_beacon(tmp_path) as beacon, beacon.client() as client:
        client.post(INGEST, json=transactions("a"))
    with pytest.raises(httpx.ConnectError):
        beacon.received()
    with running_beacon(tmp_path, port=beacon.port) as again:
        assert again.url == beacon.url
        assert beacon.received()["transactions"]["distinct"] == 1


def test_no_license_key_is_on_disk(beacon: RunningBeacon, client: httpx.Client) -> None:
    content = {"license_key": LICENSE, **SPAN, "measures": {}}
    answers = [
        client.post(INGEST, json=transactions("a")),
        client.post(VERIFY, json={"license": LICENSE}),
        client.post(SUBMIT, json=content),
        client.post(SNAPSHOT, json=content),
        client.post(LOGS, json=logs("x"), headers=HEADER),
    ]
    assert all(answer.is_success for answer in answers)
    files = [path for path in beacon.data.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if LICENSE.encode() in path.read_bytes()]


def test_a_fault_strikes_so_often_and_stores_nothing(
    beacon: RunningBeacon, client: httpx.Client
) -> None:
    beacon.set_faults(
        {
            "path": INGEST,
            "times": 2,
            "status": 503,
            "headers": {"Retry-After": "1"},
            "body": {"e": "x"},
        }
    )
    answers = [client.post(INGEST, json=transactions("a")) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [503, 503, 200]
    assert answers[0].json() == {"e": "x"}
    assert answers[0].headers["retry-after"] == "1"
    assert beacon.received()["transactions"]["requests"] == 1


def test_a_fault_without_an_end_stays_until_the_list_is_replaced(
    beacon: RunningBeacon, client: httpx.Client
) -> None:
    login = {"status": 200, "headers": {"Content-Type": "text/html"}, "body": "<html>login</html>"}
    beacon.set_faults({"path": "*", "times": None, **login})
    for path in (INGEST, LOGS, VERIFY):
        assert client.post(path, json={}).text == "<html>login</html>"
    beacon.set_faults()
    assert client.post(INGEST, json=transactions("a")).json() == {"inserted_count": 1}


def test_a_connection_dropped_before_stores_nothing(
    beacon: RunningBeacon, client: httpx.Client, capfd: pytest.CaptureFixture[str]
) -> None:
    beacon.set_faults({"path": INGEST, "drop": "before"})
    cut(client, INGEST, transactions("a"))
    assert beacon.received()["transactions"]["requests"] == 0
    assert client.post(INGEST, json=transactions("a")).status_code == 200
    assert capfd.readouterr().err == ""


def test_a_connection_dropped_after_has_stored_everything(
    beacon: RunningBeacon, client: httpx.Client, capfd: pytest.CaptureFixture[str]
) -> None:
    beacon.set_faults({"path": INGEST, "drop": "after"})
    cut(client, INGEST, transactions("a", "b"))
    assert beacon.received()["transactions"]["distinct"] == 2
    assert client.post(INGEST, json=transactions("a", "b")).json() == {"inserted_count": 0}
    assert capfd.readouterr().err == ""


def test_a_slow_answer_comes_late_and_its_records_do_not(
    beacon: RunningBeacon, client: httpx.Client
) -> None:
    beacon.set_faults({"path": INGEST, "delay_s": 60})
    with pytest.raises(httpx.ReadTimeout):
        client.post(INGEST, json=transactions("a"), timeout=httpx.Timeout(30, read=1))
    assert beacon.received()["transactions"]["records"] == 1


def test_a_part_of_the_transactions_is_taken(beacon: RunningBeacon, client: httpx.Client) -> None:
    beacon.set_faults({"path": INGEST, "partial": 1})
    answer = client.post(INGEST, json=transactions("a", "b", "c"))
    assert answer.json() == {"inserted_count": 1}
    assert [record.id for record in beacon.records("transactions")] == ["a"]


def test_a_part_of_an_export_is_taken_and_the_rest_is_counted_as_otlp_counts(
    beacon: RunningBeacon, client: httpx.Client
) -> None:
    beacon.set_faults({"path": LOGS, "partial": 1}, {"path": METRICS, "partial": 0})
    answer = client.post(LOGS, json=logs("one", "two", "three"), headers=HEADER).json()
    assert answer["partialSuccess"]["rejectedLogRecords"] == "2"
    metric = {"name": "m", "sum": {"dataPoints": [{"asInt": "1"}, {"asInt": "2"}]}}
    content = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}
    answer = client.post(METRICS, json=content, headers=HEADER).json()
    assert answer["partialSuccess"]["rejectedDataPoints"] == "2"
    assert beacon.received()["logs"]["records"] == 1


def test_faults_that_are_not_understood_are_refused_and_the_list_stays(
    beacon: RunningBeacon, client: httpx.Client
) -> None:
    beacon.set_faults({"path": INGEST, "status": 500})
    answer = client.put("/_beacon/faults", json=[{"path": INGEST, "statsu": 200}])
    assert answer.status_code == 400
    assert "delay_s, drop, partial" in answer.json()["message"]
    assert client.post(INGEST, json=transactions("a")).status_code == 500


def test_tls_is_real(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with running_beacon(tmp_path, tls=True) as beacon, beacon.client() as client:
        assert beacon.url.startswith("https://")
        assert client.post(INGEST, json=transactions("a")).json() == {"inserted_count": 1}
        beacon.set_faults({"path": INGEST, "drop": "after"})
        cut(client, INGEST, transactions("b"))
        assert beacon.received()["transactions"]["distinct"] == 2
        with pytest.raises(httpx.ConnectError), httpx.Client(trust_env=False) as stranger:
            stranger.get(beacon.url)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_process_in_order_though_requests_hang(
    tmp_path: Path, number: signal.Signals, capfd: pytest.CaptureFixture[str]
) -> None:
    with running_beacon(tmp_path, process=True) as beacon:
        assert beacon.process is not None
        assert beacon.process.stdout is not None
        beacon.set_faults({"path": INGEST, "delay_s": 60})
        with socket.create_connection(("127.0.0.1", beacon.port)) as half_sent:
            half_sent.sendall(b"POST /v1/beacon/verify HTTP/1.1\r\nContent-Length: 9\r\n\r\n{")
            with beacon.client() as client, pytest.raises(httpx.ReadTimeout):
                client.post(INGEST, json=transactions("a"), timeout=httpx.Timeout(30, read=0.5))
            begun = time.monotonic()
            beacon.process.send_signal(number)
            assert beacon.process.wait(30) == 0
            assert time.monotonic() - begun < 10
        assert beacon.process.stdout.read() == "stopped\n"
    assert capfd.readouterr().err == ""


def test_what_was_answered_survives_a_kill(tmp_path: Path) -> None:
    with running_beacon(tmp_path, process=True) as beacon, beacon.client() as client:
        assert client.post(INGEST, json=transactions("a")).is_success
        assert beacon.process is not None
        beacon.process.kill()
        assert beacon.process.wait(30) == -signal.SIGKILL
    with running_beacon(tmp_path) as beacon:
        assert beacon.received()["transactions"]["distinct"] == 1


def test_a_port_in_use_is_named(beacon: RunningBeacon, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"port {beacon.port}") as caught:
        BeaconServer("127.0.0.1", beacon.port, tmp_path / "second")
    assert caught.value.id == "testbeacon.listen"


def test_a_certificate_that_is_none_is_named_and_nothing_stays_open(tmp_path: Path) -> None:
    with running_beacon(tmp_path / "a", tls=True) as beacon:
        (beacon.data / "tls.pem").write_text("no certificate")
    with (
        pytest.raises(ConfigError) as caught,
        running_beacon(tmp_path / "a", tls=True),
    ):
        pass
    assert caught.value.id == "testbeacon.tls"


def test_a_folder_with_something_else_is_named(tmp_path: Path) -> None:
    (tmp_path / "beacon.db").write_bytes(b"no database" * 1000)
    with pytest.raises(ConfigError) as caught:
        BeaconServer("127.0.0.1", 0, tmp_path)
    assert caught.value.id == "testbeacon.data"
