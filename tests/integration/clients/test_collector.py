"""The OpenTelemetry Collector, a binary that nobody here built, sends log files to a real daemon."""

from pathlib import Path

import pytest

from tests.support.bridges import Node
from tests.support.clients.marks import (
    check_kept_once_per_acknowledgement,
    marks_in,
    raw_of_spool,
)
from tests.support.clients.relay import Relay
from tests.support.clients.running import Collector, collector
from tests.support.spools import wait_until

pytestmark = pytest.mark.enable_socket
COUNT = 30


def write_lines(running: Collector, run: str) -> None:
    for number in range(COUNT):
        running.write(f"WARN connection pool near its limit ü 漢 keep-{run}-line-{number:06}")
        running.write(f"INFO all is well info-{run}-line-{number:06}")


def answered(relay: Relay) -> int:
    """How many requests have been answered so far."""
    return sum(exchange.answer is not None for exchange in relay.exchanges())


@pytest.mark.parametrize("compression", ["none", "gzip", "deflate", "zlib", "zstd"])
@pytest.mark.parametrize("encoding", ["json", "proto"])
def test_what_the_collector_sends_is_kept_once_per_acknowledgement(
    tmp_path: Path, node: Node, relay: Relay, run: str, encoding: str, compression: str
) -> None:
    with collector(tmp_path / "collector", relay.url, encoding, compression) as running:
        write_lines(running, run)
        wait_until(lambda: answered(relay) > 0)
    exchanges = relay.exchanges()
    for exchange in exchanges:
        assert exchange.path == "/v1/beacon/v1/logs"
        assert exchange.headers.get("content-encoding", "none") == compression
        assert exchange.answer is not None
        assert exchange.status == 200, exchange.answer
        assert exchange.answer.headers["content-type"] == exchange.headers["content-type"]
    kept = check_kept_once_per_acknowledgement(node.spool, node.name, exchanges, run)
    assert set(kept) == {f"keep-{run}-line-{number:06}".encode() for number in range(COUNT)}
    assert "error" not in running.said


@pytest.mark.parametrize("compression", ["snappy", "x-snappy-framed", "lz4"])
def test_a_compression_that_is_not_taken_is_answered_415_with_those_that_are(
    tmp_path: Path, node: Node, relay: Relay, run: str, compression: str
) -> None:
    with collector(tmp_path / "collector", relay.url, "proto", compression) as running:
        write_lines(running, run)
        wait_until(lambda: answered(relay) > 0)
    for exchange in relay.exchanges():
        assert exchange.headers["content-encoding"] == compression
        assert exchange.answer is not None
        assert exchange.status == 415
        assert exchange.answer.headers["content-type"] == "application/x-protobuf"
        assert b"gzip" in exchange.answer.body
        assert b"zstd" in exchange.answer.body
    assert "HTTP Status Code 415" in running.said
    kept = marks_in(raw_of_spool(node.spool, node.name, ["logs"]))
    assert not [mark for mark in kept if run.encode() in mark]
