"""Requests that real clients once sent, byte for byte, get the answers that those clients expect."""

from pathlib import Path

import orjson
import pytest

from tests.support.bridges import Node
from tests.support.clients.captured import Captured, captured
from tests.support.clients.marks import raw_of_spool
from tests.support.commands import SECRET

pytestmark = pytest.mark.enable_socket
PROTOBUF = "application/x-protobuf"
ALL = captured()
BEACON = [request for request in ALL if request.client != "langsmith-py"]
CUSTOMER = [request for request in ALL if request.client == "langsmith-py"]


def by_name(request: Captured) -> str:
    return request.name


def files_of(spool: Path) -> dict[Path, bytes]:
    """All but the ballast and the license's folder, which are filled after the start."""
    held = (path for path in spool.rglob("*") if path.is_file() and path.parent.name != "license")
    return {path: path.read_bytes() for path in held if not path.name.startswith("ballast")}


@pytest.mark.parametrize("request_", BEACON, ids=by_name)
def test_a_captured_request_is_answered_in_its_own_type_and_kept(
    node: Node, request_: Captured
) -> None:
    before = raw_of_spool(node.spool, node.name)
    answer = request_.send(node.daemon.port)
    assert answer.status == 200, answer
    protobuf = request_.type == PROTOBUF
    assert answer.headers["content-type"] == (PROTOBUF if protobuf else "application/json")
    assert answer.body == (b"" if protobuf else b"{}")
    after = raw_of_spool(node.spool, node.name)
    # The Collector was not told where the severity stands: its records have none, and are left out.
    assert (len(after) > len(before)) == (not request_.client.startswith("otelcol"))
    assert SECRET.encode() not in after


@pytest.mark.parametrize("request_", CUSTOMER, ids=by_name)
def test_customer_traffic_is_answered_404_with_a_reason_and_nothing_of_it_is_stored(
    node: Node, request_: Captured
) -> None:
    before = files_of(node.spool)
    answer = request_.send(node.daemon.port)
    assert answer.status == 404
    assert answer.headers["content-type"] == "application/json"
    assert orjson.loads(answer.body)["error"] == "intake.unrouted"
    assert files_of(node.spool) == before


def test_every_kind_of_client_was_captured() -> None:
    assert len({request.client for request in BEACON}) >= 10
    assert len(CUSTOMER) == 3
