"""A raw-socket HTTP server on loopback that answers as a test scripts it, byte by byte.

A script is a row of steps, run after a whole request was read. Requests take the scripts in turn; the
last one stays for all that follow. ``at_once`` steps run when a connection is accepted, before anything
is read of it; ``before_reading`` ones after that, when TLS is there. Everything that was received is in
``requests``.
"""

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

HOST = "127.0.0.1"
STOP_MAX_S = 30
"""Seconds for a thread to end; it needs far less, a loaded machine may need more."""
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came; header names are in lower case, ``connection`` counts from 0."""

    line: str
    headers: dict[str, str]
    body: bytes
    connection: int


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a step works on."""

    sock: socket.socket
    stopping: threading.Event

    def pause(self, seconds: float) -> None:
        """Wait, but not past the end of the test."""
        if self.stopping.wait(seconds):
            raise ConnectionAbortedError


Step = Callable[[Conversation], None]


def answer(status: int, body: bytes = b"", *headers: str, content_type: str = JSON) -> bytes:
    """The bytes of a whole, well-formed answer."""
    lines = [f"HTTP/1.1 {status} Word", *headers]
    if content_type:
        lines.append(f"Content-Type: {content_type}")
    if status != 204:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def say(data: bytes) -> Step:
    """Send ``data``."""
    return lambda talk: talk.sock.sendall(data)


def wait(seconds: float) -> Step:
    """Send nothing for a while."""
    return lambda talk: talk.pause(seconds)


def drip(data: bytes, every_s: float) -> Step:
    """Send ``data`` one byte at a time."""

    def step(talk: Conversation) -> None:
        for byte in data:
            talk.sock.sendall(bytes([byte]))
            talk.pause(every_s)

    return step


def flood(piece: bytes, times: int, sent: list[int]) -> Step:
    """Send ``piece`` again and again; ``sent`` gets the number of bytes that were taken."""

    def step(talk: Conversation) -> None:
        for _ in range(times):
            talk.sock.sendall(piece)
            sent[0] += len(piece)

    return step


def sip(size: int, every_s: float) -> Step:
    """Read at most ``size`` bytes of what is sent, again and again, and never answer."""

    def step(talk: Conversation) -> None:
        while talk.sock.recv(size):
            talk.pause(every_s)

    return step


def close(talk: Conversation) -> None:
    """End the connection in good order."""
    talk.sock.shutdown(socket.SHUT_RDWR)
    raise ConnectionAbortedError


def reset(talk: Conversation) -> None:
    """Break the connection off."""
    talk.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raise ConnectionAbortedError


@dataclass
class FaultServer:
    """A running server; ``url`` is where, ``threads`` has one for each connection."""

    scripts: Sequence[Sequence[Step]]
    at_once: Sequence[Step]
    tls: ssl.SSLContext | None
    listener: socket.socket
    before_reading: Sequence[Step] = ()
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    threads: list[threading.Thread] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _turn: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def port(self) -> int:
        port: int = self.listener.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://{HOST}:{self.port}"

    def serve(self) -> None:
        """Accept until :meth:`stop`."""
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._converse, args=(sock, self.connections))
            self.connections += 1
            self.threads.append(thread)
            thread.start()

    def stop(self, accepting: threading.Thread) -> None:
        """End all conversations."""
        self._stopping.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        for thread in (accepting, *self.threads):
            thread.join(STOP_MAX_S)
            assert not thread.is_alive()
        self.listener.close()

    def _converse(self, raw: socket.socket, connection: int) -> None:
        sock = raw
        try:
            sock.settimeout(STOP_MAX_S)
            for step in self.at_once:
                step(Conversation(sock, self._stopping))
            if self.tls is not None:
                sock = self.tls.wrap_socket(raw, server_side=True)
            for step in self.before_reading:
                step(Conversation(sock, self._stopping))
            while (request := self._read(sock, connection)) is not None:
                with self._lock:
                    self.requests.append(request)
                    script = self.scripts[min(self._turn, len(self.scripts) - 1)]
                    self._turn += 1
                for step in script:
                    step(Conversation(sock, self._stopping))
        except OSError:
            # What a client does with a fault is for the test to judge.
            return
        finally:
            sock.close()

    def _read(self, sock: socket.socket, connection: int) -> Request | None:
        data = bytearray()
        while b"\r\n\r\n" not in data:
            if not self._receive(sock, data):
                return None
        head, _, rest = bytes(data).partition(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")
        pairs = [item.split(": ", 1) for item in fields]
        headers = {name.lower(): value for name, value in pairs}
        body = bytearray(rest)
        while len(body) < int(headers.get("content-length", "0")):
            if not self._receive(sock, body):
                return None
        return Request(line, headers, bytes(body), connection)

    def _receive(self, sock: socket.socket, into: bytearray) -> bool:
        """More bytes; False when there are no more. Looks at the end of the test meanwhile."""
        sock.settimeout(0.05)
        while not self._stopping.is_set():
            try:
                piece = sock.recv(1 << 18)
            except TimeoutError:
                continue
            sock.settimeout(STOP_MAX_S)
            into += piece
            return bool(piece)
        return False


@contextmanager
def fault_server(
    *scripts: Sequence[Step],
    at_once: Sequence[Step] = (),
    before_reading: Sequence[Step] = (),
    tls: ssl.SSLContext | None = None,
    receive_buffer: int | None = None,
) -> Iterator[FaultServer]:
    """A server with these scripts, stopped at the end; ``receive_buffer`` bytes are the kernel's."""
    listener = socket.socket()
    if receive_buffer is not None:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    listener.bind((HOST, 0))
    listener.listen()
    server = FaultServer(scripts or ((),), at_once, tls, listener, before_reading)
    accepting = threading.Thread(target=server.serve)
    accepting.start()
    try:
        yield server
    finally:
        server.stop(accepting)
