"""One real daemon for the tests of a module, with no beacon in reach: nothing is sealed or sent."""

import secrets
from collections.abc import Iterator

import pytest

from bridge.demo.processes import free_port
from tests.support.bridges import Node, node_for
from tests.support.clients.relay import Relay, relay_to


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    folder = tmp_path_factory.mktemp("clients")
    with node_for(folder, f"http://127.0.0.1:{free_port()}") as made:
        made.daemon.start()
        yield made


@pytest.fixture
def relay(node: Node) -> Iterator[Relay]:
    with relay_to(node.daemon.port) as made:
        yield made


@pytest.fixture
def run() -> str:
    """What tells the marks of this test from all others."""
    return secrets.token_hex(6)
