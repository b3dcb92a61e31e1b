"""Requests are made one after the other, and wait for the network side by side."""

import fcntl
import os
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme

from bridge.egress.engine import WORKERS
from bridge.egress.routes import ROUTES
from bridge.egress.turn import LONG_S
from keys.ed25519 import PublicKey
from spool.ledger import State
from tests.support.faultserver import HOST, Conversation, answer, fault_server, say
from tests.support.sending import append, fill, running_engine

pytestmark = pytest.mark.enable_socket

TAKEN = say(answer(200, b'{"inserted_count":1}'))
"""An answer that every route here takes for success."""
STREAMS = ("transactions", "logs", "metrics", "traces")
PATIENCE_S = 20.0
LONG = 1 << 20
"""Bytes of a line; a dozen of them are more than two sockets hold."""


@dataclass
class Crowd:
    """Holds requests back until ``wanted`` of them are there."""

    wanted: int
    there: int = 0
    all_there: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def wait(self, _: Conversation) -> None:
        with self._lock:
            self.there += 1
            if self.there == self.wanted:
                self.all_there.set()
        assert self.all_there.wait(PATIENCE_S)


def test_a_distant_beacon_has_as_many_requests_at_a_time_as_there_are_threads(
    tmp_path: Path,
) -> None:
    assert len(STREAMS) == WORKERS
    for stream in STREAMS:
        fill(tmp_path, stream, 1, 1)
    crowd = Crowd(WORKERS)
    with (
        fault_server([crowd.wait, TAKEN]) as server,
        running_engine(tmp_path, server.url) as running,
    ):
        assert running.engine.drain() is None
    assert len(server.requests) == WORKERS
    assert crowd.all_there.is_set()


@dataclass
class FirstUnread:
    """Reads nothing of the first connection until a request of another one was answered."""

    connections: int = 0
    answered: threading.Event = field(default_factory=threading.Event)
    in_time: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def wait(self, _: Conversation) -> None:
        with self._lock:
            self.connections += 1
            is_first = self.connections == 1
        if is_first:
            self.in_time = self.answered.wait(PATIENCE_S)

    def answer(self, talk: Conversation) -> None:
        TAKEN(talk)
        self.answered.set()


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "TLS"])
def test_a_beacon_that_reads_nothing_of_one_request_holds_up_no_other(
    tmp_path: Path, *, encrypted: bool
) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    spool = tmp_path / "spool"
    spool.mkdir()
    for stream, name in (("logs", b"resourceLogs"), ("traces", b"resourceSpans")):
        append(spool, stream, [b'{"%b":[{"x":"%b"}]}' % (name, b"x" * LONG)] * 12)
    first = FirstUnread()
    with (
        fault_server(
            [first.answer], at_once=[first.wait], tls=context if encrypted else None
        ) as server,
        running_engine(spool, server.url, raw_max=16 << 20, ca_file=tmp_path / "ca.pem") as running,
    ):
        assert running.engine.drain() is None
        delivered = sum(each.records[State.DELIVERED] for each in running.ledger.counts())
    assert first.in_time
    assert delivered == 24
    assert all(len(request.body) > 12 * LONG for request in server.requests)


def test_thousands_of_segments_on_a_slow_disk_do_not_hold_up_billing(tmp_path: Path) -> None:
    fill(tmp_path, "logs", 40, 1)
    begun, go_on = threading.Event(), threading.Event()

    def as_from_a_slow_disk(_: str) -> Mapping[str, PublicKey]:
        begun.set()
        assert go_on.wait(PATIENCE_S)
        if not server.requests:
            time.sleep(1.1 * LONG_S)
        return {}

    with (
        fault_server([TAKEN]) as server,
        running_engine(tmp_path, server.url, keys_of=as_from_a_slow_disk) as running,
    ):
        assert begun.wait(PATIENCE_S)
        fill(tmp_path, "transactions", 1, 1)
        go_on.set()
        assert running.engine.drain() is None
    assert [ROUTES["transactions"].path in each.line for each in server.requests] == [True, False]


def test_a_damaged_segment_that_cannot_be_mended_yet_holds_up_no_other_lane(tmp_path: Path) -> None:
    logs = fill(tmp_path, "logs", 1, 1)
    place = logs.segment(1)
    place.write_bytes(place.read_bytes().replace(b"\x28\xb5\x2f\xfd", b"\0\0\0\0", 1))
    billed = threading.Event()

    def bill(talk: Conversation) -> None:
        TAKEN(talk)
        billed.set()

    lock = os.open(logs.chain_lock, os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with (
            fault_server([bill]) as server,
            running_engine(tmp_path, server.url) as running,
        ):
            mending = running.engine
            deadline = time.monotonic() + PATIENCE_S
            while not mending.stalled(PATIENCE_S, 0.2):
                assert time.monotonic() < deadline
                time.sleep(0.01)
            fill(tmp_path, "transactions", 1, 1)
            running.engine.wake()
            assert billed.wait(PATIENCE_S)
            fcntl.flock(lock, fcntl.LOCK_UN)
            assert running.engine.drain() is None
    finally:
        os.close(lock)
