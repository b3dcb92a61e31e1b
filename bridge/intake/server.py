"""Serves the intake from a thread of its own, on a socket that is bound before anything starts."""

import asyncio
import contextlib
import os
import socket
import ssl
import threading
import time
from asyncio.sslproto import SSLProtocol
from collections.abc import Callable, Iterator
from email.utils import formatdate
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from bridge.intake.app import Intake
from bridge.intake.connection import LINGERING_MAX, Connection, connections_max
from bridge.intake.listener import Listener
from bridge.intake.tls import GOODBYE_S, HANDSHAKE_S
from bridge.intake.whole import Defaults
from keys.errors import ConfigError
from spool.beat import TURN_S, Pulse, until_beat

STOP_S = 2
"""Seconds that requests in work get when the server stops; with sealing it shall end within 5. What is
judged in a thread then is abandoned."""
BACKLOG = 2048
UNREAD_MS = 20_000
"""Milliseconds that an answer may lie unread; twice what clients wait for one."""
KEEP_ALIVE_S = 75
"""Seconds that an idle connection stays; exporters send every 5 s, and must not meet its end."""


TLS_BUFFER = 32 * 1024
"""Bytes of the buffer that each TLS connection reads into, busy or idle; twice the largest piece that
TLS sends. With asyncio's own 256 KiB, all the connections that there may be would hold 1 GiB."""


class _State(ServerState):
    """What the connections of one server share; the date is made when an answer needs a new one."""

    _second = 0

    @property
    def default_headers(self) -> list[tuple[bytes, bytes]]:
        now = int(time.time())
        if now != self._second:
            self._second = now
            self._headers = Defaults([(b"date", formatdate(now, usegmt=True).encode())])
        return self._headers

    @default_headers.setter
    def default_headers(self, headers: list[tuple[bytes, bytes]]) -> None:
        self._headers = Defaults(headers)


class _Server(uvicorn.Server):
    """Leaves signals to the process that it runs in, and shows that its loop turns."""

    def __init__(
        self, config: uvicorn.Config, turn_s: Callable[[], float], turned: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self.server_state = _State()
        self.pulse = Pulse()
        self._turn_s = turn_s
        self._turned = turned
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def stop(self) -> None:
        """End; from any thread."""
        self.should_exit = True
        self._tell()

    def turn_soon(self) -> None:
        """Turn now, and show within :data:`TURN_S` that it did; from any thread, never waits."""
        self.pulse.hurry(TURN_S)
        self._tell()

    def _tell(self) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended by itself
                self._loop.call_soon_threadsafe(self._told.set)

    async def main_loop(self) -> None:
        """As it was, but without a tick: an idle bridge costs next to nothing."""
        self._loop = asyncio.get_running_loop()
        while not self.should_exit:
            self._told.clear()
            turn_s = self._turn_s()
            self.pulse.turn(turn_s)
            self._turned()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._told.wait(), until_beat(turn_s, 2))


# It has no argument for this. Nothing else here speaks TLS with asyncio.
SSLProtocol.max_size = TLS_BUFFER


class _Loop(asyncio.SelectorEventLoop):
    """Lets nobody take a minute for a handshake, or half of one to say goodbye."""

    async def create_server(self, *given: Any, **named: Any) -> asyncio.Server:  # noqa: ANN401 - passed on
        if named.get("ssl") is not None:
            named["ssl_handshake_timeout"] = HANDSHAKE_S
            named["ssl_shutdown_timeout"] = GOODBYE_S
        return await super().create_server(*given, **named)


class IntakeServer:
    """The intake on ``host`` and ``port``; bound on construction, served from :meth:`start` on.

    With ``tls`` it speaks TLS and nothing else. Its loop turns each ``turn_s`` seconds if nothing else
    has it turn, and calls ``turned``, which must not wait. ``ended`` is called when its thread is
    broken.

    Raises :class:`ConfigError` ``intake.listen`` where the address cannot be had.
    """

    def __init__(
        self,
        intake: Intake,
        host: str,
        port: int,
        tls: ssl.SSLContext | None = None,
        *,
        turn_s: Callable[[], float] = lambda: TURN_S,
        turned: Callable[[], None] = lambda: None,
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            bound = socket.create_server((host, port), family=family, backlog=BACKLOG)
        except OSError as error:
            raise ConfigError(
                "intake.listen",
                f"The intake cannot listen on {host}:{port}: {os.strerror(error.errno or 0)}.",
                "Stop what listens there, or set intake.listen to another address.",
            ) from error
        self._socket = Listener(bound, lambda: connections_max() + LINGERING_MAX)
        # A socket that is handed over is not given this, and every answer would wait 40 ms.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Who does not read an answer, or is gone without a word, keeps no connection.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_MS)
        self.intake = intake
        self.counts = intake.counts
        """What came in; for whoever tells of it."""
        self.port: int = self._socket.getsockname()[1]
        self._server = _Server(
            uvicorn.Config(
                intake,
                loop="asyncio",
                http=Connection,
                ws="none",
                lifespan="off",
                interface="asgi3",
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,
                log_level="error",  # what clients send wrong is counted, and must not flood the log
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=STOP_S,
                backlog=BACKLOG,
                ssl_context_factory=None if tls is None else lambda *_: tls,
            ),
            turn_s,
            turned,
        )
        self._thread = threading.Thread(target=self._serve, name="intake")
        self._tell_ended = ended
        self.broken: BaseException | None = None
        """What ended the thread before it was asked to."""

    def start(self) -> None:
        """Begin to answer."""
        self._server.pulse.turn(TURN_S)
        self._thread.start()

    def stalled(self, seconds: float) -> bool:
        """Whether its loop should have turned so many seconds ago, and nobody stopped it."""
        return not self._thread.is_alive() or self._server.pulse.is_late(seconds)

    def turn_soon(self) -> None:
        """Have its loop turn now; from any thread, never waits."""
        self._server.turn_soon()

    def stop(self) -> None:
        """Finish what is in work, within seconds, and stop."""
        self._server.stop()
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        try:
            with asyncio.Runner(loop_factory=_Loop) as runner:
                runner.run(self._server.serve(sockets=[self._socket]))
            if not self._server.should_exit:
                raise RuntimeError("the intake's server ended by itself")
        except BaseException as error:  # noqa: BLE001 - whatever it is, the process must learn of it
            self.broken = error
            self._tell_ended()
