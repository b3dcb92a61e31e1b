"""Why a request is not taken, as an answer in the form that its sender understands.

A refusal is an HTTP status with our stable id, one sentence of cause and one of what to do. The
beacon's own routes answer errors as a JSON object of strings; OTLP asks for a ``google.rpc.Status``.
"""

from collections.abc import Mapping
from types import MappingProxyType

import orjson
from starlette.responses import Response

from bridge.intake.otlpanswer import status_answer

JSON = "application/json"
PROTOBUF = "application/x-protobuf"
RETRY_AFTER_S = ("1", "2", "3")
"""What a client that comes back soon is told; with an hour OpenTelemetry's clients drop at once."""
_RPC: Mapping[int, int] = MappingProxyType(
    {400: 3, 403: 7, 404: 5, 405: 12, 408: 4, 413: 8, 415: 3, 503: 14, 508: 9}
)
"""google.rpc.Code by HTTP status: INVALID_ARGUMENT, PERMISSION_DENIED, NOT_FOUND, …"""
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class RefusalError(Exception):
    """A request that is not taken; nothing of it was stored. ``headers`` go with the answer."""

    def __init__(
        self,
        status: int,
        id: str,  # noqa: A002 - our word
        message: str,
        hint: str,
        headers: Mapping[str, str] = _NO_HEADERS,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.id = id
        self.message = message
        self.hint = hint
        self.headers = headers


def answer(
    refusal: RefusalError, *, otlp: bool, protobuf: bool = False, retry_after: str | None = None
) -> Response:
    """The answer that says so, in the form that was spoken; 503 carries ``Retry-After``."""
    if otlp:
        said: dict[str, object] = {
            "code": _RPC[refusal.status],
            "message": f"{refusal.message} {refusal.hint} [{refusal.id}]",
        }
    else:
        said = {"error": refusal.id, "message": refusal.message, "hint": refusal.hint}
    headers = dict(refusal.headers)
    if retry_after is not None:
        headers["Retry-After"] = retry_after
    if protobuf:
        code, message = _RPC[refusal.status], str(said["message"])
        return Response(status_answer(code, message), refusal.status, headers, PROTOBUF)
    return Response(orjson.dumps(said), refusal.status, headers, JSON)
