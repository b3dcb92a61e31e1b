"""The intake's HTTP: routes, and answers only after the records are durable.

Whatever the bytes are, the answer is one of those in ``docs/`` and never a redirect: OpenTelemetry's
Python client takes a redirect for a success and drops the data.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bridge.intake.bodies import Budget
from bridge.intake.gate import Gate
from bridge.intake.refusals import JSON, RETRY_AFTER_S, RefusalError, answer
from bridge.intake.taking import LICENSE_HEADER, ROWS, Row, Taken
from spool.errors import RecordError, SpoolError
from spool.lines import Lines
from spool.secrets import SecretGuard
from spool.writer import Writer

IN_A_THREAD = 256 * 1024
"""Bytes of a body that are judged beside the loop: it would stand still for milliseconds."""
VERIFY = "/v1/beacon/verify"
_OTLP_PATHS = frozenset(row.path for row in ROWS.values() if row.otlp)


@dataclass(slots=True)
class Counts:
    """What came in since the start: records by stream, refusals by id, requests for nothing of ours."""

    records: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    unrouted: int = 0


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
        self._guard = guard
        self._ready = ready
        self._random = random
        self._budget = Budget()
        self.counts = Counts()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        response = await self._respond(request)
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        path = request.url.path
        try:
            return await self._route(request, path)
        except RefusalError as refusal:
            found = refusal
        except RecordError as error:
            status = 413 if error.id == "record.too_large" else 400
            found = RefusalError(status, error.id, error.message, error.hint)
        except SpoolError as error:
            found = RefusalError(503, error.id, error.message, error.hint)
        self.counts.refused[found.id] += 1
        retry_after = self._random.choice(RETRY_AFTER_S) if found.status == 503 else None  # noqa: PLR2004
        return answer(found, otlp=path in _OTLP_PATHS, retry_after=retry_after)

    async def _route(self, request: Request, path: str) -> Response:
        row = ROWS.get(path)
        if row is not None:
            _check_post(request)
            return await self._take(request, row)
        if path == VERIFY:
            _check_post(request)
            raise RefusalError(
                503,
                "license.no_answer",
                "This version of the bridge does not pass license requests on.",
                "Let LangSmith reach the beacon for license verification.",
            )
        if path == "/livez":
            return Response(b"ok\n")
        if path == "/readyz":
            return Response(b"ok\n") if self._ready() else Response(b"no room\n", 503)
        self.counts.unrouted += 1
        raise RefusalError(
            404,
            "intake.unrouted",
            "This is none of the beacon's reporting paths; nothing was stored.",
            "Point only beacon and OTLP traffic here, not customer or model traffic.",
        )

    async def _take(self, request: Request, row: Row) -> Response:
        _check_headers(request)
        async with self._budget.body_of(request) as body:
            aside = len(body) > IN_A_THREAD
            taken = await asyncio.to_thread(row.take, body) if aside else row.take(body)
            key = request.headers.get(LICENSE_HEADER) if row.otlp else taken.license_key
            self._gate.check(key, otlp=row.otlp)
            lines = await _judged(taken, self._guard, aside=aside)
            await self._writers[row.stream.name].append_lines_async(lines.lines)
        self.counts.records[row.stream.name] += len(lines.lines)
        status, said = row.answer(lines)
        return Response(said, status, media_type=JSON if said else None)


async def _judged(taken: Taken, guard: SecretGuard, *, aside: bool) -> Lines:
    return await asyncio.to_thread(taken.to_lines, guard) if aside else taken.to_lines(guard)


def _check_post(request: Request) -> None:
    if request.method != "POST":
        raise RefusalError(405, "intake.method", "This path takes POST alone.", "Use POST.")


def _check_headers(request: Request) -> None:
    """Refuse what this version does not take, before the body is read."""
    headers = request.headers
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
            "Set OTEL_EXPORTER_OTLP_PROTOCOL=http/json, and no compression.",
        )
