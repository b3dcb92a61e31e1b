"""The beacon's paths: what each takes, under which stream it is kept, what it answers.

``LICENSE_HEADERS`` carry the license where the body has no place for it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from bridge.testbeacon.bodies import (
    Body,
    Record,
    report_body,
    snapshot_body,
    transactions_body,
    verify_body,
)
from bridge.testbeacon.otlp import LOGS, METRICS, TRACES, Signal

LICENSE_HEADERS = ("x-langchain-license-key", "x-data-plane-auth")
STREAMS = ("transactions", "langgraph", "snapshots", "logs", "metrics", "traces")


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a request: how many of its records were new, and what was not taken.

    ``token`` makes a license token for who asked.
    """

    fresh: int
    rejected: Sequence[Record]
    token: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Route:
    """One path. ``stream`` is None for license verification, which brings no records.

    ``answer`` makes the body of the 2xx answer, None for an empty one. ``licensed_by_header`` says
    where the license is; such a route is OTLP, and its errors are ``google.rpc.Status``.
    ``divisible`` says that it can take a part of a request.
    """

    path: str
    stream: str | None
    parse: Callable[[bytes], Body]
    answer: Callable[[Taken], dict[str, object] | None]
    licensed_by_header: bool = False
    divisible: bool = False


def _inserted(taken: Taken) -> dict[str, object]:
    return {"inserted_count": taken.fresh}


def _token(taken: Taken) -> dict[str, object]:
    return {"token": taken.token()}


def _empty_object(_taken: Taken) -> dict[str, object]:
    return {}


def _no_content(_taken: Taken) -> None:
    return None


def _otlp(stream: str, signal: Signal) -> Route:
    return Route(
        f"/v1/beacon/v1/{stream}",
        stream,
        signal.body,
        lambda taken: signal.answer(taken.rejected),
        licensed_by_header=True,
        divisible=True,
    )


_ROWS = (
    Route("/v1/beacon/verify", None, verify_body, _token),
    Route("/v1/beacon/ingest-traces", "transactions", transactions_body, _inserted, divisible=True),
    Route("/v1/beacon/metadata/submit", "langgraph", report_body, _empty_object),
    Route("/v1/beacon/usage-snapshot", "snapshots", snapshot_body, _no_content),
    _otlp("logs", LOGS),
    _otlp("metrics", METRICS),
    _otlp("traces", TRACES),
)

ROUTES: Mapping[str, Route] = MappingProxyType({row.path: row for row in _ROWS})
"""Every route by its path."""
