"""Requests become smaller where the way is too narrow for large ones."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bridge.egress.circuits import EVERYTHING
from spool.ledger import State
from tests.support.judging import Asked, judging
from tests.support.sending import append, fill, sending

pytestmark = pytest.mark.enable_socket
KIB = 1024
PIECE, CARRIED = 64 * KIB, 1024 * KIB


def numbers(body: bytes) -> list[int]:
    return [int(found) for found in re.findall(rb'"id":"(\d+)"', body)]


def test_a_limit_that_a_proxy_has_is_found_once_and_not_with_each_request(tmp_path: Path) -> None:
    lane = fill(tmp_path, "transactions", 4, 1000)
    refused: list[int] = []

    def judge(asked: Asked) -> tuple[int, bytes]:
        if len(asked.body) > 9 * KIB:
            refused.append(len(asked.body))
            return 413, b"<html>Request Entity Too Large</html>"
        return 200, b'{"inserted_count":%d}' % len(numbers(asked.body))

    with judging(judge) as (url, taken), sending(lane, url, raw_max=64 * KIB) as out:
        while not out.sender.step().idle:
            pass
        assert out.records() == {State.DELIVERED: 4000}
    # The first request and what became of it; later ones fit.
    assert len(refused) == 7
    assert len(taken) > 10 * len(refused) / 7
    assert [n for asked in taken for n in numbers(asked.body)] == list(range(4000))


@dataclass(frozen=True, slots=True)
class Line:
    """A beacon behind a line that carries :data:`CARRIED` bytes of a request until it is ``free``."""

    url: str
    taken: list[bytes]
    free: threading.Event


@contextmanager
def slow_line() -> Iterator[Line]:
    taken: list[bytes] = []
    free = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            size = int(self.headers["Content-Length"])
            body = self.rfile.read(min(size, CARRIED))
            if size > CARRIED:
                free.wait()
                with suppress(ConnectionResetError):
                    body += self.rfile.read(size - CARRIED)
            if len(body) < size:  # it was given up
                self.close_connection = True
                return
            taken.append(body)
            self.say(b'{"inserted_count":%d}' % len(numbers(body)))

        def say(self, answer: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def server_bind(self) -> None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PIECE)
            super().server_bind()

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        host, port = server.socket.getsockname()[:2]
        try:
            yield Line(f"http://{host}:{port}", taken, free)
        finally:
            free.set()
            server.shutdown()
            thread.join()


def test_what_a_slow_line_does_not_carry_in_time_goes_in_smaller_requests(tmp_path: Path) -> None:
    large = [b'{"id":"%d","x":"%b"}' % (n, b"y" * 128 * KIB) for n in range(24)]
    lane = append(tmp_path, "transactions", large)
    # Only the first request meets the deadline: those that follow have a line that is free.
    with slow_line() as line, sending(lane, line.url, raw_max=8 << 20, deadline_s=2.0) as out:
        first = out.sender.step()
        assert first.trip is not None
        assert first.trip[0] == EVERYTHING
        assert "in time" in first.trip[1]
        line.free.set()
        steps = 1
        while not out.sender.step().idle:
            steps += 1
            assert steps < 100
        assert out.records() == {State.DELIVERED: 24}
    # What was given up is not sent in the background all the same.
    assert [n for body in line.taken for n in numbers(body)] == list(range(24))
    assert len(line.taken) > 1
