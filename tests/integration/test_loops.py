"""The beacon's name leads back to the bridge: it notices, keeps everything, and says so."""

import json
import socket
import ssl
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import trustme

from bridge.demo.clients import LICENSE
from spool.intakefile import read_intake
from tests.support.bridges import Node, node_for
from tests.support.faultserver import fault_server
from tests.support.leading import HOST, leading_back

pytestmark = pytest.mark.enable_socket
NAME = "beacon.langchain.com"
WAIT_S = 40
ONE = json.dumps({"license": LICENSE, "trace_transactions": [{"id": "a"}]}).encode()


def _status(node: Node) -> Any:  # noqa: ANN401 - a tree of JSON
    return json.loads(node.bridge("status", "--json").stdout)


def _problems(node: Node) -> list[str]:
    return [each["id"] for each in _status(node)["problems"]]


def _pending(node: Node) -> int:
    lanes = [each for each in _status(node)["lanes"] if each["stream"] == "transactions"]
    return sum(each["records"]["pending"] for each in lanes)


def _until_said(*nodes: Node) -> Node:
    """The first of ``nodes`` that tells of a loop."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        for node in nodes:
            if "upstream.loop" in _problems(node):
                return node
        time.sleep(0.3)
    raise AssertionError([_status(node) for node in nodes])


def _serve_tls(node: Node) -> None:
    """Have the intake speak TLS, with a certificate that its own uploader does not trust."""
    leaf = trustme.CA().issue_cert(NAME)
    cert, key = node.folder / "cert.pem", node.folder / "key.pem"
    leaf.cert_chain_pems[0].write_to_path(cert)
    key.touch(mode=0o600)
    leaf.private_key_pem.write_to_path(key)
    listen = f"listen: {HOST}:{node.daemon.port}"
    text = node.config.read_text()
    assert listen in text
    node.config.write_text(text.replace(listen, f"{listen}, tls: {{cert: cert.pem, key: key.pem}}"))


def _pin(node: Node, port: int) -> None:
    """Let the beacon's name lead to ``port`` of this machine."""
    text = node.config.read_text().splitlines()
    beacon = f'beacon: {{url: "https://{NAME}:{port}", addresses: [{HOST}]}}'
    lines = [beacon if line.startswith("beacon:") else line for line in text]
    assert beacon in lines
    node.config.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("direct", [True, False], ids=["its own port", "another port"])
def test_a_bridge_that_does_not_trust_its_own_certificate_knows_that_it_is_its_own(
    tmp_path: Path, *, direct: bool
) -> None:
    with ExitStack() as held:
        node = held.enter_context(node_for(tmp_path, f"https://{NAME}"))
        _serve_tls(node)
        if direct:
            _pin(node, node.daemon.port)
        else:
            listener = socket.create_server((HOST, 0))
            _pin(node, listener.getsockname()[1])
            held.enter_context(leading_back(listener, node.daemon.port))
        node.daemon.start()
        said = node.bridge("append", "transactions", stdin=b'{"id":"a"}\n')
        assert said.returncode == 0, said.stderr
        _until_said(node)
        assert json.loads((node.spool / "egress.json").read_bytes())["state"] == "paused"
        assert _pending(node) == 1


def test_two_bridges_that_lead_to_each_other_are_known_by_the_first_that_gets_its_own_back(
    tmp_path: Path,
) -> None:
    with ExitStack() as held:
        # Each is told of the other's port before that one has it.
        listeners = [socket.create_server((HOST, 0)) for _ in range(2)]
        urls = [f"http://{HOST}:{each.getsockname()[1]}" for each in listeners]
        first = held.enter_context(node_for(tmp_path, urls[1], name="first"))
        second = held.enter_context(node_for(tmp_path, urls[0], name="second"))
        for node, listener in zip((first, second), listeners, strict=True):
            node.daemon.start()
            held.enter_context(leading_back(listener, node.daemon.port))
        assert first.daemon.post("/v1/beacon/ingest-traces", ONE) == 200
        # Either may be the first to ask: the second for the record, the first for a license token.
        _until_said(first, second)
        for _ in range(5):
            assert _pending(first) + _pending(second) == 1  # it goes round no more
            time.sleep(0.3)


def test_a_license_request_that_goes_round_two_bridges_goes_round_once(tmp_path: Path) -> None:
    with ExitStack() as held:
        listeners = [socket.create_server((HOST, 0)) for _ in range(2)]
        urls = [f"http://{HOST}:{each.getsockname()[1]}" for each in listeners]
        nodes = [
            held.enter_context(node_for(tmp_path, url, name=name))
            for name, url in (("first", urls[1]), ("second", urls[0]))
        ]
        for node, listener in zip(nodes, listeners, strict=True):
            node.daemon.start()
            held.enter_context(leading_back(listener, node.daemon.port))
        body = json.dumps({"license": LICENSE}).encode()
        assert nodes[0].daemon.post("/v1/beacon/verify", body, timeout=30) == 503
        nodes[0].daemon.stop()
        told = read_intake(nodes[0].spool)
        assert told is not None
        assert told.sums.refused == {"upstream.loop": 1, "license.no_answer": 1}


def test_another_server_that_is_not_trusted_is_no_loop(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert(NAME).configure_cert(context)
    with fault_server(tls=context) as server, node_for(tmp_path, f"https://{NAME}") as node:
        _serve_tls(node)
        _pin(node, server.port)
        said = node.bridge("append", "transactions", stdin=b'{"id":"a"}\n')
        assert said.returncode == 0, said.stderr
        assert node.bridge("run", "--once").returncode == 6
        assert "upstream.loop" not in _problems(node)
