"""The beacon's process: a socket, optional TLS, a data folder, an orderly end.

The data folder holds ``beacon.db`` and ``keys/``, both made where they are missing; a beacon that is
started again on it knows what it took and signs with the same key.
"""

import asyncio
import contextlib
import os
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from bridge.testbeacon.app import Beacon
from bridge.testbeacon.cutting import CuttableProtocol
from bridge.testbeacon.store import Store
from bridge.testbeacon.tokens import DAY_S, TokenMint
from keys.ed25519 import SigningKey
from keys.errors import ConfigError, shown
from keys.keyfile import create_pair
from spool.clock import SYSTEM_CLOCK, Clock

DATABASE = "beacon.db"
KEYS = "keys"

STOP_GRACE_S = 1.0
"""Seconds that requests in work may still take when the server stops; then they are cut."""
_KEEP_ALIVE_S = 75
"""Longer than clients keep idle connections: who closes first risks the other's next request."""


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files: the certificate with its chain, and its private key."""

    certificate: Path
    key: Path


class BeaconServer:
    """A beacon that listens from the moment it is made; :meth:`run` serves until it is stopped.

    ``licenses`` are the license keys that are taken, None for every well-formed one; ``port`` 0 is
    any free one. Raises :class:`ConfigError` ``testbeacon.listen``, ``testbeacon.tls``,
    ``testbeacon.data``, or what ``keyfile`` raises.
    """

    def __init__(
        self,
        host: str,
        port: int,
        data: Path,
        *,
        licenses: Collection[str] | None = None,
        token_life_s: int = DAY_S,
        tls: Tls | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        key = _own_key(data)
        self.database = data / DATABASE
        with contextlib.ExitStack() as undo:
            self._socket = undo.enter_context(_listening(host, port))
            self._beacon = Beacon(
                Store(self.database), TokenMint(key, token_life_s), clock, licenses
            )
            undo.callback(self._beacon.close)
            self._server = _Server(_configuration(self._beacon, tls), self._beacon.stopping)
            self._kept = undo.pop_all()
        bound = self._socket.getsockname()
        name = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
        self.url = f"{'http' if tls is None else 'https'}://{name}:{bound[1]}"

    def run(self, on_ready: Callable[[str], None] | None = None) -> None:
        """Serve until :meth:`stop`, SIGTERM or SIGINT (signals: in the main thread only).

        ``on_ready`` is called with the URL once requests are answered. Returns within two seconds
        of being told to stop. Runs once.
        """
        self._server.on_ready = None if on_ready is None else lambda: on_ready(self.url)
        with self._kept:
            self._server.run(sockets=[self._socket])

    def stop(self) -> None:
        """Make :meth:`run` return soon; from any thread."""
        self._server.should_exit = True


def serve(
    listen_host: str,
    port: int,
    data: Path,
    *,
    licenses: Collection[str] | None = None,
    token_life_s: int = DAY_S,
    tls: Tls | None = None,
    on_ready: Callable[[str], None] | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> None:
    """Run a beacon until SIGTERM or SIGINT; arguments and errors as :class:`BeaconServer`."""
    BeaconServer(
        listen_host,
        port,
        data,
        licenses=licenses,
        token_life_s=token_life_s,
        tls=tls,
        clock=clock,
    ).run(on_ready)


class _Server(uvicorn.Server):
    """uvicorn, but its end is bounded and quiet, and a signal ends the serving, not the process."""

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self.on_ready: Callable[[], None] | None = None
        self._stopping = stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.on_ready is not None:
            self.on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping.set()
        end = asyncio.get_running_loop().call_later(STOP_GRACE_S, self._cut_all)
        await super().shutdown(sockets)
        end.cancel()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _cut_all(self) -> None:
        for connection in list(self.server_state.connections):
            if isinstance(connection, CuttableProtocol):
                connection.transport.abort()


def _own_key(data: Path) -> SigningKey:
    folder = data / KEYS
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        return create_pair(folder)
    except OSError as error:
        raise ConfigError(
            "testbeacon.data",
            f"{shown(str(data))} cannot be the beacon's folder: {shown(error)}.",
            "Give the beacon a folder that it can write to with --data.",
        ) from error


def _why(error: OSError | OverflowError) -> str:
    """The system's own words; the library adds the address once more."""
    number = error.errno if isinstance(error, OSError) else None
    return os.strerror(number) if number and number > 0 else str(shown(error))


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise ConfigError(
            "testbeacon.listen",
            f"The beacon cannot listen on {shown(host)} port {port}: {_why(error)}.",
            "Choose another address or port with --listen.",
        ) from error
    # asyncio sets this only on sockets that name their protocol, and accepted ones inherit it from
    # here; without it every answer waits 40 ms for the client's delayed acknowledgement.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def _configuration(beacon: Beacon, tls: Tls | None) -> uvicorn.Config:
    config = uvicorn.Config(
        beacon.application(),
        http=CuttableProtocol,
        ws="none",
        loop="asyncio",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        ssl_certfile=None if tls is None else tls.certificate,
        ssl_keyfile=None if tls is None else tls.key,
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            "testbeacon.tls",
            f"The certificate or its key cannot be used: {shown(error)}.",
            "Give PEM files that belong together.",
        ) from error
    return config
