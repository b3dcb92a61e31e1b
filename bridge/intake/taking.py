"""The table of what is taken: each path, the stream that it feeds, how its body becomes lines.

The license key is taken out of a body before anything else looks at it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import msgspec
import orjson

from spool.errors import RecordError
from spool.jsonbytes import elements
from spool.lines import Lines, put_together, take_apart
from spool.secrets import SecretGuard
from spool.streams import STREAMS, Stream

LICENSE_HEADER = "x-langchain-license-key"


@dataclass(frozen=True, slots=True)
class Taken:
    """A body: the license key in it (None: none), and how to make its lines."""

    license_key: object
    to_lines: Callable[[SecretGuard], Lines]


@dataclass(frozen=True, slots=True)
class Row:
    """One path. ``answer`` makes the answer's status and body from lines and records dropped."""

    path: str
    stream: Stream
    take: Callable[[bytes], Taken]
    answer: Callable[[Lines], tuple[int, bytes]]

    @property
    def otlp(self) -> bool:
        """Whether senders speak OTLP: the license is in a header, errors are ``Status``."""
        return self.stream.kind == "operational"


def _key_of(members: dict[str, msgspec.Raw], name: str) -> object:
    raw = members.pop(name, None)
    if raw is None:
        return None
    try:
        return orjson.loads(bytes(raw))
    except orjson.JSONDecodeError as error:
        raise RecordError(
            "record.json", "The license is no JSON value.", "Send it as a string."
        ) from error


def _transactions(body: bytes) -> Taken:
    members = take_apart(body)
    key = _key_of(members, "license")
    stream = STREAMS["transactions"]

    def to_lines(guard: SecretGuard) -> Lines:
        found = elements(members.get("trace_transactions", msgspec.Raw(b"[]")))
        return Lines([line for raw in found for line in stream.to_lines(bytes(raw), guard).lines])

    return Taken(key, to_lines)


def _report(stream: Stream) -> Callable[[bytes], Taken]:
    def take(body: bytes) -> Taken:
        members = take_apart(body)
        key = _key_of(members, "license_key")
        return Taken(key, lambda guard: stream.to_lines(put_together(members), guard))

    return take


def _export(stream: Stream) -> Callable[[bytes], Taken]:
    return lambda body: Taken(None, lambda guard: stream.to_lines(body, guard))


def _inserted(lines: Lines) -> tuple[int, bytes]:
    return 200, orjson.dumps({"inserted_count": len(lines.lines)})


def _partial(name: str) -> Callable[[Lines], tuple[int, bytes]]:
    def answer(lines: Lines) -> tuple[int, bytes]:
        if not lines.dropped:
            return 200, b"{}"
        said = {name: str(lines.dropped), "errorMessage": "records that held a secret"}
        return 200, orjson.dumps({"partialSuccess": said})

    return answer


_REJECTED = {
    "logs": "rejectedLogRecords",
    "metrics": "rejectedDataPoints",
    "traces": "rejectedSpans",
}
_BEACON = "/v1/beacon"


def _otlp(name: str, prefix: str) -> Row:
    stream = STREAMS[name]
    return Row(f"{prefix}/v1/{name}", stream, _export(stream), _partial(_REJECTED[name]))


_ROWS = (
    Row(
        f"{_BEACON}/ingest-traces",
        STREAMS["transactions"],
        _transactions,
        _inserted,
    ),
    Row(
        f"{_BEACON}/metadata/submit",
        STREAMS["langgraph"],
        _report(STREAMS["langgraph"]),
        lambda _: (200, b"{}"),
    ),
    Row(
        f"{_BEACON}/usage-snapshot",
        STREAMS["snapshots"],
        _report(STREAMS["snapshots"]),
        lambda _: (204, b""),
    ),
    *(_otlp(name, prefix) for prefix in (_BEACON, "") for name in _REJECTED),
)

ROWS: Mapping[str, Row] = MappingProxyType({row.path: row for row in _ROWS})
"""Every path that is taken."""
