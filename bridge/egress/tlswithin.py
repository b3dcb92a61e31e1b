"""TLS within TLS: to the beacon, by way of a proxy that is itself spoken to in TLS.

The library has the same, but there each piece that arrives begins its limit of time anew, and so a
proxy or beacon that drips could hold a request for hours. Here all bytes go through the outer
connection, which keeps the request's deadline, and which looks in here for an answer that comes while
a request is sent.
"""

import ssl
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import httpcore

from bridge.egress.early import Early

_Found = TypeVar("_Found")
_PIECE = 64 * 1024


class TlsWithin(httpcore.NetworkStream):
    """An encrypted connection through ``outer``, which it closes with itself."""

    def __init__(
        self,
        outer: httpcore.NetworkStream,
        context: ssl.SSLContext,
        server_hostname: str | None,
        timeout: float | None,
        come: Callable[[int], bytes],
    ) -> None:
        """Shake hands. Raises ``ConnectError`` or ``ConnectTimeout``; ``outer`` is closed then.

        ``come`` gives at most so many bytes of what came by ``outer``, as a socket that does not wait.
        """
        self._outer = outer
        self._come = come
        self.early = Early(self._decrypted)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_hostname=server_hostname
        )
        errors = (httpcore.ConnectTimeout, httpcore.ConnectError)
        try:
            self._do(self._tls.do_handshake, timeout, *errors)
        except BaseException:
            self.close()
            raise

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """As any connection; raises ``ReadTimeout`` or ``ReadError``, whatever failed."""
        if early := self.early.take(max_bytes):
            return early
        step = partial(self._tls.read, max_bytes)
        return self._do(step, timeout, httpcore.ReadTimeout, httpcore.ReadError)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """As any connection; raises ``WriteTimeout`` or ``WriteError``, whatever failed."""
        rest = memoryview(buffer)
        while rest:
            step = partial(self._tls.write, rest)
            rest = rest[self._do(step, timeout, httpcore.WriteTimeout, httpcore.WriteError) :]

    def close(self) -> None:
        """Close both."""
        self._outer.close()

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - the library's own signature
        """Of the outer one, but for the encryption; what came and was not read makes it readable."""
        if info == "ssl_object":
            return self._tls
        if info == "is_readable" and self._incoming.pending:
            return True
        return self._outer.get_extra_info(info)

    def _decrypted(self, most: int) -> bytes:
        """At most so many bytes of what came; raises as a socket does that does not wait."""
        try:
            return self._tls.read(most)
        except ssl.SSLWantReadError:
            self._take(self._come(_PIECE))
            return self._tls.read(most)

    def _do(
        self,
        step: Callable[[], _Found],
        timeout: float | None,
        late: type[httpcore.TimeoutException],
        broken: type[httpcore.NetworkError],
    ) -> _Found:
        """What ``step`` finds, once the bytes that it needs have come and those that it made have left.

        TLS may read in order to write, and write in order to read: what fails is what was asked for.
        """
        try:
            while True:
                try:
                    found = step()
                except ssl.SSLWantReadError:
                    self._outer.write(self._outgoing.read(), timeout)
                    self._receive(timeout)
                else:
                    self._outer.write(self._outgoing.read(), timeout)
                    return found
        except httpcore.TimeoutException as error:
            raise late from error
        except (httpcore.NetworkError, ssl.SSLError) as error:
            raise broken(str(error)) from error

    def _receive(self, timeout: float | None) -> None:
        self._take(self._outer.read(_PIECE, timeout))

    def _take(self, piece: bytes) -> None:
        if piece:
            self._incoming.write(piece)
        else:
            self._incoming.write_eof()
