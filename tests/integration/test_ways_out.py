"""The way out of a locked-down site: a proxy that alone knows the beacon, an authority of its own."""

import json
import ssl
from pathlib import Path

import pytest
import trustme

from bridge.egress.verdict import PROXY_LOGIN
from tests.support.bridges import Node, node_for
from tests.support.connectproxy import connect_proxy
from tests.support.faultserver import answer, fault_server, say
from tests.support.sending import ONE
from tests.support.spools import wait_until

pytestmark = pytest.mark.enable_socket
NAME = "beacon.invalid"
TAKEN = say(answer(200, b'{"inserted_count":1}'))


def private(folder: Path) -> ssl.SSLContext:
    """A server's context for the beacon's name; the authority's certificate lies in ``folder``."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(NAME).configure_cert(context)
    return context


def delivered(node: Node) -> int:
    said = json.loads(node.bridge("status", "--json").stdout)
    return sum(lane["records"]["delivered"] for lane in said["lanes"])


def last_error(node: Node) -> str | None:
    said = json.loads(node.bridge("status", "--json").stdout)
    found: str | None = said["egress"]["last_error"]
    return found


def test_through_a_proxy_and_by_a_private_authority_records_arrive_and_407_heals_by_itself(
    tmp_path: Path,
) -> None:
    with (
        fault_server([TAKEN], tls=private(tmp_path)) as beacon,
        connect_proxy({f"{NAME}:443": beacon.port}) as proxy,
    ):
        more = (
            f"beacon: {{url: 'https://{NAME}', proxy: '{proxy.url}', ca_file: {tmp_path}/ca.pem}}\n"
        )
        with node_for(tmp_path, f"https://{NAME}") as node:
            lines = node.config.read_text().splitlines()
            kept = [line for line in lines if not line.startswith("beacon:")]
            node.config.write_text("\n".join(kept) + "\n" + more)
            proxy.refuses = 407
            node.bridge("append", "transactions", stdin=ONE["transactions"] % 1 + b"\n")
            node.daemon.start()
            wait_until(lambda: len(proxy.asked) >= 2)
            wait_until(lambda: last_error(node) == PROXY_LOGIN)
            told = node.bridge("status", "--json")
            said = json.loads(told.stdout)
            # No outage that ends by itself: a person has to let the bridge through.
            assert (told.returncode, said["egress"]["state"]) == (3, "paused")
            assert [each["id"] for each in said["problems"]] == ["proxy.login"]
            assert beacon.requests == []
            proxy.refuses = None
            wait_until(lambda: delivered(node) == 1, 90, every_s=1)
    ingested = [each for each in beacon.requests if "ingest-traces" in each.line]
    assert [each.headers["host"] for each in ingested] == [NAME]
    assert set(proxy.asked) == {f"CONNECT {NAME}:443 HTTP/1.1"}
