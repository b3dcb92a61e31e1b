"""A TCP relay that stands between a client and the intake and keeps what passes.

It changes no byte. What counts as acknowledged in tests is what passed here whole: a request, and
the complete answer that went back for it.
"""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httptools

HOST = "127.0.0.1"
PIECE = 64 * 1024
CONTINUES = 200
"""Answers below this are not the last word: 100 asks for the body."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Exchange:
    """A complete request, and its answer; None: none came, or a part of one.

    ``body`` is without chunks, but as compressed as it was sent.
    """

    path: str
    headers: dict[str, str]
    body: bytes
    answer: Answer | None

    @property
    def status(self) -> int:
        """The answer's status; 0 without one."""
        return self.answer.status if self.answer else 0


class Messages:
    """Collects the whole messages of one direction of a connection: httptools calls it."""

    def __init__(self) -> None:
        self.whole: list[tuple[str, int, dict[str, str], bytes]] = []
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._status = 0

    def on_message_begin(self) -> None:
        self._url, self._headers, self._body, self._status = b"", {}, bytearray(), 0

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, piece: bytes) -> None:
        self._body += piece

    def on_message_complete(self) -> None:
        self.whole.append((self._url.decode(), self._status, self._headers, bytes(self._body)))


class Answers(Messages):
    """Collects answers, but not those that ask for the body alone."""

    def __init__(self) -> None:
        super().__init__()
        self.parser = httptools.HttpResponseParser(self)

    def on_headers_complete(self) -> None:
        self._status = self.parser.get_status_code()

    def on_message_complete(self) -> None:
        if self._status >= CONTINUES:
            super().on_message_complete()


@dataclass(slots=True)
class _Passed:
    """The bytes of one connection, both ways."""

    to_server: bytearray = field(default_factory=bytearray)
    to_client: bytearray = field(default_factory=bytearray)

    def exchanges(self) -> Iterator[Exchange]:
        requests, answers = Messages(), Answers()
        # What stands before a break in the middle of a message has been collected by then.
        with contextlib.suppress(httptools.HttpParserError):
            # The parser ends at an offer of an upgrade; nobody here takes one.
            asked = bytes(self.to_server).replace(b"\r\nUpgrade:", b"\r\nX-Offered:")
            httptools.HttpRequestParser(requests).feed_data(asked)
        with contextlib.suppress(httptools.HttpParserError):
            answers.parser.feed_data(bytes(self.to_client))
        for number, (path, _, headers, body) in enumerate(requests.whole):
            answer = None
            if number < len(answers.whole):
                _, status, said, content = answers.whole[number]
                answer = Answer(status, said, content)
            yield Exchange(path, headers, body, answer)


class Relay:
    """Where the relay listens, and what has passed."""

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self._passed: list[_Passed] = []
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._closed = False
        self._listening = socket.create_server((HOST, 0), backlog=256)
        self.port: int = self._listening.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def answered_bytes(self) -> int:
        """How much has gone back to clients so far."""
        with self._lock:
            return sum(len(each.to_client) for each in self._passed)

    def exchanges(self) -> list[Exchange]:
        """Every whole request so far, in the order of the connections."""
        with self._lock:
            passed = list(self._passed)
        return [exchange for each in passed for exchange in each.exchanges()]

    def close(self) -> None:
        """Listen no more, end every connection, and wait until nothing passes."""
        with self._lock:
            self._closed = True
            open_now = list(self._open)
        for each in (self._listening, *open_now):
            _end(each, socket.SHUT_RDWR)
        self._listening.close()
        for thread in list(self._threads):
            thread.join(10)
            assert not thread.is_alive()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            try:
                server = socket.create_connection((HOST, self._upstream), timeout=5)
            except OSError:  # the daemon is away
                client.close()
                continue
            server.settimeout(None)
            with self._lock:
                if self._closed:
                    client.close()
                    server.close()
                    return
                self._open |= {client, server}
                passed = _Passed()
                self._passed.append(passed)
            thread = threading.Thread(target=self._serve, args=(client, server, passed))
            thread.daemon = True
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket, server: socket.socket, passed: _Passed) -> None:
        def answers() -> None:
            _pump(server, client, passed.to_client)
            _end(client, socket.SHUT_RDWR)  # nobody is there any more to take a request

        back = threading.Thread(target=answers, daemon=True)
        back.start()
        _pump(client, server, passed.to_server)
        _end(server, socket.SHUT_WR)
        back.join()
        with self._lock:
            self._open -= {client, server}
        client.close()
        server.close()


def _pump(source: socket.socket, sink: socket.socket, kept: bytearray) -> None:
    """Pass on what comes until one side ends."""
    with contextlib.suppress(OSError):
        while piece := source.recv(PIECE):
            kept += piece
            sink.sendall(piece)


def _end(connection: socket.socket, how: int) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(how)


@contextmanager
def relay_to(port: int) -> Iterator[Relay]:
    """A relay to a port of the loopback address."""
    relay = Relay(port)
    try:
        yield relay
    finally:
        relay.close()
