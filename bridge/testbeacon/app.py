"""The beacon as an application: the vendor's paths, and three of its own under ``/_beacon``.

A request is judged, stored and only then answered; what is refused is not stored. License: missing
401, unknown 403. Bodies are ``application/json`` without an encoding, at most ``BODY_MAX``. Errors
are JSON objects of strings, on the OTLP paths ``google.rpc.Status``.

``GET /_beacon/received`` answers, for every stream, ``requests`` (taken, those with an
Idempotency-Key that was seen before included), ``records`` (transactions, reports, snapshots, log
records, metrics, spans) and ``distinct`` (of these: transactions by ``id``, the others by content).
"""

import asyncio
import contextlib
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route as StarletteRoute

from bridge.testbeacon.bodies import Record
from bridge.testbeacon.cutting import Cut
from bridge.testbeacon.faults import Fault, Faults, parse_faults
from bridge.testbeacon.licenses import Licenses
from bridge.testbeacon.refusal import TOO_LARGE, UNSUPPORTED, Refusal
from bridge.testbeacon.routes import ROUTES, STREAMS, Route, Taken
from bridge.testbeacon.store import Counts, Request, Store
from bridge.testbeacon.tokens import TokenMint, license_digest
from spool.clock import MS, Clock

BODY_MAX = 64 * 1024 * 1024
"""Bytes of a body: OTLP's own recommendation, and no client of the beacon sends more at once."""
IDEMPOTENCY_KEY_MAX = 256
"""Characters of an Idempotency-Key that are kept; real ones have a few dozen."""
_CODES = {400: 3, 401: 16, 403: 7, 413: 11, 415: 3, 500: 13}
"""``google.rpc.Code`` for the HTTP statuses of our refusals."""


class Beacon:
    """What the application does; ``stopping`` is set when the server goes down.

    ``store`` is used by one worker thread of its own, so that a slow disk holds up no other answer.
    """

    def __init__(
        self, store: Store, mint: TokenMint, clock: Clock, licenses: Collection[str] | None
    ) -> None:
        self.stopping = asyncio.Event()
        self._store = store
        self._mint = mint
        self._clock = clock
        self._licenses = Licenses(licenses)
        self._faults = Faults()
        self._worker = ThreadPoolExecutor(1, "testbeacon-store")

    def application(self) -> Starlette:
        """The ASGI application."""
        routes = [StarletteRoute(path, self._post, methods=["POST"]) for path in ROUTES] + [
            StarletteRoute("/_beacon/received", self._received, methods=["GET"]),
            StarletteRoute("/_beacon/jwks.json", self._jwks, methods=["GET"]),
            StarletteRoute("/_beacon/faults", self._put_faults, methods=["PUT"]),
        ]
        application = Starlette(routes=routes, exception_handlers={HTTPException: _no_such_path})
        application.router.redirect_slashes = False  # clients lose their data on a redirect
        return application

    def close(self) -> None:
        """Finish what the worker has begun, and let go of the store."""
        self._worker.shutdown()
        self._store.close()

    async def _post(self, request: HttpRequest) -> Response:
        route = ROUTES[request.scope["path"]]
        try:
            data = await _read(request)
            fault = self._faults.take(route.path) or Fault(route.path)
            answer = await self._answer(route, request, data, fault)
        except Refusal as refusal:
            return _refused(refusal, route)
        except ClientDisconnect:
            return Cut()
        if fault.delay_s:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stopping.wait(), fault.delay_s)
        return Cut() if fault.drop else answer

    async def _answer(
        self, route: Route, request: HttpRequest, data: bytes, fault: Fault
    ) -> Response:
        if not fault.stores:
            return Response(fault.body, fault.status or 200, dict(fault.headers))
        loop = asyncio.get_running_loop()
        content = await loop.run_in_executor(
            self._worker, self._take, route, dict(request.headers), data, fault.partial
        )
        return Response(status_code=204) if content is None else _json(content)

    def _take(
        self, route: Route, headers: dict[str, str], data: bytes, partial: int | None
    ) -> dict[str, object] | None:
        """Judge a request and keep it; the body of its answer."""
        _check_encoding(headers)
        body = route.parse(data)
        license_key = self._licenses.of(route, headers, body)
        taken, rejected = body.records[:partial], _after(body.records, partial)
        now_ms = self._clock.wall_ms()
        idempotency_key = headers.get("idempotency-key")
        request = Request(
            now_ms,
            route.path,
            route.stream,
            idempotency_key and idempotency_key[:IDEMPOTENCY_KEY_MAX],
            license_digest(license_key),
            len(data),
        )
        fresh = self._store.add(request, taken)
        return route.answer(
            Taken(fresh, rejected, lambda: self._mint.token(license_key, now_ms // MS))
        )

    async def _received(self, _request: HttpRequest) -> Response:
        loop = asyncio.get_running_loop()
        counts = await loop.run_in_executor(self._worker, self._store.counts)
        return _json({stream: asdict(counts.get(stream, Counts())) for stream in STREAMS})

    async def _jwks(self, _request: HttpRequest) -> Response:
        return _json(self._mint.jwks())

    async def _put_faults(self, request: HttpRequest) -> Response:
        try:
            self._faults.replace(parse_faults(await _read(request)))
        except Refusal as refusal:
            return _refused(refusal, None)
        except ClientDisconnect:
            return Cut()
        return Response(status_code=204)


async def _read(request: HttpRequest) -> bytes:
    """The body, never more than :data:`BODY_MAX` bytes of it. Raises :class:`Refusal` 413."""
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > BODY_MAX:
            raise Refusal(TOO_LARGE, "body.too_large", f"A body has at most {BODY_MAX} bytes.")
    return bytes(data)


def _check_encoding(headers: dict[str, str]) -> None:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refusal(UNSUPPORTED, "body.type", "A body is application/json.")
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise Refusal(UNSUPPORTED, "body.encoding", "A body is sent without Content-Encoding.")


def _after(records: list[Record], partial: int | None) -> list[Record]:
    return [] if partial is None else records[partial:]


def _refused(refusal: Refusal, route: Route | None) -> Response:
    content: dict[str, object] = {"error": refusal.id, "message": refusal.message}
    if route is not None and route.licensed_by_header:
        content = {"code": _CODES[refusal.status], "message": refusal.message}
    return _json(content, refusal.status)


async def _no_such_path(_request: HttpRequest, error: Exception) -> Response:
    status, headers = 500, None
    if isinstance(error, HTTPException):
        status, headers = error.status_code, error.headers
    reason = "The beacon has no such path, or not for this method."
    response = _json({"error": "path.unknown", "message": reason}, status)
    response.headers.update(headers or {})
    return response


def _json(content: object, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")
