"""OpenTelemetry's own SDKs, unmodified, set up as their documentation says, speak to a real daemon."""

import pytest

from tests.support.bridges import Node
from tests.support.clients.marks import check_kept_once_per_acknowledgement
from tests.support.clients.relay import Relay
from tests.support.clients.running import end_of, start_javascript, start_python

pytestmark = pytest.mark.enable_socket
COUNT = 20
TYPES = {"json": "application/json", "http": "application/json", "proto": "application/x-protobuf"}
PATHS = {f"/v1/beacon/v1/{signal}" for signal in ("logs", "metrics", "traces")}


def check_whole(node: Node, relay: Relay, run: str, encoding: str, compression: str) -> None:
    """Every record was acknowledged, in the client's own type, and is kept as often."""
    exchanges = relay.exchanges()
    assert {exchange.path for exchange in exchanges} == PATHS
    for exchange in exchanges:
        assert exchange.headers["content-type"] == TYPES[encoding]
        assert exchange.headers.get("content-encoding", "none") == compression
        assert exchange.answer is not None
        assert exchange.status == 200, exchange.answer
        assert exchange.answer.headers["content-type"] == TYPES[encoding]
        assert exchange.answer.body == (b"" if encoding == "proto" else b"{}")
    kept = check_kept_once_per_acknowledgement(node.spool, node.name, exchanges, run)
    assert set(kept) == {
        f"keep-{run}-{kind}-{number:06}".encode()
        for kind in ("log", "sum", "hist", "span")
        for number in range(COUNT)
    }


@pytest.mark.parametrize("compression", ["none", "gzip", "deflate"])
@pytest.mark.parametrize("encoding", ["json", "proto"])
def test_what_pythons_sdk_sends_is_kept_once_per_acknowledgement(
    node: Node, relay: Relay, run: str, encoding: str, compression: str
) -> None:
    said = end_of(start_python(relay.url, encoding, compression, run, COUNT))
    assert said == ""
    check_whole(node, relay, run, encoding, compression)


@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("encoding", ["http", "proto"])
def test_what_javascripts_sdk_sends_is_kept_once_per_acknowledgement(
    node: Node, relay: Relay, run: str, encoding: str, compression: str
) -> None:
    said = end_of(start_javascript(relay.url, encoding, compression, run, COUNT))
    assert said == ""
    check_whole(node, relay, run, encoding, compression)
