"""A server with which TLS failed is this bridge, or is not."""

import ssl
from pathlib import Path

import pytest
import trustme

from bridge.egress.answers import Answer, Failure
from bridge.egress.client import BeaconClient
from bridge.egress.itself import Itself
from bridge.egress.routes import ROUTES
from bridge.egress.verdict import LOOP, Kind, judge
from tests.support.faultserver import HOST, fault_server, say

pytestmark = pytest.mark.enable_socket
ELSEWHERE = ("192.0.2.1", 40000)
"""Where a connection comes from that did not come from this machine."""


def served(authority: trustme.CA, file: Path | None = None) -> ssl.SSLContext:
    """A server's TLS; its chain is written to ``file``, leaf first, as people have it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf = authority.issue_cert("beacon.invalid")
    leaf.configure_cert(context)
    if file is not None:
        chain = [*leaf.cert_chain_pems, authority.cert_pem]
        file.write_bytes(b"".join(blob.bytes() for blob in chain))
    return context


def test_the_intakes_own_address_and_port_are_this_bridge() -> None:
    itself = Itself(8480, None)
    assert itself.is_at((HOST, 40000), (HOST, 8480), 5.0)
    assert not itself.is_at((HOST, 40000), (HOST, 8481), 5.0)
    assert not itself.is_at(ELSEWHERE, (HOST, 8480), 5.0)


def test_behind_another_address_it_is_known_by_its_own_certificate(tmp_path: Path) -> None:
    file = tmp_path / "cert.pem"
    with fault_server(tls=served(trustme.CA(), file)) as server:
        assert Itself(1, file).is_at(ELSEWHERE, (HOST, server.port), 30.0)
        assert server.requests == []


def test_another_certificate_of_the_same_authority_is_another_server(tmp_path: Path) -> None:
    authority, file = trustme.CA(), tmp_path / "cert.pem"
    served(authority, file)
    with fault_server(tls=served(authority)) as server:
        assert not Itself(1, file).is_at(ELSEWHERE, (HOST, server.port), 30.0)


@pytest.mark.parametrize("data", [None, b"", b"\xff", b"-----BEGIN CERTIFICATE-----\nAAAA"])
def test_a_certificate_that_cannot_be_read_tells_nothing(
    tmp_path: Path, data: bytes | None
) -> None:
    file = tmp_path / "cert.pem"
    if data is not None:
        file.write_bytes(data)
    with fault_server(tls=served(trustme.CA())) as server:
        assert not Itself(1, file).is_at(ELSEWHERE, (HOST, server.port), 30.0)


@pytest.mark.parametrize("own", [True, False], ids=["this bridge", "another server"])
def test_a_client_that_does_not_trust_its_own_bridge_says_that_it_is_a_loop(
    tmp_path: Path, *, own: bool
) -> None:
    file = tmp_path / "cert.pem"
    served(trustme.CA(), file)
    with fault_server(tls=served(trustme.CA(), file if own else None)) as server:
        client = BeaconClient(server.url, deadline_s=30.0, itself=Itself(1, file))
        found = client.post("/v1/beacon/ingest-traces", {}, b"{}")
        client.close()
        assert server.requests == []
    assert found == Failure("the certificate is not trusted", outcome_unknown=False, is_loop=own)
    verdict = judge(ROUTES["transactions"], 1, found, now_ms=0, secret="")
    assert (verdict.kind, verdict.reason == LOOP) == (Kind.PAUSE_ALL if own else Kind.RETRY, own)


def test_where_a_proxy_connects_no_connection_is_made_past_it(tmp_path: Path) -> None:
    file = tmp_path / "cert.pem"
    context = served(trustme.CA(), file)
    with fault_server([say(b"HTTP/1.1 200 OK\r\n\r\n")]) as proxy, fault_server(tls=context) as own:
        client = BeaconClient(
            f"https://beacon.invalid:{own.port}",
            deadline_s=5.0,
            proxy=proxy.url,
            itself=Itself(proxy.port, file),
        )
        found = client.post("/v1/beacon/ingest-traces", {}, b"{}")
        client.close()
        assert own.connections == 0
    assert not isinstance(found, Answer)
    assert not found.is_loop
