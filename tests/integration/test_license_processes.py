"""The license with real daemons: killed while they keep a token, behind a private CA."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import httpx
import orjson
import pytest

from bridge.demo.clients import LICENSE
from tests.support.bridges import Node, node_for
from tests.support.faultserver import answer, fault_server, say
from tests.support.licensenodes import (
    ask,
    beacon_and_node,
    cut_off,
    pin,
    token_status,
    wait_until,
)
from tests.support.tokens import ED, jwks

pytestmark = pytest.mark.enable_socket
KILLS = 5
TOKENS = 5_000
"""More than a daemon can keep in all of a test."""


def _issued(now_s: int) -> list[str]:
    """Tokens of which each next one is better, and so is kept."""
    return [
        ED.sign(None, {"iat": now_s, "exp": now_s + 3600 + number, "jti": f"{number}"})
        for number in range(TOKENS)
    ]


@contextmanager
def _asked_without_end(node: Node) -> Iterator[list[str]]:
    """Producers that ask all the time; the tokens that they were answered."""
    answered: list[str] = []
    ending = threading.Event()

    def go_on() -> None:
        while not ending.is_set():
            try:
                said = ask(node)
            except httpx.TransportError:
                continue
            if said.status_code == httpx.codes.OK:
                answered.append(said.json()["token"])

    producers = [threading.Thread(target=go_on) for _ in range(2)]
    for producer in producers:
        producer.start()
    try:
        yield answered
    finally:
        ending.set()
        for producer in producers:
            producer.join()


def test_a_daemon_killed_while_it_keeps_tokens_leaves_a_whole_one_and_never_an_older(
    tmp_path: Path,
) -> None:
    random = Random(6)
    issued = _issued(int(time.time()))
    scripts = [[say(answer(200, orjson.dumps({"token": each})))] for each in issued]
    with (
        fault_server(*scripts) as server,
        node_for(tmp_path, server.url, more=pin(tmp_path, jwks(ED.jwk()))) as node,
    ):
        last = -1
        for _ in range(KILLS):
            node.daemon.start()
            with _asked_without_end(node) as answered:
                deadline = time.monotonic() + 30
                while not answered:
                    assert time.monotonic() < deadline
                    time.sleep(0.01)
                time.sleep(random.uniform(0, 0.4))
                node.daemon.kill()
            code, found = token_status(node)
            assert (code, found["state"], found["anchors_lost"]) == (0, "VALID", False)
            kept = issued.index(node.bridge("license", "show", "--token").stdout.strip())
            assert kept >= last
            last = kept
        assert last >= KILLS  # it kept new ones in between, and was killed meanwhile
        cut_off(node, server.url)
        assert ask(node).json() == {"token": issued[last]}


def test_tokens_come_over_tls_by_a_private_authority_and_not_without_it(tmp_path: Path) -> None:
    with beacon_and_node(tmp_path, pinned=True, tls=True) as (beacon, node):
        assert node.bridge("license", "refresh").returncode == 6
        node.daemon.start()
        assert ask(node).status_code == 503
        assert token_status(node)[1]["state"] == "NONE"
        node.daemon.stop()
        text = node.config.read_text()
        line = f'beacon: {{url: "{beacon.url}"}}'
        assert line in text
        trusted = f'beacon: {{url: "{beacon.url}", ca_file: "{beacon.ca_file}"}}'
        node.config.write_text(text.replace(line, trusted))
        assert node.bridge("license", "refresh").returncode == 0
        first = node.bridge("license", "show", "--token").stdout.strip()
        node.daemon.start()
        wait_until(int(time.time()) + 1)  # a token of the same second is no better
        passed = ask(node).json()["token"]
        assert passed != first
        assert node.bridge("license", "show", "--token").stdout.strip() == passed
        assert beacon.received()
        assert LICENSE not in node.log.read_text()
