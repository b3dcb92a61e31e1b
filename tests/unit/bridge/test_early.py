"""An answer that comes while its request is being sent: a refusal ends that, nothing else does."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bridge.egress.answers import Answer, Failure
from bridge.egress.client import BeaconClient
from bridge.egress.unsent import STALLED_S
from tests.support.connectproxy import connect_proxy
from tests.support.faultserver import (
    HOST,
    Step,
    answer,
    close,
    drip,
    fault_server,
    reset,
    say,
    sip,
    wait,
)
from tests.support.spools import wait_until
from tests.unit.bridge.test_client import BODY, GOOD, PATH, TAKEN, authority, client_of

pytestmark = pytest.mark.enable_socket

LARGE = bytes(64 << 20)
"""More than the kernels on both sides hold."""
HELD = bytes(256 * 1024)
"""No more than this machine's kernel holds for who does not read."""
SMALL = 8 * 1024
"""Bytes that the other side's kernel takes for it."""
DEADLINE_S = 5.0


def _post(client: BeaconClient, body: bytes = LARGE) -> int:
    reply = client.post(PATH, {}, body)
    assert isinstance(reply, Answer), reply
    return reply.status


@pytest.mark.parametrize("status", [301, 401, 413, 429, 503])
def test_a_refusal_is_heard_though_nobody_reads_on_or_closes(status: int) -> None:
    with (
        fault_server(before_reading=[say(answer(status)), wait(60)]) as server,
        client_of(server.url, deadline_s=DEADLINE_S) as client,
    ):
        assert _post(client) == status


def test_so_it_is_through_tls_where_something_comes_that_is_no_answer(tmp_path: Path) -> None:
    ca_file, context = authority(tmp_path)
    context.num_tickets = 2
    with (
        fault_server(before_reading=[say(answer(413)), wait(60)], tls=context) as server,
        client_of(server.url, ca_file=ca_file, deadline_s=DEADLINE_S) as client,
    ):
        assert _post(client) == 413


@contextmanager
def _behind_an_encrypted_proxy(folder: Path, *steps: Step) -> Iterator[BeaconClient]:
    """A client of a server that answers so before it reads, by TLS within TLS."""
    ca_file, context = authority(folder, HOST, "beacon.invalid")
    with (
        fault_server([say(GOOD)], before_reading=steps, tls=context) as server,
        connect_proxy({"beacon.invalid:443": server.port}, context) as proxy,
        client_of(
            "https://beacon.invalid", ca_file=ca_file, proxy=proxy.url, deadline_s=DEADLINE_S
        ) as client,
    ):
        yield client


@pytest.mark.parametrize(
    "steps",
    [
        [say(answer(413))],
        [say(b"HTTP/1.1 100 Continue\r\n\r\n"), say(answer(413))],
        [say(answer(413)[:10]), wait(0.01), say(answer(413)[10:])],
    ],
    ids=["at once", "after an interim one", "in pieces"],
)
def test_so_it_is_within_the_tls_of_a_proxy(steps: list[Step], tmp_path: Path) -> None:
    with _behind_an_encrypted_proxy(tmp_path, *steps, wait(60)) as client:
        assert _post(client) == 413


def test_a_success_that_comes_early_within_the_tls_of_a_proxy_ends_no_sending(
    tmp_path: Path,
) -> None:
    with _behind_an_encrypted_proxy(tmp_path, say(GOOD), wait(0.3)) as client:
        assert client.post(PATH, {}, LARGE) == TAKEN
        assert client.post(PATH, {}, BODY) == TAKEN


@pytest.mark.parametrize(
    "steps",
    [
        [say(b"HTTP/1.1 100 Continue\r\n\r\n"), say(answer(413))],
        [wait(0.3), say(answer(413))],
        [drip(answer(413), 0.001)],
    ],
    ids=["after an interim one", "late", "in pieces"],
)
def test_a_refusal_is_heard_however_it_comes(steps: list[Step]) -> None:
    with (
        fault_server(before_reading=[*steps, wait(60)]) as server,
        client_of(server.url, deadline_s=DEADLINE_S) as client,
    ):
        assert _post(client) == 413


@pytest.mark.parametrize(
    "steps",
    [
        [say(b"HTTP/1.1 401 Word\r\n\r\nno"), wait(60)],
        [say(b"HTTP/1.0 401 Word\r\n\r\n"), wait(60)],
        [say(answer(401, b"nobody")[:-3]), wait(60)],
        [say(answer(401, b"nobody")[:-3]), close],
        [say(answer(401, b"nobody")[:-3]), wait(0.3), reset],
    ],
    ids=["no length", "HTTP/1.0", "its end does not come", "closed", "broken off"],
)
@pytest.mark.parametrize("body", [LARGE, BODY], ids=["large", "small"])
def test_a_refusal_counts_from_its_status_on_whatever_becomes_of_its_text(
    steps: list[Step], body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.egress.client.TEXT_S", 0.2)
    with (
        fault_server(before_reading=steps) as server,
        client_of(server.url, deadline_s=60) as client,
    ):
        reply = client.post(PATH, {}, body)
    assert isinstance(reply, Answer), reply
    assert (reply.status, reply.cut) == (401, True)


@pytest.mark.parametrize(
    "early",
    [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 102 Processing\r\n\r\n", b"HTTP/1.1 1"],
    ids=["continue", "processing", "cut"],
)
def test_an_answer_that_is_not_final_ends_no_sending(early: bytes) -> None:
    rest = b"00 Continue\r\n\r\n" if early.endswith(b" 1") else b""
    with (
        fault_server([say(rest + GOOD)], before_reading=[say(early), wait(0.3)]) as server,
        client_of(server.url) as client,
    ):
        assert client.post(PATH, {}, LARGE) == TAKEN
    assert [len(request.body) for request in server.requests] == [len(LARGE)]


def test_a_success_that_is_said_before_all_was_read_ends_no_sending() -> None:
    with (
        fault_server([wait(0)], before_reading=[say(GOOD), wait(0.3)]) as server,
        client_of(server.url) as client,
    ):
        assert client.post(PATH, {}, LARGE) == TAKEN
        wait_until(lambda: bool(server.requests))
    assert [len(request.body) for request in server.requests] == [len(LARGE)]


@pytest.mark.parametrize("end", [close, reset], ids=["closed", "broken off"])
def test_a_success_that_is_said_before_all_was_sent_is_none(end: Step) -> None:
    with (
        fault_server([say(GOOD)], before_reading=[say(GOOD), wait(0.3), end]) as server,
        client_of(server.url, deadline_s=DEADLINE_S) as client,
    ):
        reply = client.post(PATH, {}, LARGE)
    assert isinstance(reply, Failure), reply
    assert reply.outcome_unknown


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "TLS"])
def test_a_success_of_what_the_other_side_cannot_have_read_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, encrypted: bool
) -> None:
    monkeypatch.setattr("bridge.egress.unsent.STALLED_S", 0.2)
    ca_file, context = authority(tmp_path)
    tls = context if encrypted else None
    with (
        fault_server(
            [say(GOOD)], before_reading=[say(GOOD), wait(60)], tls=tls, receive_buffer=SMALL
        ) as server,
        client_of(server.url, ca_file=ca_file, deadline_s=60) as client,
    ):
        reply = client.post(PATH, {}, HELD)
        client.post(PATH, {}, b"small")
        assert server.connections == 2
    assert isinstance(reply, Failure), reply
    assert (reply.outcome_unknown, reply.too_slow) == (True, False)


def test_a_success_counts_where_the_kernel_still_holds_what_is_read_after_it() -> None:
    with (
        fault_server(
            [wait(0)], before_reading=[say(GOOD), wait(0.3)], receive_buffer=SMALL
        ) as server,
        client_of(server.url) as client,
    ):
        assert client.post(PATH, {}, HELD) == TAKEN
        wait_until(lambda: bool(server.requests))
    assert [len(request.body) for request in server.requests] == [len(HELD)]


def test_a_success_before_what_does_not_leave_by_the_deadline_is_a_slow_line() -> None:
    with (
        fault_server(before_reading=[say(GOOD), sip(1024, 0.02)], receive_buffer=SMALL) as server,
        client_of(server.url, deadline_s=0.5) as client,
    ):
        reply = client.post(PATH, {}, HELD)
    assert isinstance(reply, Failure), reply
    assert (reply.outcome_unknown, reply.too_slow) == (True, True)


def test_a_success_before_the_connection_is_broken_off_is_none_at_once() -> None:
    with (
        fault_server(before_reading=[say(GOOD), wait(0.2), reset], receive_buffer=SMALL) as server,
        client_of(server.url, deadline_s=60) as client,
    ):
        begin = time.monotonic()
        reply = client.post(PATH, {}, HELD)
        assert time.monotonic() - begin < STALLED_S
    assert isinstance(reply, Failure), reply
    assert reply.outcome_unknown


def test_after_an_early_refusal_the_next_request_has_a_connection_of_its_own() -> None:
    with (
        fault_server([say(GOOD)], before_reading=[say(answer(413)), wait(0.3)]) as server,
        client_of(server.url, deadline_s=DEADLINE_S) as client,
    ):
        assert _post(client) == 413
        assert _post(client, BODY) == 413
        assert server.connections == 2
