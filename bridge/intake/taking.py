"""The table of what is taken: each path, the stream that it feeds, how its body becomes lines.

The license key is taken out of a body before anything else looks at it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

import msgspec
import orjson

from bridge.intake.gate import KEY_MAX
from spool.errors import RecordError
from spool.jsonparts import elements
from spool.lines import LICENSE_FIELDS, Lines, put_together, take_apart
from spool.secrets import NO_SECRETS, SecretGuard
from spool.streams import STREAMS, Stream


@dataclass(slots=True)  # one for each request: frozen it would take a microsecond more
class Taken:
    """A body: the license keys in it, and how to make its lines."""

    license_keys: tuple[object, ...]
    to_lines: Callable[[SecretGuard], Lines]


@dataclass(frozen=True)
class Row:
    """One path. ``answer`` makes the answer's status and body from lines and records dropped."""

    path: str
    stream: Stream
    take: Callable[[bytes], Taken]
    answer: Callable[[Lines], tuple[int, bytes]]

    @cached_property
    def otlp(self) -> bool:
        """Whether senders speak OTLP: the license is in a header, errors are ``Status``."""
        return self.stream.kind == "operational"


_NO_KEY = object()
"""Stands for what is too long to be a license key, whatever it is: nobody's."""
_KEY_RAW_MAX = 6 * KEY_MAX + 2
"""Bytes of a license key in JSON, each of its characters escaped."""


def _keys_of(members: dict[str, msgspec.Raw]) -> tuple[object, ...]:
    """The license keys among ``members``, taken out of them, under either of the vendor's names."""
    raws = [members.pop(name) for name in sorted(LICENSE_FIELDS) if name in members]
    try:
        # What is longer may be the whole body, in any form; parsed it takes forty times its bytes.
        return tuple(
            orjson.loads(bytes(raw)) if len(raw) <= _KEY_RAW_MAX else _NO_KEY for raw in raws
        )
    except orjson.JSONDecodeError as error:
        raise RecordError(
            "record.json", "The license is no JSON value.", "Send it as a string."
        ) from error


def _transactions(body: bytes) -> Taken:
    members = take_apart(body)
    keys = _keys_of(members)
    stream = STREAMS["transactions"]

    def to_lines(guard: SecretGuard) -> Lines:
        array = members.get("trace_transactions", msgspec.Raw(b"[]"))
        # What does not stand in all of them stands in none: most bodies are looked through once.
        each_guard = guard if guard.found_in(bytes(array)) else NO_SECRETS
        lines: list[bytes] = []
        ids: list[str] = []
        for raw in elements(array):
            made = stream.to_lines(bytes(raw), each_guard)
            lines += made.lines
            ids += made.ids
        return Lines(lines, ids=tuple(ids))

    return Taken(keys, to_lines)


def _report(stream: Stream) -> Callable[[bytes], Taken]:
    def take(body: bytes) -> Taken:
        members = take_apart(body)
        keys = _keys_of(members)
        return Taken(keys, lambda guard: stream.to_lines(put_together(members), guard))

    return take


def _export(stream: Stream) -> Callable[[bytes], Taken]:
    return lambda body: Taken((), lambda guard: stream.to_lines(body, guard))


def _inserted(lines: Lines) -> tuple[int, bytes]:
    return 200, orjson.dumps({"inserted_count": len(lines.lines)})


def why_rejected(lines: Lines, unknown: int = 0) -> str:
    """What was left out of an OTLP body, for whoever sent it; what was filtered was not rejected."""
    said = []
    if lines.dropped:
        said.append(
            f"{lines.dropped} records were left out: they held a secret that must not be stored."
        )
    if unknown:
        said.append(f"{unknown} protobuf fields were left out: this version does not know them.")
    return " ".join(said)


def _partial(name: str) -> Callable[[Lines], tuple[int, bytes]]:
    def answer(lines: Lines) -> tuple[int, bytes]:
        if not lines.dropped:
            return 200, b"{}"
        said = {name: str(lines.dropped), "errorMessage": why_rejected(lines)}
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
