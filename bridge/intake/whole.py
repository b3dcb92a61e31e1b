"""A request that has come whole before anybody looked at it, and the short way to answer it.

Nearly every request is one. To ask for its body by a message and to answer by two, each with headers
that are looked through for what must not be in them, costs as much as to judge ten records; and two
pieces on the wire wake their reader twice.
"""

from collections.abc import Iterable
from typing import cast

from starlette.responses import Response
from starlette.types import Receive, Scope
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

Headers = Iterable[tuple[bytes, bytes]]

WHOLE = "whole"
"""The name in a scope's state that says that the request has come whole: nobody waits for it."""
_OK = 200


def wired(headers: Headers) -> bytes:
    """``headers`` as they go over the wire."""
    return b"".join(b"%b: %b\r\n" % header for header in headers)


class Defaults(list[tuple[bytes, bytes]]):
    """Headers that every answer of a server has."""

    def __init__(self, headers: Headers) -> None:
        super().__init__(headers)
        self.ok = b"HTTP/1.1 200 OK\r\n" + wired(self)
        """How an answer of 200 begins."""


class Answer(Response):
    """An answer of 200 that says ``said``, of the type ``kind``; it can be given many times."""

    def __init__(self, said: bytes, kind: str) -> None:
        super().__init__(said, _OK, media_type=kind)
        self.rest = b"%b\r\n%b" % (wired(self.raw_headers), said)
        """Its own headers and what it says, as they go over the wire."""


class Whole:
    """One request that has come whole, by the server's own hold of it."""

    __slots__ = ("_cycle",)

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle

    def take_body(self, most: int) -> bytes | None:
        """The body, which is not kept here; None where it is larger, or has to be asked for."""
        cycle = self._cycle
        if len(cycle.body) > most or cycle.disconnected or cycle.waiting_for_100_continue:
            return None
        body = bytes(cycle.body)
        cycle.body.clear()
        return body

    def give(self, answer: Answer) -> bool:
        """Answer in one piece; False, and nothing was done, where it takes more than that."""
        cycle = self._cycle
        if cycle.disconnected or not cycle.keep_alive or cycle.flow.write_paused:
            return False
        cycle.response_started = cycle.response_complete = True
        cycle.transport.write(cast(Defaults, cycle.default_headers).ok + answer.rest)
        cycle.message_event.set()
        cycle.on_response()
        return True


def whole_of(scope: Scope, receive: Receive) -> Whole | None:
    """The request that ``scope`` tells of, if it has come whole and uvicorn serves it."""
    if WHOLE in scope.get("state", ()):
        # Not kept in the scope: it would be in a ring with it.
        cycle = getattr(receive, "__self__", None)
        if type(cycle) is RequestResponseCycle:
            return Whole(cycle)
    return None
