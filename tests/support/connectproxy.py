"""A forward proxy on loopback that makes tunnels, as squid does; it alone knows where a name leads."""

import select
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

HOST = "127.0.0.1"
TUNNEL_MAX_S = 60.0


@dataclass
class ConnectProxy:
    """A running one: ``asked`` are the first lines of what came; ``refuses`` is a status, or none."""

    listener: socket.socket
    leads: Mapping[str, int]
    refuses: int | None = None
    tls: ssl.SSLContext | None = None
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://{HOST}:{self.listener.getsockname()[1]}"

    def serve(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._tunnel, args=(sock,), daemon=True).start()

    def _tunnel(self, raw: socket.socket) -> None:
        with suppress(OSError):
            raw.settimeout(TUNNEL_MAX_S)
            sock = raw if self.tls is None else self.tls.wrap_socket(raw, server_side=True)
            self._converse(sock)

    def _converse(self, sock: socket.socket) -> None:
        with sock:
            head = b""
            while b"\r\n\r\n" not in head:
                piece = sock.recv(4096)
                if not piece:
                    return
                head += piece
            line = head.split(b"\r\n", 1)[0].decode("latin-1")
            self.asked.append(line)
            if self.refuses is not None:
                sock.sendall(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % self.refuses)
                return
            port = self.leads[line.split(" ")[1]]
            with socket.create_connection((HOST, port), TUNNEL_MAX_S) as target:
                sock.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                _copy(sock, target)


def _copy(client: socket.socket, target: socket.socket) -> None:
    """What comes from either goes to the other, until one of them ends."""
    while True:
        held = isinstance(client, ssl.SSLSocket) and client.pending() > 0
        ready = [client] if held else select.select([client, target], [], [], TUNNEL_MAX_S)[0]
        for source in ready:
            piece = source.recv(65536)
            if not piece:
                return
            (target if source is client else client).sendall(piece)


@contextmanager
def connect_proxy(
    leads: Mapping[str, int], tls: ssl.SSLContext | None = None
) -> Iterator[ConnectProxy]:
    """A proxy that connects ``HOST:PORT`` as it is asked for to a port of this machine."""
    listener = socket.create_server((HOST, 0))
    proxy = ConnectProxy(listener, leads, tls=tls)
    accepting = threading.Thread(target=proxy.serve)
    accepting.start()
    try:
        yield proxy
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        accepting.join(30)
        listener.close()
