"""The intake's HTTP: routes, and answers only after the records are durable.

Whatever the bytes are, the answer is the beacon's own or a refusal with a stable id. It is never a
redirect, which OpenTelemetry's Python client takes for a success, and never a 500, on which clients
drop their data: what fails here unforeseen is a 503 that asks them to come again.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from random import Random
from traceback import extract_tb

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bridge.intake.bodies import BodyReader, Budget
from bridge.intake.counts import IntakeCounts
from bridge.intake.gate import Gate, RequestGuard
from bridge.intake.refusals import JSON, RETRY_AFTER_S, RefusalError, answer
from bridge.intake.taking import LICENSE_HEADER, ROWS, Row, Taken
from spool.durable import explained
from spool.errors import RecordError, SpoolError
from spool.lines import Lines
from spool.secrets import SecretGuard
from spool.writer import Writer

IN_A_THREAD = 256 * 1024
"""Bytes of a body that are judged beside the loop: it would stand still for milliseconds."""
VERIFY = "/v1/beacon/verify"
_OTLP_PATHS = frozenset(row.path for row in ROWS.values() if row.otlp)


_LOG = logging.getLogger(__name__)
_TAKEN = Response(b"{}", media_type=JSON)
"""What nearly every request is answered; making it anew costs as much as reading the headers."""


class Intake:
    """Takes requests for one node: an ASGI application.

    ``writers`` by stream; ``guard`` knows the configured keys; ``ready`` says whether the spool can
    be written.
    """

    def __init__(
        self,
        writers: Mapping[str, Writer],
        gate: Gate,
        guard: SecretGuard,
        ready: Callable[[], bool],
        random: Random,
    ) -> None:
        self._writers = writers
        self._gate = gate
        self._guard = RequestGuard(guard, gate)
        self._ready = ready
        self._random = random
        self._budget = Budget()
        self.counts = IntakeCounts()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        response = await self._respond(scope, receive)
        await response(scope, receive, send)

    async def _respond(self, scope: Scope, receive: Receive) -> Response:
        path: str = scope["path"]
        try:
            return await self._route(scope, receive, path)
        except RefusalError as refusal:
            found = refusal
        except RecordError as error:
            status = 413 if error.id == "record.too_large" else 400
            found = RefusalError(status, error.id, error.message, error.hint)
        except SpoolError as error:
            found = RefusalError(503, error.id, error.message, error.hint)
        except asyncio.CancelledError:
            # The server stops and waits no longer: a 500, uvicorn's answer, would lose the data.
            found = RefusalError(
                503, "intake.stopping", "The bridge is being stopped.", "Send it again."
            )
        except Exception as error:  # noqa: BLE001 - told to the log; nothing was acknowledged
            found = _failed(error)
        self.counts.refused[found.id] += 1
        retry_after = self._random.choice(RETRY_AFTER_S) if found.status == 503 else None  # noqa: PLR2004
        return answer(found, otlp=path in _OTLP_PATHS, retry_after=retry_after)

    async def _route(self, scope: Scope, receive: Receive, path: str) -> Response:
        method: str = scope["method"]
        row = ROWS.get(path)
        if row is not None:
            _check_method(method, "POST")
            self.counts.requests[path] += 1
            return await self._take(Headers(scope=scope), receive, row)
        if path == VERIFY:
            _check_method(method, "POST")
            self.counts.requests[path] += 1
            raise RefusalError(
                503,
                "license.no_answer",
                "This version of the bridge does not pass license requests on.",
                "Let LangSmith reach the beacon for license verification.",
            )
        if path == "/livez":
            _check_method(method, "GET", "HEAD")
            return Response(b"ok\n")
        if path == "/readyz":
            _check_method(method, "GET", "HEAD")
            return self._readiness()
        self.counts.count_unrouted(path, self._guard)
        raise RefusalError(
            404,
            "intake.unrouted",
            "This is none of the beacon's reporting paths; nothing was stored.",
            "Point only beacon and OTLP traffic here, not customer or model traffic.",
        )

    def _readiness(self) -> Response:
        try:
            ready = self._ready()
        except OSError as error:
            raise explained(error, "look at the spool") from error
        return Response(b"ok\n") if ready else Response(b"no room\n", 503)

    async def _take(self, headers: Headers, receive: Receive, row: Row) -> Response:
        _check_headers(headers)
        with BodyReader(self._budget, headers, receive) as reader:
            body = await reader.read()
            aside = len(body) > IN_A_THREAD
            taken = await asyncio.to_thread(row.take, body) if aside else row.take(body)
            key = headers.get(LICENSE_HEADER) if row.otlp else taken.license_key
            self._gate.check(key, otlp=row.otlp)
            lines = await _judged(taken, self._guard, aside=aside)
            await self._writers[row.stream.name].append_lines_async(lines.lines)
        self.counts.records[row.stream.name] += len(lines.lines)
        status, said = row.answer(lines)
        if said == _TAKEN.body:
            return _TAKEN
        return Response(said, status, media_type=JSON if said else None)


async def _judged(taken: Taken, guard: SecretGuard, *, aside: bool) -> Lines:
    return await asyncio.to_thread(taken.to_lines, guard) if aside else taken.to_lines(guard)


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


def _check_headers(headers: Headers) -> None:
    """Refuse what this version does not take, before the body is read."""
    if "x-data-plane-auth" in headers:
        raise RefusalError(
            403,
            "license.data_plane",
            "Requests with X-Data-Plane-Auth cannot be sent later: the credential is not stored.",
            "Let hosted data planes reach the beacon themselves.",
        )
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    coding = headers.get("content-encoding", "identity").strip().lower()
    if kind != JSON or coding != "identity":
        raise RefusalError(
            415,
            "intake.encoding",
            "This version takes application/json without a content encoding.",
            "Send JSON; of OpenTelemetry: OTEL_EXPORTER_OTLP_PROTOCOL=http/json, no compression.",
        )
