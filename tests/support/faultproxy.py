"""A TCP proxy on loopback that hurts what passes through it, at a byte that a test chooses.

It stands before a real server and knows nothing of HTTP or TLS, so a fault can hit the handshake, a
request that the server has half of, or an answer to a request that it has acted on. Each connection
meets what ``trouble`` is when it is accepted; None: nothing.
"""

import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

HOST = "127.0.0.1"
STOP_MAX_S = 30
_LOOK_S = 0.05
_PIECE = 1 << 16

Kind = Literal["cut", "reset", "hold", "garbage", "trickle", "delay"]


@dataclass(frozen=True, slots=True)
class Trouble:
    """What happens to one direction of a connection when ``after`` bytes have passed.

    ``up`` is to the server. ``cut`` and ``reset`` end both directions, in good order or not; ``hold``
    passes nothing more and ends nothing, as when a machine on the way is gone; ``garbage`` puts noise
    before what follows; ``trickle`` passes single bytes, ``delay`` waits once, both ``seconds`` long.
    """

    kind: Kind
    direction: Literal["up", "down"]
    after: int = 0
    seconds: float = 0.0


@dataclass
class FaultProxy:
    """A running proxy; ``passed`` counts the bytes of each direction, ``connections`` how many."""

    target: int
    listener: socket.socket
    trouble: Trouble | None = None
    passed: dict[str, int] = field(default_factory=lambda: {"up": 0, "down": 0})
    connections: int = 0
    threads: list[threading.Thread] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def port(self) -> int:
        port: int = self.listener.getsockname()[1]
        return port

    def serve(self) -> None:
        """Accept until the listener is closed."""
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._connect, args=(client, self.trouble))
            self.threads.append(thread)
            thread.start()

    def stop(self, accepting: threading.Thread) -> None:
        """End all connections."""
        self._stopping.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        for thread in (accepting, *self.threads):
            thread.join(STOP_MAX_S)
            assert not thread.is_alive()
        self.listener.close()

    def _connect(self, client: socket.socket, trouble: Trouble | None) -> None:
        with client, socket.create_connection((HOST, self.target), STOP_MAX_S) as server:
            over = threading.Event()
            ways = [("up", client, server), ("down", server, client)]
            pumps = [
                threading.Thread(
                    target=self._pump,
                    args=(
                        *way, trouble if trouble and trouble.direction == way[0] else None, over,
                    ),
                )
                for way in ways
            ]  # fmt: skip
            for pump in pumps:
                pump.start()
            for pump in pumps:
                pump.join()

    def _pump(
        self,
        direction: str,
        source: socket.socket,
        sink: socket.socket,
        trouble: Trouble | None,
        over: threading.Event,
    ) -> None:
        left = trouble.after if trouble else None
        try:
            source.settimeout(_LOOK_S)
            while not (over.is_set() or self._stopping.is_set()):
                if trouble is not None and left == 0:
                    if not self._happen(trouble, source, sink):
                        return
                    if trouble.kind != "trickle":
                        trouble = left = None
                at_once = 1 if trouble and left == 0 else _PIECE if left is None else left
                try:
                    data = source.recv(at_once)
                except TimeoutError:
                    continue
                if not data:
                    break
                sink.sendall(data)
                self.passed[direction] += len(data)
                left = None if left is None else max(left - len(data), 0)
        except OSError:
            pass  # the other end is gone; what that means is for the test to judge
        finally:
            over.set()
            with suppress(OSError):
                sink.shutdown(socket.SHUT_WR)

    def _happen(self, trouble: Trouble, source: socket.socket, sink: socket.socket) -> bool:
        """Let it happen; whether anything passes afterwards."""
        if trouble.kind in ("trickle", "delay"):
            self._stopping.wait(trouble.seconds)
            return True
        if trouble.kind == "garbage":
            sink.sendall(os.urandom(64))
            return True
        if trouble.kind == "hold":
            with suppress(TimeoutError):
                while not self._stopping.is_set() and self._is_open(source):
                    self._stopping.wait(_LOOK_S)
            return False
        for end in (source, sink):
            if trouble.kind == "reset":
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.close()
            else:
                end.shutdown(socket.SHUT_RDWR)
        return False

    def _is_open(self, source: socket.socket) -> bool:
        """Whether the other end is still there; what it sends is swallowed."""
        try:
            return bool(source.recv(_PIECE))
        except TimeoutError:
            return True


@contextmanager
def fault_proxy(target: int) -> Iterator[FaultProxy]:
    """A proxy before the port ``target``, stopped at the end."""
    proxy = FaultProxy(target, socket.create_server((HOST, 0)))
    accepting = threading.Thread(target=proxy.serve)
    accepting.start()
    try:
        yield proxy
    finally:
        proxy.stop(accepting)
