"""OTLP in protobuf becomes OTLP JSON, so that everything after it knows one form alone.

The message is parsed by protobuf's own parser and walked once. What a newer sender said in fields that
this version of the definitions does not have cannot be carried over; it is counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import cast

import orjson
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bridge.intake.messagewalk import Walk, walk_of
from spool.errors import RecordError

_TYPES: Mapping[str, type[Message]] = MappingProxyType(
    {
        "logs": ExportLogsServiceRequest,
        "metrics": ExportMetricsServiceRequest,
        "traces": ExportTraceServiceRequest,
    }
)
_WALKS: Mapping[str, Walk] = MappingProxyType(
    {signal: walk_of(cast(Descriptor, kind.DESCRIPTOR)) for signal, kind in _TYPES.items()}
)


@dataclass(frozen=True, slots=True)
class Converted:
    """One OTLP JSON object, and how many fields could not be carried over."""

    body: bytes
    unknown: int


def to_json(signal: str, body: bytes) -> Converted:
    """The JSON of an export request of ``signal``: ``logs``, ``metrics`` or ``traces``.

    Raises :class:`RecordError` ``record.protobuf`` for bytes that are no such request,
    ``record.depth`` for values nested deeper than protobuf's parser goes (100 messages).
    """
    try:
        message = _TYPES[signal].FromString(body)
    except DecodeError:
        raise RecordError(
            "record.protobuf",
            f"The body is no OTLP request for {signal} in protobuf.",
            "Send it as the OTLP specification has it, or as JSON with its Content-Type.",
        ) from None
    try:
        made = orjson.dumps(_WALKS[signal](message))
    except (RecursionError, orjson.JSONEncodeError):
        raise RecordError(
            "record.depth", "A value is nested too deeply.", "Send it flatter."
        ) from None
    size = message.ByteSize()
    message.DiscardUnknownFields()
    unknown = 0 if message.ByteSize() == size else _count(_TYPES[signal].FromString(body))
    return Converted(made, unknown)


def _count(message: Message) -> int:
    """How many fields the definitions do not have, at any depth."""
    found = len(UnknownFieldSet(message))
    for field, value in message.ListFields():
        if field.message_type is not None:
            found += sum(map(_count, value)) if field.is_repeated else _count(value)
    return found
