"""One connection: HTTP/1.1 by uvicorn, with the bounds on a request's head that it does not set.

With httptools, uvicorn takes a head (or a trailer) of any size and waits for its end for ever. Here
neither grows beyond a bound nor stays half-sent for longer than some seconds.
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_MAX = 64 * 1024
"""Bytes of a head, or between two pieces of a body; real heads have less than 2 KiB."""
HEAD_S = 10.0
"""Seconds for a head to come whole; clients give up after 10."""


class Connection(HttpToolsProtocol):
    """Cuts what sends a head without an end; everything else is uvicorn's."""

    _loose = 0
    """Bytes since the last whole head, piece of a body, or end of a message."""
    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there; its first request has to come in time."""
        super().connection_made(transport)
        self._late = self.loop.call_later(HEAD_S, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._on_time()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes of a request, or of many."""
        self._loose += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            self._on_time()
        elif self._loose > HEAD_MAX:
            self.send_400_response("The head of the request is too large.")
            self._on_time()
        elif self._loose:
            if self._late is None:
                self._late = self.loop.call_later(HEAD_S, self.transport.close)
        else:
            self._on_time()
            self._rest_after_early_answer()

    def on_headers_complete(self) -> None:
        """A head is whole."""
        self._loose = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of a body has come."""
        self._loose = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request is whole."""
        self._loose = 0
        super().on_message_complete()

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
