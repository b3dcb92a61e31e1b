"""One request, one answer; the only importer of ``httpx``.

Nothing of the environment has a say: no proxy, certificate or netrc of its. No redirect is followed,
no cookie kept, no content decoded. The whole request has one deadline, and an answer is read up to a
limit. A request is sent once; whether to repeat it is for others to decide.
"""

import ssl
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import certifi
import httpcore
import httpx

from bridge.egress.answers import ANSWER_MAX, Answer, Failure

CONNECT_S = 10.0
"""Seconds for a connection, within the deadline: a firewall that drops is told apart early."""
_SENT_NOTHING = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


def trusting(ca_file: Path | None) -> ssl.SSLContext:
    """Verifies servers against ``ca_file``, or against the bundled public authorities.

    Made by hand: the usual constructor obeys ``SSLKEYLOGFILE`` and OpenSSL's own variables.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cafile=ca_file or certifi.where())
    return context


class _Deadline(threading.local):
    """When the calling thread's request ends, monotonic seconds."""

    end = 0.0

    def left(self, timeout: float | None) -> float:
        """Seconds that an operation may take; the library's own limit starts anew at each byte."""
        left = self.end - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout
        return left if timeout is None else min(left, timeout)


class _Stream(httpcore.NetworkStream):
    """A connection whose every operation ends by the deadline."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: _Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left = self._deadline.left(timeout)
        inner = self._stream.start_tls(ssl_context, server_hostname, left)
        return _Stream(inner, self._deadline)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - the library's own signature
        return self._stream.get_extra_info(info)


class _Backend(httpcore.NetworkBackend):
    """Makes such connections."""

    def __init__(self, backend: httpcore.NetworkBackend, deadline: _Deadline) -> None:
        self._backend = backend
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        left = self._deadline.left(timeout)
        stream = self._backend.connect_tcp(host, port, left, local_address, socket_options)
        return _Stream(stream, self._deadline)


class BeaconClient:
    """Speaks to one beacon; for any number of threads.

    ``deadline_s`` seconds bound each request as a whole, body and answer included. ``proxy`` is a
    URL, or none.
    """

    def __init__(
        self,
        url: str,
        *,
        deadline_s: float,
        ca_file: Path | None = None,
        proxy: str | None = None,
    ) -> None:
        self._url = url.rstrip("/")
        self._deadline_s = deadline_s
        self._deadline = _Deadline()
        transport = httpx.HTTPTransport(
            verify=trusting(ca_file), trust_env=False, http2=False, proxy=proxy
        )
        # httpx has no name for this; a test with a server that drips proves that it works.
        pool = transport._pool  # noqa: SLF001
        pool._network_backend = _Backend(pool._network_backend, self._deadline)  # noqa: SLF001
        self._client = httpx.Client(
            transport=transport,
            trust_env=False,
            follow_redirects=False,
            headers={"Accept-Encoding": "identity", "User-Agent": "airgap-bridge"},
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def post(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer | Failure:
        """Send ``body`` to ``path``, once. Never raises for what the network or the server does."""
        self._deadline.end = time.monotonic() + self._deadline_s
        timeout = httpx.Timeout(self._deadline_s, connect=min(CONNECT_S, self._deadline_s))
        request = self._client.build_request(
            "POST", self._url + path, headers=headers, content=body, timeout=timeout
        )
        try:
            response = self._client.send(request, stream=True)
            try:
                return _read(response)
            finally:
                response.close()
                # What a server sets is not ours to send back.
                self._client.cookies.clear()
        except _SENT_NOTHING as error:
            return Failure(_why(error), outcome_unknown=False)
        except httpx.HTTPError as error:
            return Failure(_why(error), outcome_unknown=True)


def _read(response: httpx.Response) -> Answer:
    pieces: list[bytes] = []
    size = 0
    for piece in response.iter_raw():
        pieces.append(piece)
        size += len(piece)
        if size > ANSWER_MAX:
            break
    return Answer(
        status=response.status_code,
        content_type=response.headers.get("content-type", ""),
        body=b"".join(pieces)[:ANSWER_MAX],
        retry_after=response.headers.get("retry-after"),
        cut=size > ANSWER_MAX or "content-encoding" in response.headers,
    )


def _why(error: httpx.HTTPError) -> str:
    """A few words; the library's own may hold whatever the server sent."""
    return {
        "ConnectError": "no connection",
        "ConnectTimeout": "no connection in time",
        "ReadTimeout": "no answer in time",
        "WriteTimeout": "the request could not be sent in time",
        "ProxyError": "the proxy refused",
        "RemoteProtocolError": "the answer was broken off, or is not HTTP",
        "ReadError": "the connection broke while reading",
        "WriteError": "the connection broke while writing",
    }.get(type(error).__name__, type(error).__name__)
