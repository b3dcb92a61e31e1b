"""A real HTTP server on loopback whose answer depends on what it was sent."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: path, key, body."""

    path: str
    key: str
    body: bytes


Judge = Callable[[Asked], tuple[int, bytes] | None]
"""Status and JSON body of the answer; None cuts the connection without one."""


@contextmanager
def judging(judge: Judge) -> Iterator[tuple[str, list[Asked]]]:
    """A server that answers as ``judge`` says; its address, and the requests that it took."""
    taken: list[Asked] = []
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one write, or the kernels wait for each other

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked = Asked(self.path, self.headers["Idempotency-Key"], body)
            with lock:
                said = judge(asked)
                if said is not None and 200 <= said[0] < 300:
                    taken.append(asked)
            if said is None:
                self.close_connection = True
                return
            status, document = said
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(document)))
            self.end_headers()
            self.wfile.write(document)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        host, port = server.socket.getsockname()[:2]
        try:
            yield f"http://{host}:{port}", taken
        finally:
            server.shutdown()
            thread.join()
