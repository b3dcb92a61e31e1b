"""The admin listener: ``/metrics``, for whoever watches the bridge. It shows and takes nothing else.

One request at a time, each bounded in time; the intake knows nothing of it. While the main thread
hangs, which may be the disk's fault, it says so and reads nothing, also to who waits for the disk
already. Where its address cannot be had, that is told and the bridge goes on: billing does not wait for
a page.
"""

import socket
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import TCPServer
from typing import Any

from bridge.daemon.ending import end
from bridge.egress.event import Event
from bridge.operate.metrics import CONTENT_TYPE, exposition, stalled
from bridge.operate.status import Status
from keys.errors import BridgeError
from spool.durable import explained

PATH = "/metrics"
REQUEST_S = 5.0
"""Seconds that one request may take to come in; others wait for it."""
ACCEPT_AGAIN_S = 1.0
"""Seconds after which a connection that could not be accepted is tried again."""
ASK_AGAIN_S = 0.5
"""Seconds after which a request that waits for a look asks whether the disk hangs."""


class AdminServer:
    """Serves what ``look`` finds on ``host`` and ``port``, from construction to :meth:`close`.

    ``hangs`` tells whether nothing is to be read; ``ended`` is called where its thread has ended by
    itself. Raises :class:`OSError` where the address cannot be
    had.
    """

    def __init__(
        self,
        host: str,
        port: int,
        look: Callable[[], Status],
        tell: Callable[[Event], None],
        *,
        hangs: Callable[[], bool] = lambda: False,
        ended: Callable[[], None] = lambda: None,
        request_s: float = REQUEST_S,
    ) -> None:
        self._closing = threading.Event()
        self._server = _Server(host, port, _Pages(look, hangs), tell, self._closing)
        self._server.request_s = request_s
        self.port: int = self._server.server_address[1]
        self._ended = ended
        self.broken: BaseException | None = None
        """What ended the thread; the process must say so and stop."""
        self._thread = threading.Thread(target=self._serve, name="admin", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Serve no more."""
        self._closing.set()
        # It wakes whoever waits there for a connection; the library's own loop looks twice a second.
        self._server.socket.shutdown(socket.SHUT_RDWR)
        end(self._thread)
        self._server.server_close()

    def _serve(self) -> None:
        try:
            while not self._closing.is_set():
                self._server.handle_request()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the process must learn of it
            self.broken = error
            self._ended()


class _Pages:
    """Looks beside whoever asks, one look at a time: one that hangs holds up no other answer."""

    def __init__(self, look: Callable[[], Status], hangs: Callable[[], bool]) -> None:
        self._look = look
        self._hangs = hangs
        self._looking: Future[Status] | None = None

    def page(self) -> bytes:
        """What is so now. Raises what the look raises."""
        if self._looking is not None and self._looking.done():
            self._looking = None  # it hung, and what it found is of then
        while not self._hangs():
            if self._looking is None:
                self._looking = Future()
                threading.Thread(
                    target=self._find, args=(self._looking,), name="metrics", daemon=True
                ).start()
            found, _ = wait([self._looking], ASK_AGAIN_S)
            if found:
                looked, self._looking = self._looking, None
                return exposition(looked.result())
        return stalled()

    def _find(self, looking: Future[Status]) -> None:
        try:
            looking.set_result(self._look())
        except BaseException as error:  # noqa: BLE001 - whoever asked gets it
            looking.set_exception(error)


class _Server(HTTPServer):
    request_queue_size = 16
    request_s = REQUEST_S

    def __init__(
        self,
        host: str,
        port: int,
        pages: _Pages,
        tell: Callable[[Event], None],
        closing: threading.Event,
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.pages = pages
        self._tell = tell
        self._said = ""
        self._closing = closing
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        """Bind, and leave out what the base does then: it looks up the machine's own name."""
        TCPServer.server_bind(self)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept; where that fails, as without a descriptor, not again at once, and for ever."""
        try:
            return super().get_request()
        except OSError:
            self._closing.wait(ACCEPT_AGAIN_S)
            raise

    def say(self, error: BridgeError) -> None:
        """Tell once why there are no metrics."""
        if error.message != self._said:
            self._said = error.message
            self._tell(Event("admin.failed", error.message, {"error": error.id}))

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - the base's
        """Tell of a fault of ours; that whoever asked has gone is nothing that anybody has to know."""
        del request, client_address
        error = sys.exception()
        if not isinstance(error, OSError | None):
            self.say(
                BridgeError(
                    "internal",
                    f"There are no metrics: a fault of the program ({type(error).__name__}).",
                    "Report this.",
                )
            )


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "airgap-bridge"
    sys_version = ""

    def handle(self) -> None:
        """One request: who has not sent all of it in time is cut off, however it drips."""
        self.connection.settimeout(self.server.request_s)
        self._late = threading.Timer(self.server.request_s, self._cut)
        self._late.daemon = True
        self._late.start()
        try:
            super().handle()
        finally:
            self._late.cancel()

    def _cut(self) -> None:
        with suppress(OSError):  # it has gone
            self.connection.shutdown(socket.SHUT_RDWR)

    def do_GET(self) -> None:
        self._late.cancel()
        if self.path != PATH:
            self._answer(HTTPStatus.NOT_FOUND, f"Look at {PATH}.\n".encode())
            return
        try:
            page = self.server.pages.page()
        except (BridgeError, OSError) as error:
            problem = explained(error, "read the spool") if isinstance(error, OSError) else error
            self.server.say(problem)
            self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, f"{problem.id}\n".encode())
            return
        self._answer(HTTPStatus.OK, page, CONTENT_TYPE)

    def _answer(
        self, status: HTTPStatus, body: bytes, kind: str = "text/plain; charset=utf-8"
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Requests are not logged."""
