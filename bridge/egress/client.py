"""One request, one answer; the only importer of ``httpx``.

Nothing of the environment has a say: no proxy, certificate or netrc of its. No redirect is followed,
no cookie kept, no content decoded: of the library the transport alone is used, not its client, which
could. The whole request has one deadline, and an answer is read up to a limit. A request is sent once;
whether to repeat it is for others to decide. Only a name look-up is bounded by the system's resolver
instead; nothing is sent after one that came too late.
"""

import re
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any

import certifi
import httpx

from bridge.config.namedfile import read_named
from bridge.egress.answers import ANSWER_MAX, Answer, Failure
from bridge.egress.body import Body
from bridge.egress.connecting import Backend, Deadline, LoopError
from bridge.egress.itself import Itself

CONNECT_S = 10.0
"""Seconds for a connection, within the deadline: a firewall that drops is told apart early."""
TEXT_S = 5.0
"""Seconds for the text of a refusal: what it is has been said by its status."""
_SENT_NOTHING = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.LocalProtocolError,
    httpx.PoolTimeout,
    httpx.ProxyError,
)
_PROXY_WANTS_LOGIN = 407
PASSED_MAX = 8
"""Other bridges that are named in a request; one before this one is rare already."""


def trusting(ca_file: Path | None) -> ssl.SSLContext:
    """Verifies servers against ``ca_file``, or against the bundled public authorities.

    Made by hand: the usual constructor obeys ``SSLKEYLOGFILE`` and OpenSSL's own variables.
    Raises :class:`OSError` where the file cannot be read or holds no certificate.
    """
    if ca_file is not None:
        read_named(ca_file, 1)  # the library would wait for a pipe
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cafile=ca_file or certifi.where())
    return context


class _Content(httpx.SyncByteStream):
    """A request's body for the library, whose objects refer to each other in circles.

    By itself it would hold what is left of every request until garbage is next collected.
    """

    def __init__(self, body: Body) -> None:
        self._body = body
        self.is_sent = False
        """Whether the connection took all of it."""

    def __iter__(self) -> Iterator[bytes]:
        yield from self._body
        self.is_sent = True  # the library asks for more once it has sent a piece


class BeaconClient:
    """Speaks to one beacon; for any number of threads.

    ``deadline_s`` seconds bound each request as a whole, body and answer included. ``proxy`` is a
    URL, or none. With ``addresses`` the beacon's name is never looked up: they are tried in turn, and
    its certificate must be the name's all the same. ``via`` is how a bridge knows a request of its
    own that came back to it (RFC 9110, section 7.6.3); ``itself`` is how it is known where TLS fails
    before any request. Behind a proxy it is not.
    """

    def __init__(
        self,
        url: str,
        *,
        deadline_s: float,
        ca_file: Path | None = None,
        proxy: str | None = None,
        addresses: Sequence[str] = (),
        via: str | None = None,
        itself: Itself | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self._via = via
        self._passed: tuple[str, ...] = ()
        self._deadline_s = deadline_s
        self._deadline = Deadline()
        trust = trusting(ca_file)
        through = None
        if proxy is not None:
            # A proxy's own TLS would get the library's usual context.
            to_proxy = trusting(ca_file) if proxy.lower().startswith("https:") else None
            through = httpx.Proxy(proxy, ssl_context=to_proxy)
        self._transport = httpx.HTTPTransport(
            verify=trust, trust_env=False, http2=False, proxy=through
        )
        # httpx has no name for this; a test with a server that drips proves that it works.
        pool = self._transport._pool  # noqa: SLF001
        self._backend = Backend(
            pool._network_backend,  # noqa: SLF001
            self._deadline,
            addresses,
            itself if proxy is None else None,
        )
        pool._network_backend = self._backend  # noqa: SLF001
        self._headers = (
            ("Host", httpx.URL(self.url).netloc.decode()),
            ("Accept", "*/*"),
            ("Accept-Encoding", "identity"),
            ("Connection", "keep-alive"),
            ("User-Agent", "airgap-bridge"),
        )

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def passed_by(self, bridges: Iterable[str]) -> None:
        """Name ``bridges`` in each request from now on: what they sent is among what is sent.

        So a loop through several bridges is known by the first one that gets its own back.
        """
        known = dict.fromkeys((*self._passed, *bridges))
        self._passed = tuple(known)[-PASSED_MAX:]

    def abort(self) -> None:
        """Break off what is under way, from any thread; its outcome is unknown then."""
        self._backend.abort()

    def post(
        self,
        path: str,
        headers: Mapping[str, str],
        body: Body | bytes,
        *,
        deadline_s: float | None = None,
        waiting: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> Answer | Failure:
        """Send ``body`` to ``path``, once. Never raises for what the network or the server does.

        It waits for the network within ``waiting``, and works outside of it.
        """
        if isinstance(body, bytes):
            body = Body.of(body)
        bound = self._deadline_s if deadline_s is None else deadline_s
        self._deadline.end, self._deadline.unsent = time.monotonic() + bound, 0
        self._deadline.waiting = waiting
        timeout = httpx.Timeout(bound, connect=min(CONNECT_S, bound))
        content = _Content(body)
        request = httpx.Request(
            "POST",
            _parsed(self.url + path),
            headers=[
                *self._headers,
                *headers.items(),
                *self._trace(),
                ("Content-Length", str(body.size)),
            ],
            stream=content,
            extensions={"timeout": timeout.as_dict()},
        )
        try:
            response = self._transport.handle_request(request)
            try:
                if not response.is_success:
                    self._deadline.end = min(self._deadline.end, time.monotonic() + TEXT_S)
                elif not (content.is_sent and self._deadline.arrives(_socket_of(response))):
                    # The library reads an answer also where the connection broke meanwhile.
                    why = "a success was said before the request was sent whole"
                    too_slow = self._deadline.unsent > 0
                    return Failure(why, outcome_unknown=True, too_slow=too_slow)
                return _read(response)
            finally:
                if not response.is_success or _has_more(response):
                    # Who refuses what it has not read may take the rest of it for a request.
                    response.extensions["network_stream"].close()
                response.close()
        except httpx.ProxyError as error:
            return _from_proxy(error)
        except _SENT_NOTHING as error:
            is_loop = isinstance(error.__cause__, LoopError)
            return Failure(_why(error), outcome_unknown=False, is_loop=is_loop)
        except httpx.WriteTimeout as error:
            # Its last bytes never left, and its length was told: nobody can take it for whole.
            return Failure(_why(error), outcome_unknown=False, too_slow=True)
        except httpx.HTTPError as error:
            too_slow = self._deadline.unsent > 0
            return Failure(_why(error), outcome_unknown=True, too_slow=too_slow)
        finally:
            body.let_go()

    def _trace(self) -> Iterator[tuple[str, str]]:
        """The bridges that a request came through, this one last."""
        if self._via is not None:
            yield "Via", ", ".join(f"1.1 {name}" for name in (*self._passed, self._via))


@cache
def _parsed(url: str) -> httpx.URL:
    """One of the few that a beacon has."""
    return httpx.URL(url)


def _read(response: httpx.Response) -> Answer:
    """All of it; a refusal also where its text does not end. Raises :class:`httpx.HTTPError`."""
    pieces: list[bytes] = []
    size, has_ended = 0, True
    try:
        for piece in response.iter_raw():
            pieces.append(piece)
            size += len(piece)
            if size > ANSWER_MAX:
                break
    except httpx.HTTPError:
        if response.is_success:
            raise
        has_ended = False
    coding = response.headers.get("content-encoding", "identity")
    return Answer(
        status=response.status_code,
        content_type=response.headers.get("content-type", ""),
        body=b"".join(pieces)[:ANSWER_MAX],
        retry_after=response.headers.get("retry-after"),
        # "identity" is no coding, though some server may name it.
        cut=size > ANSWER_MAX or not has_ended or coding != "identity",
    )


def _socket_of(response: httpx.Response) -> socket.socket:
    found: socket.socket = response.extensions["network_stream"].get_extra_info("socket")
    return found


def _has_more(response: httpx.Response) -> bool:
    """Whether more than one answer came: on the same connection the next request would get the second.

    The library looks only for what it has not received yet, and has no name for this either.
    """
    stream: Any = response.stream
    connection = stream._httpcore_stream._stream._connection  # noqa: SLF001
    return bool(connection._h11_state.trailing_data[0])  # noqa: SLF001


def _from_proxy(error: httpx.ProxyError) -> Answer | Failure:
    """A proxy did not make the tunnel; the library's words begin with its status, if it gave one."""
    found = re.match(r"[0-9]{3}(?= |$)", str(error))
    if found is None:
        return Failure("the proxy refused", outcome_unknown=False)
    if int(found[0]) == _PROXY_WANTS_LOGIN:
        return Answer(_PROXY_WANTS_LOGIN, "", b"")
    return Failure(f"the proxy refused with status {found[0]}", outcome_unknown=False)


def _why(error: httpx.HTTPError) -> str:
    """A few words; the library's own may hold whatever the server sent."""
    if isinstance(error, httpx.ConnectError):
        # The library hides where its error comes from, but keeps it.
        cause: BaseException | None = error
        while cause is not None:
            for kind, words in _CAUSES:
                if isinstance(cause, kind):
                    return words
            cause = cause.__cause__ or cause.__context__
    return _FAILURES.get(type(error), type(error).__name__)


_CAUSES: tuple[tuple[type[BaseException], str], ...] = (
    (socket.gaierror, "the name was not found"),
    (UnicodeError, "the name was not found"),
    (ssl.SSLCertVerificationError, "the certificate is not trusted"),
    (ssl.SSLError, "TLS failed"),
    (ConnectionRefusedError, "connection refused"),
)
"""Why there was no connection."""
_FAILURES: Mapping[type[httpx.HTTPError], str] = {
    httpx.ConnectError: "no connection",
    httpx.ConnectTimeout: "no connection in time",
    httpx.LocalProtocolError: "the request could not be made",
    httpx.ReadTimeout: "no answer in time",
    httpx.WriteTimeout: "the request could not be sent in time",
    httpx.RemoteProtocolError: "the answer was broken off, or is not HTTP",
    httpx.ReadError: "the connection broke while reading",
    httpx.WriteError: "the connection broke while writing",
}
