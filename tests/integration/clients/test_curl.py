"""curl, in the ways of sending that it has and SDKs have not."""

import subprocess
from pathlib import Path

import orjson
import pytest

from tests.support.bridges import Node
from tests.support.clients.marks import check_kept_once_per_acknowledgement
from tests.support.clients.relay import Relay

pytestmark = pytest.mark.enable_socket
MIB = 1024 * 1024
JSON = ("-H", "Content-Type: application/json")


def curl(relay: Relay, body: Path, *options: str) -> tuple[str, str]:
    """Send a file as logs: the status, and the conversation as curl tells it."""
    done = subprocess.run(
        [
            *("curl", "--silent", "--show-error", "--verbose", "--noproxy", "*"),
            *("--max-time", "30", "--output", "/dev/null", "--write-out", "%{http_code}"),
            *JSON,
            *options,
            *("--data-binary", f"@{body}", f"{relay.url}/v1/beacon/v1/logs"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout, done.stderr


def logs(folder: Path, run: str, size: int) -> Path:
    """A file of about ``size`` bytes: an export of log records, each with a mark."""
    records = [
        {
            "severityNumber": 17,
            "body": {"stringValue": "x" * 900},
            "attributes": [
                {"key": "mark", "value": {"stringValue": f"keep-{run}-curl-{number:06}"}}
            ],
        }
        for number in range(size // 1000 + 1)
    ]
    path = folder / "body.json"
    path.write_bytes(orjson.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}))
    return path


@pytest.mark.parametrize(
    ("options", "size", "told"),
    [
        (("-H", "Expect: 100-continue"), 2 * MIB, "< HTTP/1.1 100 Continue"),
        ((), 2 * MIB, "< HTTP/1.1 100 Continue"),
        (("-H", "Transfer-Encoding: chunked"), 2 * MIB, "> Transfer-Encoding: chunked"),
        (("--http1.0",), 2000, "> POST /v1/beacon/v1/logs HTTP/1.0"),
        (("--compressed",), 2000, "> Accept-Encoding: deflate, gzip"),
        (("--http2",), 2000, "> Upgrade: h2c"),
    ],
    ids=["expect", "large", "chunked", "http-1.0", "accepts-compression", "offers-http-2"],
)
def test_what_curl_sends_is_kept_once(
    tmp_path: Path,
    node: Node,
    relay: Relay,
    run: str,
    *,
    options: tuple[str, ...],
    size: int,
    told: str,
) -> None:
    body = logs(tmp_path, run, size)
    status, said = curl(relay, body, *options)
    assert status == "200", said
    assert told in said
    kept = check_kept_once_per_acknowledgement(node.spool, node.name, relay.exchanges(), run)
    assert len(kept) == kept.total() == size // 1000 + 1


def test_a_body_in_gzip_from_a_pipe_is_kept_once(
    tmp_path: Path, node: Node, relay: Relay, run: str
) -> None:
    body = logs(tmp_path, run, 2 * MIB)
    subprocess.run(["gzip", "-k", body], check=True)
    status, said = curl(relay, body.with_suffix(".json.gz"), "-H", "Content-Encoding: gzip")
    assert status == "200", said
    kept = check_kept_once_per_acknowledgement(node.spool, node.name, relay.exchanges(), run)
    assert len(kept) == kept.total() == 2 * MIB // 1000 + 1


def test_an_answer_before_the_body_reaches_a_client_that_asked_for_it(
    tmp_path: Path, relay: Relay, run: str
) -> None:
    body = logs(tmp_path, run, 2 * MIB)
    status, said = curl(relay, body, "-H", "Expect: 100-continue", "-H", "Content-Encoding: snappy")
    assert status == "415", said
    assert "100 Continue" not in said
