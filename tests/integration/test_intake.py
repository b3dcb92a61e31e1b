"""The intake's server on loopback, spoken to byte by byte: captures, half requests, stopping."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random

import httpx
import pytest

from bridge.intake.app import Intake
from bridge.intake.connection import HEAD_MAX, HEAD_S
from bridge.intake.gate import Gate
from bridge.intake.server import IntakeServer
from spool.beat import CALM_TURN_S, TURN_S
from spool.secrets import SecretGuard
from spool.streams import STREAMS
from spool.writer import Writer
from tests.support.spools import wait_until
from tests.support.stored import open_lines

pytestmark = pytest.mark.enable_socket
CAPTURES = Path(__file__).parents[1] / "captures"
KEY = "lcl_EXAMPLE_NOT_A_KEY"
HEAD = b"POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
ONE = b'{"resourceLogs":[{"a":1}]}'
GOOD = HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(ONE), ONE)


class Running:
    """A server in this process."""

    def __init__(self, spool: Path, held: ExitStack) -> None:
        self.spool = spool
        writers = {name: held.enter_context(Writer(spool, name, node="n")) for name in STREAMS}
        gate = Gate(lambda key: key == KEY, open_otlp=True)
        intake = Intake(writers, gate, SecretGuard([KEY]), lambda _: True, Random(1))
        self.server = IntakeServer(intake, "127.0.0.1", 0)
        self.server.start()
        held.callback(self.server.stop)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.server.port), timeout=20)

    def stored(self, stream: str) -> list[bytes]:
        return open_lines(self.spool, stream)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with ExitStack() as held:
        yield Running(tmp_path, held)


def test_a_loop_that_sleeps_for_long_turns_when_it_is_told_to_and_is_missed_if_it_does_not(
    tmp_path: Path,
) -> None:
    turns: list[float] = []
    hung, goes_on = threading.Event(), threading.Event()

    def turned() -> None:
        turns.append(time.monotonic())
        if len(turns) == 3:
            hung.set()
            goes_on.wait()

    def would_be_late() -> bool:
        return server.stalled(-TURN_S - 1)

    with ExitStack() as held:
        writers = {name: held.enter_context(Writer(tmp_path, name, node="n")) for name in STREAMS}
        gate = Gate(lambda key: key == KEY, open_otlp=True)
        intake = Intake(writers, gate, SecretGuard([KEY]), lambda _: True, Random(1))
        server = IntakeServer(intake, "127.0.0.1", 0, turn_s=lambda: CALM_TURN_S, turned=turned)
        server.start()
        held.callback(server.stop)
        held.callback(goes_on.set)
        wait_until(lambda: len(turns) == 1)
        server.turn_soon()
        wait_until(lambda: len(turns) == 2)
        assert not would_be_late()
        server.turn_soon()
        assert hung.wait(20)
        assert not would_be_late()
        server.turn_soon()
        assert would_be_late()


def answered(connection: socket.socket) -> tuple[int, bytes]:
    """The status of the next answer and its body."""
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(65536)
        assert piece, f"closed after {received!r}"
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    lengths = [
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    ]
    while lengths and len(body) < lengths[0]:
        body += connection.recv(65536)
    return int(head.split(b" ")[1]), body


def is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(65536) == b""
    except ConnectionResetError:
        return True


def as_captured(said_in: Path) -> bytes:
    """The request as its client sent it: its own header order and case, chunked if it was."""
    said = json.loads(said_in.read_bytes())
    body = said_in.with_suffix(".body").read_bytes()
    lines = [
        f"{said['method']} {said['path']} HTTP/1.1",
        *(f"{n}: {v}" for n, v in said["headers"]),
    ]
    head = "\r\n".join(lines).encode() + b"\r\n\r\n"
    if b"\r\ntransfer-encoding: chunked\r\n" in head.lower():
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    return head + body


JSON_CAPTURES = sorted(
    path
    for path in CAPTURES.glob("*/ok-*.json")
    if ["content-type", "application/json"]
    in [[n.lower(), v] for n, v in json.loads(path.read_bytes())["headers"]]
    and "gzip" not in path.parent.name  # the elements are not seen in a compressed body
)


def test_every_captured_json_request_is_taken_byte_for_byte_on_one_connection(
    running: Running,
) -> None:
    assert len(JSON_CAPTURES) >= 10
    with running.connect() as connection:
        for path in JSON_CAPTURES:
            connection.sendall(as_captured(path))
            assert answered(connection) == (200, b"{}")
    for stream in ("logs", "metrics", "traces"):
        sent = [
            path.with_suffix(".body").read_bytes()
            for path in JSON_CAPTURES
            # The collector's logs are without severities: none is known to be a warning.
            if stream in path.name and "otelcol" not in path.parent.name
        ]
        stored = running.stored(stream)
        assert len(stored) == len(sent) > 0
        for body, line in zip(sent, stored, strict=True):
            # Only the outermost object is written anew: the elements are the client's bytes.
            elements = body[body.index(b"[") : body.rindex(b"]") + 1]
            assert elements in line
    (report,) = running.stored("langgraph")
    assert KEY.encode() not in report


@pytest.mark.parametrize("cut_every", [1, 7])
def test_a_captured_request_may_come_in_pieces(running: Running, cut_every: int) -> None:
    request = as_captured(CAPTURES / "js-otel-json-none" / "ok-logs-1.json")
    with running.connect() as connection:
        for start in range(0, len(request), cut_every):
            connection.sendall(request[start : start + cut_every])
        assert answered(connection) == (200, b"{}")


def test_customer_traffic_is_refused_without_a_redirect_and_nothing_is_stored(
    running: Running,
) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{running.server.port}") as client:
        for said_in in sorted(CAPTURES.glob("langsmith-py/*.json")):
            said = json.loads(said_in.read_bytes())
            body = said_in.with_suffix(".body").read_bytes()
            answer = client.request(said["method"], said["path"], content=body)
            assert answer.status_code == 404
            assert answer.json()["error"] == "intake.unrouted"
        for path in ("/v1/logs/", "//v1/logs", "/V1/logs", "/v1/logs%3Fa", "/v1/beacon/v1/logs/.."):
            assert client.post(path, json={"resourceLogs": [{"a": 1}]}).status_code == 404
    assert all(running.stored(stream) == [] for stream in STREAMS)


def test_refusals_leave_the_connection_and_the_rest_of_the_body_is_passed_over(
    running: Running,
) -> None:
    with running.connect() as connection:
        wrong_type = b"POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n"
        connection.sendall(wrong_type)
        assert answered(connection)[0] == 415
        connection.sendall(bytes(300_000) + GOOD)
        assert answered(connection) == (200, b"{}")
        connection.sendall(HEAD + b"Content-Length: 1\r\n\r\n{" + GOOD)
        assert answered(connection)[0] == 400
        assert answered(connection) == (200, b"{}")
    assert running.stored("logs") == [ONE, ONE]


def test_expect_100_continue_is_answered_and_a_refusal_saves_the_body(running: Running) -> None:
    expect = b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n"
    with running.connect() as connection:
        connection.sendall(HEAD + expect % len(ONE))
        assert answered(connection)[0] == 100
        connection.sendall(ONE)
        assert answered(connection) == (200, b"{}")
        connection.sendall(HEAD + expect % 100_000_000)
        assert answered(connection)[0] == 413


ENDLESS = 1024 * HEAD_MAX
"""Bytes: far more than the kernel takes on both sides before anybody looks at them."""


@pytest.mark.parametrize(
    "begun",
    [
        HEAD + b"X: ",
        CHUNKED + b"1\r\n{\r\n0\r\nX: ",
        CHUNKED + b"1;",
        GOOD + b"POST /v1/",
        b"\r\n" * 10,
    ],
    ids=["header", "trailer", "chunk extension", "second path", "before a request"],
)
def test_what_never_ends_is_cut_and_others_are_served(running: Running, begun: bytes) -> None:
    filling = b"\r\n" if begun.startswith(b"\r") else b"a"
    with running.connect() as connection:
        sent = 0
        try:
            connection.sendall(begun)
            while sent < ENDLESS:
                connection.sendall(filling * 16384)
                sent += 16384 * len(filling)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert sent < ENDLESS
    with running.connect() as connection:
        connection.sendall(GOOD)
        assert answered(connection) == (200, b"{}")


@pytest.mark.parametrize(
    "trailer",
    [b"Content-Encoding: gzip", b"Content-Type: text/plain", b"X-Langchain-License-Key: short"],
)
def test_what_a_trailer_says_is_no_header(running: Running, trailer: bytes) -> None:
    with running.connect() as connection:
        connection.sendall(CHUNKED + b"%x\r\n%b\r\n0\r\n%b\r\n\r\n" % (len(ONE), ONE, trailer))
        assert answered(connection) == (200, b"{}")
        connection.sendall(GOOD)
        assert answered(connection) == (200, b"{}")


@pytest.mark.slow
def test_half_a_head_and_no_head_at_all_are_ended_after_seconds(running: Running) -> None:
    with running.connect() as silent, running.connect() as half, running.connect() as later:
        half.sendall(HEAD)
        later.sendall(GOOD)
        assert answered(later) == (200, b"{}")
        later.sendall(HEAD)
        begun = time.monotonic()
        for connection in (silent, half, later):
            assert is_closed(connection)
        assert time.monotonic() - begun < 2 * HEAD_S


UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\nUpgrade: h2c\r\n"
OFFERED = HEAD + UPGRADE + b"Content-Length: %d\r\n\r\n%b" % (len(ONE), ONE)


@pytest.mark.parametrize("cut_every", [1, 50, 10_000])
def test_an_offer_of_http_2_is_passed_over_and_the_body_is_taken(
    running: Running, cut_every: int
) -> None:
    chunked = HEAD + UPGRADE + b"Transfer-Encoding: chunked\r\n\r\n1a\r\n%b\r\n0\r\n\r\n" % ONE
    with running.connect() as connection:
        for request in (OFFERED, chunked, GOOD, OFFERED):
            for start in range(0, len(request), cut_every):
                connection.sendall(request[start : start + cut_every])
            assert answered(connection) == (200, b"{}")
    assert running.stored("logs") == [ONE] * 4


def test_who_offers_http_2_and_asks_for_the_end_gets_it_after_the_answer(running: Running) -> None:
    with running.connect() as connection:
        connection.sendall(OFFERED.replace(b"Connection: ", b"Connection: Close, "))
        assert answered(connection) == (200, b"{}")
        assert connection.recv(1) == b""
    assert running.stored("logs") == [ONE]


def test_many_offers_in_one_piece_are_each_answered(running: Running) -> None:
    count = 1000
    answers = b""
    with running.connect() as connection:
        threading.Thread(target=connection.sendall, args=(OFFERED * count,)).start()
        while answers.count(b"{}") < count:
            piece = connection.recv(65536)
            assert piece
            answers += piece
    assert len(running.stored("logs")) == count


@pytest.mark.parametrize("request_line", [b"CONNECT a:443", b"CONNECT /v1/logs", b"PRI *"])
def test_what_is_no_request_for_us_ends_or_is_refused(
    running: Running, request_line: bytes
) -> None:
    with running.connect() as connection:
        connection.sendall(request_line + b" HTTP/1.1\r\n" + UPGRADE + b"\r\n")
        assert answered(connection)[0] in {400, 405}


def test_a_body_that_stops_is_answered_408_and_the_connection_ends(running: Running) -> None:
    with running.connect() as connection:
        connection.sendall(HEAD + b"Content-Length: 100\r\n\r\n{")
        assert answered(connection)[0] == 408
        assert is_closed(connection)
    assert running.stored("logs") == []


def test_the_loop_answers_while_a_large_body_is_judged(running: Running) -> None:
    record = b'{"severityNumber":13,"body":{"stringValue":"%b"}}' % (b"x" * 500)
    records = b",".join([record] * 10_000)
    body = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[%b]}]}]}' % records
    url = f"http://127.0.0.1:{running.server.port}"
    statuses: list[int] = []

    def send() -> None:
        headers = {"content-type": "application/json"}
        statuses.append(
            httpx.post(f"{url}/v1/logs", content=body, headers=headers, timeout=60).status_code
        )

    large = threading.Thread(target=send)
    large.start()
    answers_meanwhile = 0
    with httpx.Client(base_url=url, timeout=60) as client:
        while large.is_alive():
            assert client.get("/livez").status_code == 200
            answers_meanwhile += 1
    large.join()
    assert statuses == [200]
    assert answers_meanwhile > 2
    assert sum(line.count(b'"body"') for line in running.stored("logs")) == 10_000


def test_stopping_keeps_what_was_answered_and_does_not_wait_for_half_sent_requests(
    tmp_path: Path,
) -> None:
    with ExitStack() as held:
        running = Running(tmp_path, held)
        with running.connect() as half, running.connect() as idle, running.connect() as body:
            half.sendall(HEAD)
            body.sendall(HEAD + b"Content-Length: 100\r\n\r\n{")
            idle.sendall(GOOD)
            assert answered(idle) == (200, b"{}")
            begun = time.monotonic()
            running.server.stop()
            assert time.monotonic() - begun < 5
            assert running.server.broken is None
            assert answered(body)[0] == 503
            assert is_closed(half)
            assert running.stored("logs") == [ONE]


def test_nothing_names_the_server_or_its_version(running: Running) -> None:
    answer = httpx.get(f"http://127.0.0.1:{running.server.port}/livez")
    assert set(answer.headers) == {"date", "content-length", "content-type"}
