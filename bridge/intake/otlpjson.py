"""OTLP in protobuf becomes OTLP JSON, so that everything after it knows one form alone.

The message is parsed by protobuf's own parser and walked once; a large one in pieces, for parsed it
takes up to a hundred times its bytes. What a newer sender said in fields that this version of the
definitions does not have cannot be carried over; it is counted.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from types import MappingProxyType
from typing import cast

import orjson
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.unknown_fields import UnknownFieldSet
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bridge.intake.messagecount import check_count
from bridge.intake.messagecut import cut
from bridge.intake.messagewalk import Walk, walk_of
from spool.abandoning import checkpoint
from spool.errors import RecordError
from spool.lines import LINE_MAX

PIECE = 4 * 1024
"""Bytes of a message that are parsed and walked at once. What becomes of them stays in the processor's
cache: pieces of 64 KiB take a fifth more time. A larger record is a piece by itself."""

ALONE_ABOVE = 64 * 1024
"""Bytes of a record that is parsed and walked while no other such one is: threads take turns anyhow,
and what they hold meanwhile is many times as large. Smaller bodies come from the event loop itself."""
_alone = threading.Lock()
JSON_MAX = 96 * 1024 * 1024
"""Bytes of JSON that a body may become; usual ones become two and a half times as large, at most."""

Hold = Callable[[int], None]
"""Is told of so many further bytes; what it raises ends the work."""


def nobody_counts(_size: int) -> None:
    """For whoever converts what is small."""


@dataclass(frozen=True, slots=True)
class Converted:
    """One OTLP JSON object, and how many fields could not be carried over."""

    body: bytes
    unknown: int


def to_json(signal: str, body: bytes, hold: Hold = nobody_counts) -> Converted:
    """The JSON of an export request of ``signal``: ``logs``, ``metrics`` or ``traces``.

    ``hold`` is told of its bytes before they are kept. Raises :class:`RecordError`
    ``record.protobuf`` for bytes that are no such request, ``record.depth`` for values nested deeper
    than protobuf's parser goes (100 messages), ``record.too_large`` for a record, or what it shares
    with others, beyond a line's size or of too many values, and for JSON beyond :data:`JSON_MAX`.
    """
    made = _Making(body, hold)
    try:
        made.add(_LEVELS[signal], 0, len(body))
    except DecodeError:
        raise RecordError(
            "record.protobuf",
            f"The body is no OTLP request for {signal} in protobuf.",
            "Send it as the OTLP specification has it, or as JSON with its Content-Type.",
        ) from None
    except (RecursionError, orjson.JSONEncodeError):
        raise RecordError(
            "record.depth", "A value is nested too deeply.", "Send it flatter."
        ) from None
    return Converted(made.content(), made.unknown)


class _Level:
    """A message of which a body has many others within, in the one field ``within``."""

    __slots__ = ("below", "descriptor", "head", "kind", "name", "number", "walk")

    def __init__(self, descriptor: Descriptor, *within: str) -> None:
        field: FieldDescriptor = descriptor.fields_by_name[within[0]]
        self.descriptor = descriptor
        self.kind = GetMessageClass(descriptor)
        self.walk: Walk = walk_of(descriptor)
        self.name = field.json_name
        self.head = b'"%b":[' % field.json_name.encode()
        self.number = field.number
        self.below = (
            _Level(cast(Descriptor, field.message_type), *within[1:]) if within[1:] else None
        )


def _level(kind: type[Message], *within: str) -> _Level:
    return _Level(cast(Descriptor, kind.DESCRIPTOR), *within)


_LEVELS: Mapping[str, _Level] = MappingProxyType(
    {
        "logs": _level(ExportLogsServiceRequest, "resource_logs", "scope_logs", "log_records"),
        "metrics": _level(
            ExportMetricsServiceRequest, "resource_metrics", "scope_metrics", "metrics"
        ),
        "traces": _level(ExportTraceServiceRequest, "resource_spans", "scope_spans", "spans"),
    }
)


class _Making:
    """The JSON of one body while it is made."""

    def __init__(self, body: bytes, hold: Hold) -> None:
        self._body = body
        self._hold = hold
        self._json = BytesIO()
        self.unknown = 0

    def content(self) -> bytes:
        """What was made."""
        return self._json.getvalue()

    def add(self, level: _Level, begin: int, end: int) -> None:
        """Add the object of the message in ``body[begin:end]``."""
        if end - begin <= PIECE:
            self._write(orjson.dumps(self._walked(level, self._body[begin:end])))
            return
        found = cut(self._body, begin, end, level.number, PIECE)
        around = orjson.dumps(self._walked(level, _checked(found.rest)))
        if not found.runs:
            self._write(around)
            return
        self._write(around[:-1] + b"," * (len(around) > len(b"{}")) + level.head)
        for number, (start, content, stop) in enumerate(found.runs):
            checkpoint()
            self._write(b"," * bool(number))
            if level.below is not None and content is not None and stop - content > PIECE:
                self.add(level.below, content, stop)
            else:
                piece = self._walked(level, _checked(self._body[start:stop]))
                self._write(orjson.dumps(piece[level.name])[1:-1])
        self._write(b"]}")

    def _write(self, some: bytes) -> None:
        if self._json.tell() + len(some) > JSON_MAX:
            raise RecordError(
                "record.too_large",
                f"In JSON, which is what is stored, the body has more than {JSON_MAX} bytes.",
                "Send it in smaller parts.",
            )
        self._hold(len(some))
        self._json.write(some)

    def _walked(self, level: _Level, data: bytes) -> dict[str, object]:
        if len(data) > PIECE:
            check_count(data, level.descriptor)
        if len(data) <= ALONE_ABOVE:
            return self._parsed(level, data)
        with _alone:
            return self._parsed(level, data)

    def _parsed(self, level: _Level, data: bytes) -> dict[str, object]:
        message = level.kind.FromString(data)
        found = level.walk(message)
        size = message.ByteSize()
        message.DiscardUnknownFields()
        if message.ByteSize() != size:
            self.unknown += _count(level.kind.FromString(data))
        return found


def _checked(data: bytes) -> bytes:
    """``data`` that cannot be cut further, refused where its line would be."""
    if len(data) <= LINE_MAX:
        return data
    raise RecordError(
        "record.too_large",
        f"A record has more than {LINE_MAX} bytes.",
        "Send its parts as records of their own.",
    )


def _count(message: Message) -> int:
    """How many fields the definitions do not have, at any depth."""
    found = len(UnknownFieldSet(message))
    for field, value in message.ListFields():
        if field.message_type is not None:
            found += sum(map(_count, value)) if field.is_repeated else _count(value)
    return found
