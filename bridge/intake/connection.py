"""One connection: HTTP/1.1 by uvicorn, with some things that it does not do.

With httptools, uvicorn takes a head (or a trailer) of any size and waits for its end for ever. Here
neither grows beyond a bound nor stays half-sent for longer than some seconds.

There are a bounded number of connections: who comes then is told to come again.

One read may hold ten thousand requests, and uvicorn makes each of them ready before it answers the
first. Here a few are, and the rest is looked at when those were answered: so who sends many and reads
no answer takes neither the memory nor the time of others.

What a trailer says is put to the headers there, if it comes before somebody looks at them. It is passed
over here: a key or a coding in it would count at one time and not at another.

A request that offers an upgrade loses its body there. Java's own client offers HTTP/2 with each first
request; here the offer is passed over, as HTTP allows, and the request is taken as it is.
"""

import asyncio
import resource
from http import HTTPStatus
from typing import cast

import httptools
import orjson
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bridge.intake.app import Intake
from bridge.intake.memory import BODY_MAX
from bridge.intake.refusals import RefusalError
from bridge.intake.whole import WHOLE

HEAD_MAX = 64 * 1024
"""Bytes of a head, or between two pieces of a body; real heads have less than 2 KiB."""
HEAD_S = 10.0
"""Seconds for a head to come whole; clients give up after 10."""
PIPELINED = 4 * 1024
"""Bytes that are looked at together where they may hold several requests; the shortest has 18."""
CONNECTIONS_MAX = 4096
"""Connections at once. Each costs some 20 KiB, and 64 KiB more while its body comes; a LangSmith has
dozens of pods, and each keeps a few."""
DESCRIPTORS_KEPT = 256
"""File descriptors that connections leave to files, where the process may have few."""
LINGER_S = 1.0
"""Seconds that somebody who is turned away has to read why."""
LINGERING_MAX = 64
"""How many may linger so; who comes then is cut off."""
_END_OF_HEAD = b"\r\n\r\n"
_OFFER = frozenset({b"connection", b"upgrade", b"http2-settings"})
"""The headers that make up the offer of an upgrade."""


def connections_max() -> int:
    """How many connections there may be, for the descriptors that this process may have."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return CONNECTIONS_MAX
    return max(1, min(CONNECTIONS_MAX, soft - DESCRIPTORS_KEPT))


def _answer(refusal: RefusalError, more: str = "") -> bytes:
    """The last answer on a connection, where no request is there that could be answered."""
    said = orjson.dumps({"error": refusal.id, "message": refusal.message, "hint": refusal.hint})
    head = (
        f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(said)}\r\n"
        f"{more}connection: close\r\n\r\n"
    )
    return head.encode() + said


class _Flow(FlowControl):
    """Reads nothing more while bytes that were read wait to be looked at."""

    waits = False

    def resume_reading(self) -> None:
        if not self.waits:
            super().resume_reading()


class Connection(HttpToolsProtocol):
    """Cuts heads without an end, passes over offers of an upgrade; the rest is uvicorn's."""

    _loose = 0
    """Bytes since the last whole head, piece of a body, or end of a message."""
    _late: asyncio.TimerHandle | None = None
    _in_head = True
    _offered = False
    """Whether the head that was read last offers an upgrade."""

    _turned_away = False
    _passed_over = 0
    """Bytes of a body that came after its answer."""
    _unseen = b""
    """Bytes that come after requests that wait for their answer; of one read."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there; its first request has to come in time."""
        super().connection_made(transport)
        self.flow: _Flow = _Flow(transport)
        most = connections_max()
        if len(self.connections) > most:
            self._turn_away(transport, lingers=len(self.connections) <= most + LINGERING_MAX)
            return
        self._late = self.loop.call_later(HEAD_S, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._on_time()
        self._unseen = b""
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes of a request, or of many."""
        if self._turned_away:
            return
        self._unset_keepalive_if_required()
        if self.pipeline:
            self._leave(self._unseen + data)
            return
        if len(data) <= PIPELINED or not _may_hold_several(data):
            self._see(data)
            return
        for at in range(0, len(data), PIPELINED):
            if self.pipeline:
                self._leave(data[at:])
                return
            self._see(data[at : at + PIPELINED])
            if self.transport.is_closing():
                return

    def on_response_complete(self) -> None:
        """A request was answered; the next may have come already."""
        super().on_response_complete()
        if self.flow.waits and not self.pipeline:
            self.loop.call_soon(self._see_rest)

    def _leave(self, data: bytes) -> None:
        """Look at ``data`` when what came before was answered; until then nothing is late."""
        self._unseen = data
        self._on_time()
        self.flow.waits = True
        self.flow.pause_reading()

    def _see_rest(self) -> None:
        if not self.flow.waits:
            return
        data, self._unseen = self._unseen, b""
        self.flow.waits = False
        if not self.transport.is_closing():
            self.data_received(data)
            self.flow.resume_reading()

    def _see(self, data: bytes) -> None:
        self._loose += len(data)
        self._feed(data)
        if self.transport.is_closing():
            self._on_time()
        elif self._loose > HEAD_MAX:
            self._refuse(_head_too_large())
            self._on_time()
        elif self._loose:
            if self._late is None:
                self._late = self.loop.call_later(HEAD_S, self.transport.close)
        else:
            self._on_time()
            self._rest_after_early_answer()

    def on_message_begin(self) -> None:
        """A head begins."""
        self._in_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header has come, or a line of a trailer."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """A head is whole."""
        self._in_head = False
        self._loose = self._passed_over = 0
        # CONNECT is an upgrade without an offer; it has no body to lose.
        self._offered = self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"
        if not self._offered:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of a body has come."""
        self._loose = 0
        if self.cycle.response_complete:
            # A client that is cut off while it sends may not see why: so it may send the rest.
            self._passed_over += len(body)
            if self._passed_over > BODY_MAX:
                self.transport.close()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request is whole."""
        self._loose = 0
        self.scope["state"][WHOLE] = True
        if not self._offered:
            super().on_message_complete()

    def _feed(self, data: bytes) -> None:
        try:
            while True:
                try:
                    self.parser.feed_data(data)
                except httptools.HttpParserUpgrade as upgrade:
                    if not self._offered:
                        return
                    (end_of_head,) = upgrade.args
                    data = self._head_without_offer() + data[end_of_head:]
                else:
                    return
        except httptools.HttpParserError:
            self._refuse(_no_http())

    def _head_without_offer(self) -> bytes:
        """The head that was just read, for a new parser: the old one has done its work."""
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        kept = [b"%b: %b\r\n" % header for header in self.headers if header[0] not in _OFFER]
        told = b",".join(value for name, value in self.headers if name == b"connection")
        if b"close" in (token.strip().lower() for token in told.split(b",")):
            kept.append(b"connection: close\r\n")
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        return b"%b %b HTTP/%b\r\n%b\r\n" % (method, self.url, version, b"".join(kept))

    def _refuse(self, refusal: RefusalError) -> None:
        self._counted(refusal)
        self.transport.write(_answer(refusal))
        self.transport.close()

    def _counted(self, refusal: RefusalError) -> None:
        intake = cast(Intake, self.config.app)  # of which these never become requests
        intake.counts.refused[refusal.id] += 1

    def _turn_away(self, transport: asyncio.Transport, *, lingers: bool) -> None:
        self._turned_away = True
        refusal = _too_many_connections()
        self._counted(refusal)
        if not lingers:
            transport.abort()
            return
        transport.write(_answer(refusal, f"retry-after: {len(self.connections) % 3 + 1}\r\n"))
        if transport.can_write_eof():
            transport.write_eof()
        # A connection that is closed while bytes of it are unread takes the answer with it.
        self._late = self.loop.call_later(LINGER_S, transport.abort)

    def _on_time(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _rest_after_early_answer(self) -> None:
        """A refused body's rest came after the answer: uvicorn would let go of its idle timer."""
        if self.cycle.response_complete and self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )


def _may_hold_several(data: bytes) -> bool:
    """Whether there may be a second request in ``data``.

    Its head would end behind the first one's end, whatever its first line says; JSON on one line has no
    line's end, and to look for a byte costs a twentieth of looking for a word.
    """
    rest = data.find(_END_OF_HEAD) + len(_END_OF_HEAD)
    return data.find(b"\n", rest) >= 0 and data.find(_END_OF_HEAD, rest) >= 0


def _no_http() -> RefusalError:
    return RefusalError(
        400,
        "intake.not_http",
        "This is no HTTP/1.1 request.",
        "Speak HTTP/1.1 here, over TLS where intake.tls is set.",
    )


def _head_too_large() -> RefusalError:
    return RefusalError(
        400,
        "intake.head",
        f"The head of the request has more than {HEAD_MAX} bytes.",
        "Send fewer headers.",
    )


def _too_many_connections() -> RefusalError:
    return RefusalError(
        503,
        "intake.connections",
        "There are too many connections.",
        "Come again in some seconds; use one connection for many requests.",
    )
