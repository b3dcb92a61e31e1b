"""Cutting a connection in the middle of a request, so that the client sees its end and no answer.

ASGI has no word for that. The server's protocol class puts one into the scope, and
:class:`Cut` is the answer that uses it; uvicorn then sees a client that has gone, which is no error.
"""

from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_EXTENSION: Final = "bridge.cut"


class CuttableProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, whose connections can be cut by the application."""

    def on_message_begin(self) -> None:
        """Put the way to cut into the scope of the request that begins."""
        super().on_message_begin()
        self.scope["extensions"] = {_EXTENSION: {"abort": self.transport.abort}}


class Cut(Response):
    """No answer: the connection ends at once."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        """Cut, and wait until the server knows."""
        scope["extensions"][_EXTENSION]["abort"]()
        while (await receive())["type"] != "http.disconnect":
            pass
