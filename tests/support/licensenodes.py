"""Nodes with a real daemon whose license is asked for, and a beacon that can be taken away."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from bridge.demo.clients import LICENSE
from tests.support.beacon import RunningBeacon, running_beacon
from tests.support.bridges import Node, node_for

PATH = "/v1/beacon/verify"
DEAD = "http://127.0.0.1:1"


def ask(node: Node, key: str = LICENSE) -> httpx.Response:
    """Ask the daemon for a token, as a producer does."""
    url = f"http://127.0.0.1:{node.daemon.port}{PATH}"
    return httpx.post(url, json={"license": key}, timeout=30, trust_env=False)


def token_status(node: Node) -> tuple[int, dict[str, object]]:
    """Exit code and answer of ``license status``."""
    said = node.bridge("license", "status", "--json")
    found: dict[str, object] = json.loads(said.stdout)
    return said.returncode, found


@contextmanager
def beacon_and_node(
    tmp_path: Path, *, pinned: bool, life_s: int = 86_400, tls: bool = False, more: str = ""
) -> Iterator[tuple[RunningBeacon, Node]]:
    """Both; ``pinned``: the node knows the beacon's token keys, ``tls``: and not its authority."""
    with running_beacon(tmp_path / "beacon", token_life_s=life_s, tls=tls) as beacon:
        if pinned:
            with beacon.client() as client:
                found = client.get("/_beacon/jwks.json").content
            more += pin(tmp_path, found)
        with node_for(tmp_path, beacon.url, more=more) as node:
            yield beacon, node


def pin(folder: Path, key_set: bytes) -> str:
    """The lines of a configuration that pin these keys."""
    (folder / "jwks.json").write_bytes(key_set)
    return f"license: {{jwks_file: {folder / 'jwks.json'}}}\n"


def cut_off(node: Node, beacon: str) -> None:
    """Start the daemon anew without the beacon, whose address was ``beacon``."""
    node.daemon.stop()
    node.config.write_text(node.config.read_text().replace(beacon, DEAD))
    node.daemon.start()


def wait_until(at_s: float) -> None:
    """Until the wall clock shows ``at_s``, seconds since 1970."""
    time.sleep(max(at_s - time.time(), 0))
