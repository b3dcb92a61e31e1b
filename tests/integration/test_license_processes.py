"""The license with real daemons: started anew, killed while they keep a token, behind a private CA."""

import json
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
from bridge.license.entry import entry_path
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
RESTARTS = 5
KILLS = 5
TOKENS = 5_000
"""More than a daemon can keep in all of a test."""


def test_five_restarts_without_a_beacon_change_neither_state_nor_end(
    tmp_path: Path,
) -> None:
    with beacon_and_node(tmp_path, pinned=True) as (beacon, node):
        node.daemon.start()
        token = ask(node).json()["token"]
        entry = entry_path(node.spool, node.name).read_bytes()
        end = token_status(node)[1]["expires_at"]
        cut_off(node, beacon.url)
        for _ in range(RESTARTS):
            node.daemon.stop()
            node.daemon.start()
            said = ask(node)
            assert (said.status_code, said.json()) == (200, {"token": token})
            code, found = token_status(node)
            assert (code, found["state"], found["expires_at"]) == (0, "VALID", end)
            assert entry_path(node.spool, node.name).read_bytes() == entry


def test_restarts_across_the_end_serve_the_token_until_it_and_never_after(
    tmp_path: Path,
) -> None:
    with beacon_and_node(tmp_path, pinned=True, life_s=12) as (beacon, node):
        assert node.bridge("license", "refresh").returncode == 0
        end = json.loads(node.bridge("license", "show", "--json").stdout)["claims"]["exp"]
        cut_off(node, beacon.url)
        for restart in range(RESTARTS):
            if restart == RESTARTS - 1:
                wait_until(end)
            node.daemon.stop()
            node.daemon.start()
            before = time.time()
            code = ask(node).status_code
            assert code == 200 if time.time() < end else code in (200, 503)
            if before >= end:
                assert code == 503
        found, said = token_status(node)
        assert (found, said["state"], said["served"]) == (8, "GRACE", False)


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
