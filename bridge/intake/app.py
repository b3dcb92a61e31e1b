"""The intake's HTTP: routes, and answers only after the records are durable.

Whatever the bytes are, the answer is the beacon's own or a refusal with a stable id. It is never a
redirect, which OpenTelemetry's Python client takes for a success, and never a 500, on which clients
drop their data: what fails here unforeseen is a 503 that asks them to come again.
"""

import asyncio
import logging
from collections.abc import Collection, Mapping
from dataclasses import replace
from random import Random
from traceback import extract_tb
from typing import TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bridge.intake.bodies import BodyReader
from bridge.intake.content import check_content, is_protobuf
from bridge.intake.counts import IntakeCounts
from bridge.intake.gate import Gate, RequestGuard
from bridge.intake.head import DATA_PLANE, LICENSE, VIA, Head
from bridge.intake.memory import Budget
from bridge.intake.otlpanswer import export_answer
from bridge.intake.passing import REQUEST_MAX, Verify, key_in, no_answer, nobody
from bridge.intake.refusals import JSON, PROTOBUF, RETRY_AFTER_S, RefusalError, answer
from bridge.intake.room import HasRoom
from bridge.intake.rules import Rules
from bridge.intake.storing import ANSWER_S, Post, Storing, too_slow
from bridge.intake.taking import ROWS, Row, why_rejected
from bridge.intake.via import Via
from bridge.intake.whole import Answer, Whole, whole_of
from spool.durable import explained
from spool.errors import RecordError, SpoolError
from spool.secrets import SecretGuard
from spool.streams import Stream
from spool.writer import Writer

VERIFY = "/v1/beacon/verify"
LIVE, READY = HEALTH = ("/livez", "/readyz")
_OTLP_PATHS = frozenset(row.path for row in ROWS.values() if row.otlp)


_LOG = logging.getLogger(__name__)
_Error = TypeVar("_Error", bound=BaseException)
_TAKEN, _TAKEN_PROTOBUF = Answer(b"{}", JSON), Answer(b"", PROTOBUF)
"""What nearly every request is answered; making it anew costs as much as reading the headers."""


class Intake:
    """Takes requests for one node: an ASGI application.

    ``writers`` by stream; ``guard`` knows the configured keys; ``has_room`` says what the spool has
    room for, ``knows_room`` the same by what is known already: for a probe nobody looks. What comes for
    the streams in ``switched_off`` is answered as taken, and stored nowhere.
    ``verify`` answers license requests; ``via`` knows which requests are this bridge's own.
    """

    def __init__(  # noqa: PLR0913 - what taking needs, given once
        self,
        writers: Mapping[str, Writer],
        gate: Gate,
        guard: SecretGuard,
        has_room: HasRoom,
        random: Random,
        switched_off: Collection[str] = (),
        *,
        knows_room: HasRoom | None = None,
        verify: Verify = nobody,
        via: Via | None = None,
    ) -> None:
        self._has_room = has_room
        self._knows_room = knows_room or has_room
        self._random = random
        self._via = via or Via()
        self._budget = Budget()
        self.counts = IntakeCounts()
        self._storing = Storing(writers, self._budget, self.counts)
        self.go_by(Rules(gate, guard, switched_off, verify))

    def go_by(self, rules: Rules) -> None:
        """Judge requests by ``rules`` from the next one on; callable from any thread."""
        self._rules = replace(rules, guard=RequestGuard(rules.guard, rules.gate))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        whole = whole_of(scope, receive)
        response = await self._respond(scope, receive, whole)
        if whole is not None and type(response) is Answer and whole.give(response):
            return
        await response(scope, receive, send)

    async def _respond(self, scope: Scope, receive: Receive, whole: Whole | None) -> Response:
        path: str = scope["path"]
        try:
            row = ROWS.get(path)
            if row is not None:
                return await self._take(scope, receive, whole, row)
            return await self._route(scope, receive, path)
        except RefusalError as refusal:
            found = _without_frames(refusal)
        except RecordError as error:
            status = 413 if error.id == "record.too_large" else 400
            found = RefusalError(status, error.id, error.message, error.hint)
            _without_frames(error)
        except SpoolError as error:
            found = RefusalError(503, error.id, error.message, error.hint)
            _without_frames(error)
        except asyncio.CancelledError:
            # The server stops and waits no longer: a 500, uvicorn's answer, would lose the data.
            found = RefusalError(
                503, "intake.stopping", "The bridge is being stopped.", "Send it again."
            )
        except Exception as error:  # noqa: BLE001 - told to the log; nothing was acknowledged
            found = _failed(error)
            _without_frames(error)
        self.counts.refused[found.id] += 1
        retry_after = self._random.choice(RETRY_AFTER_S) if found.status == 503 else None  # noqa: PLR2004
        otlp = path in _OTLP_PATHS
        protobuf = otlp and is_protobuf(Head(scope["headers"]))
        return answer(found, otlp=otlp, protobuf=protobuf, retry_after=retry_after)

    async def _route(self, scope: Scope, receive: Receive, path: str) -> Response:
        method: str = scope["method"]
        if path == VERIFY:
            _check_method(method, "POST")
            self.counts.requests[path] += 1
            return await self._pass_on(Head(scope["headers"]), receive)
        if path == LIVE:
            _check_method(method, "GET", "HEAD")
            return Response(b"ok\n", media_type="text/plain")
        if path == READY:
            _check_method(method, "GET", "HEAD")
            return self._readiness()
        self.counts.count_unrouted(path, self._rules.guard)
        raise RefusalError(
            404,
            "intake.unrouted",
            "This is none of the beacon's reporting paths; nothing was stored.",
            "Point only beacon and OTLP traffic here, not customer or model traffic.",
        )

    async def _pass_on(self, head: Head, receive: Receive) -> Response:
        """Ask the beacon about a license; nothing of it is kept."""
        self._via.check(head.all(VIA))
        rules = self._rules
        check_content(head, otlp=False)
        rules.gate.check_head(head.all(LICENSE), otlp=False)
        reader = BodyReader(self._budget, head, receive, REQUEST_MAX)
        try:
            with reader:
                async with asyncio.timeout(ANSWER_S) as limit:
                    key = key_in(await reader.read(limit))
        except TimeoutError:
            raise too_slow(whole=False) from None
        presented = [given for given in (key, *head.all(LICENSE)) if given is not None]
        rules.gate.check(presented, otlp=False)
        self._via.taken(head.all(VIA))
        passed = await rules.verify(str(presented[0]))
        if passed is None:
            raise no_answer()
        return Response(passed.body, passed.status, media_type=JSON)

    def _readiness(self) -> Response:
        try:
            ready = self._knows_room("billing")
        except OSError as error:
            raise explained(error, "look at the spool") from error
        said, status = (b"ok\n", 200) if ready else (b"no room\n", 503)
        return Response(said, status, media_type="text/plain")

    def _check_room(self, stream: Stream) -> None:
        try:
            if self._has_room(stream.kind):
                return
        except OSError as error:
            raise explained(error, "look at the spool") from error
        raise RefusalError(
            503,
            "intake.full",
            f"The spool has no room for {stream.name}.",
            "Have it delivered or exported, or give it a larger disk or spool.max_size.",
        )

    async def _take(
        self, scope: Scope, receive: Receive, whole: Whole | None, row: Row
    ) -> Response:
        if scope["method"] != "POST":
            _check_method(scope["method"], "POST")
        self.counts.requests[row.path] += 1
        head = Head(scope["headers"])
        bridges = head.all(VIA)
        if bridges:
            self._via.check(bridges)
        rules = self._rules
        vouched = rules.gate.check_data_plane(head.all(DATA_PLANE))
        form = check_content(head, otlp=row.otlp)
        if row.stream.name not in rules.switched_off:
            self._check_room(row.stream)
        post = Post(head, row, form, rules, vouched)
        take = None if whole is None else whole.take_body
        lines, unknown = await self._storing.store(post, take, receive)
        if bridges:
            self._via.taken(bridges)
        self.counts.count_taken(row.stream.name, lines, unknown)
        if form == PROTOBUF:
            if not lines.dropped and not unknown:
                return _TAKEN_PROTOBUF
            said = export_answer(row.stream.name, lines.dropped, why_rejected(lines, unknown))
            return Answer(said, PROTOBUF)
        status, said = row.answer(lines)
        if said == _TAKEN.body:
            return _TAKEN
        return Answer(said, JSON) if said else Response(status_code=status)


def _without_frames(error: _Error) -> _Error:
    """``error``, that of the frames it came through knows none: they hold the body.

    Where it came from a thread, one of them holds the future that holds the error: a ring, which
    would stay until somebody looks for such.
    """
    error.__context__ = error.__cause__ = None
    return error.with_traceback(None)


def _failed(error: Exception) -> RefusalError:
    """Say where it happened, not what it says: that may quote a request."""
    *_, frame = extract_tb(error.__traceback__)
    _LOG.error(
        "A request could not be taken: %s at %s:%s.",
        type(error).__name__,
        frame.filename,
        frame.lineno,
    )
    return RefusalError(
        503,
        "intake.failed",
        "The bridge failed to take the request; nothing was acknowledged.",
        "Send it again; if it fails each time, look at the bridge's log.",
    )


def _check_method(method: str, *allowed: str) -> None:
    if method not in allowed:
        names = ", ".join(allowed)
        raise RefusalError(
            405,
            "intake.method",
            f"This path takes {names} alone.",
            f"Use {allowed[0]}.",
            {"Allow": names},
        )
