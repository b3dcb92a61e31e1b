"""Clients that keep a server busy: many connections, one request at a time on each."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

CONNECTIONS = 64
CONNECTING_S = 1.0
"""Seconds until the first request: all connections are there by then, over TLS too."""
FOR_EVER = 2**62


@dataclass(slots=True)
class _Run:
    """What all connections of a run share. ``pace`` is seconds between two requests of one."""

    request: bytes
    left: int
    pace: float
    done: "asyncio.Future[None]"
    waits: list[float] = field(default_factory=list)


class _Client(asyncio.Protocol):
    def __init__(self, run: _Run, begin: float) -> None:
        self._run = run
        self._loop = asyncio.get_running_loop()
        self._due = begin
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - of TCP it is
        self._transport = transport
        self._loop.call_at(self._due, self._send)

    def data_received(self, data: bytes) -> None:
        self._held += data
        if not self._held.endswith(b"{}"):
            return
        if not self._held.startswith(b"HTTP/1.1 200"):
            self._run.done.set_exception(RuntimeError(self._held.decode()))
            return
        self._held = b""
        run, now = self._run, self._loop.time()
        # From when it was due: a server that stalls makes all wait that come after, too.
        run.waits.append(now - self._due)
        self._due = max(now, self._due + run.pace) if not run.pace else self._due + run.pace
        if self._due <= now:
            self._send()
        else:
            self._loop.call_at(self._due, self._send)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._run.done.done():
            self._run.done.set_exception(exc or RuntimeError("the server hung up"))

    def _send(self) -> None:
        run = self._run
        if run.left:
            run.left -= 1
            self._transport.write(run.request)
        elif not run.done.done():
            run.done.set_result(None)


async def _run(
    port: int,
    request: bytes,
    count: int,
    rate: float,
    beside: Callable[[], Awaitable[None]] | None = None,
    **secured: Any,  # noqa: ANN401 - passed on
) -> tuple[float, list[float]]:
    """``count`` requests, or as many as there is time for until ``beside`` is done."""
    loop = asyncio.get_running_loop()
    pace = CONNECTIONS / rate if rate else 0.0
    run = _Run(request, count, pace, loop.create_future())
    begin = loop.time() + CONNECTING_S
    transports = []
    for number in range(CONNECTIONS):
        first = begin + pace * number / CONNECTIONS
        made = await loop.create_connection(
            partial(_Client, run, first), "127.0.0.1", port, **secured
        )
        transports.append(made[0])
    try:
        if beside is not None:
            await asyncio.sleep(begin - loop.time())
            await beside()
            run.left = 0
        await run.done
    finally:
        took = loop.time() - begin
        run.done = loop.create_future()
        run.done.set_result(None)
        for transport in transports:
            transport.close()
    return len(run.waits) / took, sorted(run.waits)


def keep_busy(
    port: int, request: bytes, count: int, rate: float = 0.0
) -> tuple[float, list[float]]:
    """Send ``count`` requests, ``rate`` a second or as fast as they are answered.

    The requests answered a second, and how long each took, sorted. Raises :class:`RuntimeError` for
    an answer that is no 200.
    """
    return asyncio.run(_run(port, request, count, rate))


def keep_pace(
    port: int,
    request: bytes,
    rate: float,
    beside: Callable[[], Awaitable[None]],
    *,
    tls: ssl.SSLContext,
    host: str,
) -> tuple[float, list[float]]:
    """:func:`keep_busy` over TLS with ``host``, at ``rate``, until ``beside`` is done."""
    secured = {"ssl": tls, "server_hostname": host}
    return asyncio.run(_run(port, request, FOR_EVER, rate, beside, **secured))


def post(path: str, body: bytes, kind: str = "application/json") -> bytes:
    """A request as it goes over the wire."""
    return (
        b"POST %b HTTP/1.1\r\nHost: bench\r\nUser-Agent: OTel-OTLP-Exporter/1\r\nAccept: */*\r\n"
        b"Content-Type: %b\r\nContent-Length: %d\r\n\r\n%b"
        % (path.encode(), kind.encode(), len(body), body)
    )


__all__ = ["CONNECTIONS", "keep_busy", "keep_pace", "post"]
