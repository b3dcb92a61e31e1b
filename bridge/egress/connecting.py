"""The connections of requests: each ends by its request's deadline, and all can be broken off.

It stands in for the way in which ``httpcore``, below ``httpx``, makes connections: pinned addresses
are tried in turn, and a server that is this bridge itself is told apart where TLS fails. Only a name
look-up is bounded by the system's resolver instead.
"""

import socket
import ssl
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any

import httpcore

from bridge.egress.early import Early
from bridge.egress.itself import Itself
from bridge.egress.tlswithin import TlsWithin
from bridge.egress.unsent import gets_confirmed, give_up_unsent, is_confirmed
from bridge.egress.writing import send_now, wait_for


class Deadline(threading.local):
    """When the calling thread's request ends, monotonic seconds, and what had not left by then.

    It waits for the network within :meth:`away`, and nowhere else; others may work ``waiting`` so.
    """

    end = 0.0
    unsent = 0
    waiting: Callable[[], AbstractContextManager[None]] = nullcontext

    def left(self, timeout: float | None, late: type[httpcore.TimeoutException]) -> float:
        """Seconds that an operation may take; the library's own limit starts anew at each byte.

        Raises ``late`` where there are none.
        """
        left = self.end - time.monotonic()
        if left <= 0:
            raise late
        return left if timeout is None else min(left, timeout)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Wait for the network.

        The deadline is for the network alone: how long it takes afterwards until others let this
        thread work again, as on a slow disk, is added to it.
        """
        back = time.monotonic()
        try:
            with self.waiting():
                try:
                    yield
                finally:
                    back = time.monotonic()
        finally:
            self.end += time.monotonic() - back

    def arrives(self, sock: socket.socket) -> bool:
        """Whether the other side's kernel has all that was written; waits while it takes more.

        If not, the rest never leaves, and is ``unsent`` where the end came first.
        """
        if is_confirmed(sock):
            return True
        with self.away():
            if gets_confirmed(sock, self.end):
                return True
            is_late = time.monotonic() >= self.end
        count = give_up_unsent(sock)
        self.unsent = count if is_late else 0
        return False


class LoopError(httpcore.ConnectError):
    """The server with which TLS failed is this bridge."""


class _Stream(httpcore.NetworkStream):
    """A connection whose every operation ends by the deadline."""

    def __init__(
        self,
        stream: httpcore.NetworkStream,
        deadline: Deadline,
        streams: "weakref.WeakSet[httpcore.NetworkStream]",
        itself: Itself | None,
    ) -> None:
        """``streams`` are all that there are; with TLS a connection becomes another one."""
        self._stream = stream
        self._deadline = deadline
        self._streams = streams
        self._itself = itself
        self._socket: socket.socket = stream.get_extra_info("socket")
        self._early = self._watched = Early(self._socket.recv)
        streams.add(stream)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if early := self._early.take(max_bytes):
            return early
        try:
            left = self._deadline.left(timeout, httpcore.ReadTimeout)
            with self._deadline.away():
                return self._stream.read(max_bytes, left)
        except httpcore.ReadTimeout:
            self._deadline.unsent = give_up_unsent(self._socket)
            raise

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        rest = memoryview(buffer)
        while rest:
            left = self._deadline.left(timeout, httpcore.WriteTimeout)
            try:
                sent, wanted = send_now(self._socket, rest)
                if wanted:
                    with self._deadline.away():
                        wait_for(self._socket, wanted | self._watched.wanted, left)
                    if self._watched.refuses():
                        # After a failed write the library reads the answer.
                        raise httpcore.WriteError("refused before it was sent whole")
            except OSError as error:
                raise httpcore.WriteError(str(error)) from error
            rest = rest[sent:]

    def _come(self, most: int) -> bytes:
        return self._early.take(most) or self._socket.recv(most)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        if isinstance(self._socket, ssl.SSLSocket):
            within = TlsWithin(self, ssl_context, server_hostname, timeout, self._come)
            self._watched = within.early
            return within
        left = self._deadline.left(timeout, httpcore.ConnectTimeout)
        own, peer = self._ends()
        try:
            with self._deadline.away():
                inner = self._stream.start_tls(ssl_context, server_hostname, left)
        except httpcore.ConnectError as error:
            if self._is_itself(own, peer):
                raise LoopError from error
            raise
        return _Stream(inner, self._deadline, self._streams, self._itself)

    def _ends(self) -> tuple[tuple[str, int], tuple[str, int]]:
        """Its two addresses, which nobody can ask for once TLS has failed."""
        try:
            own, peer = map(self.get_extra_info, ("client_addr", "server_addr"))
        except OSError as error:  # the other side was faster
            raise httpcore.ConnectError from error
        return own[:2], peer[:2]

    def _is_itself(self, own: tuple[str, int], peer: tuple[str, int]) -> bool:
        left = self._deadline.end - time.monotonic()
        with self._deadline.away():
            return self._itself is not None and self._itself.is_at(own, peer, left)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - the library's own signature
        return self._stream.get_extra_info(info)


class Backend(httpcore.NetworkBackend):
    """Makes connections that end by ``deadline``, and knows all that there are."""

    def __init__(
        self,
        backend: httpcore.NetworkBackend,
        deadline: Deadline,
        addresses: Sequence[str],
        itself: Itself | None,
    ) -> None:
        self._backend = backend
        self._deadline = deadline
        self._addresses = addresses
        self._itself = itself
        self._streams: weakref.WeakSet[httpcore.NetworkStream] = weakref.WeakSet()

    def abort(self) -> None:
        """Break every connection off, whoever waits for it."""
        for stream in list(self._streams):
            # Not the connection's own method: with TLS that changes what another thread works with.
            with suppress(OSError):
                socket.socket.shutdown(stream.get_extra_info("socket"), socket.SHUT_RDWR)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """A connection to ``host``, or to the first pinned address that answers."""
        options = list(socket_options or ())
        with self._deadline.away():
            stream = self._connected(host, port, timeout, local_address, options)
        return _Stream(stream, self._deadline, self._streams, self._itself)

    def _connected(
        self,
        host: str,
        port: int,
        timeout: float | None,
        local_address: str | None,
        options: list[httpcore.SOCKET_OPTION],
    ) -> httpcore.NetworkStream:
        failure: Exception | None = None
        addresses = self._addresses or _looked_up(host, port)
        for tried, address in enumerate(addresses):
            # One that drops what it gets must leave the next one its share.
            share = self._deadline.left(None, httpcore.ConnectTimeout) / (len(addresses) - tried)
            bound = share if timeout is None else min(share, timeout)
            try:
                return self._backend.connect_tcp(address, port, bound, local_address, options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore.ConnectError


def _looked_up(host: str, port: int) -> Sequence[str]:
    """The name's addresses; looked up here, for the library gives each of them all of the time."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpcore.ConnectError from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
