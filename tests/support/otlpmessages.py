"""Any OTLP message there can be: made from the definitions, so that no field is left out."""

import base64
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

_F = FieldDescriptor
# Of the many NaNs one alone is drawn: JSON has one word for all, so their bits cannot come back.
_NUMBERS: Mapping[int, st.SearchStrategy[object]] = MappingProxyType(
    {
        _F.CPPTYPE_INT32: st.integers(-(2**31), 2**31 - 1),
        _F.CPPTYPE_INT64: st.integers(-(2**63), 2**63 - 1),
        _F.CPPTYPE_UINT32: st.integers(0, 2**32 - 1),
        _F.CPPTYPE_UINT64: st.integers(0, 2**64 - 1),
        _F.CPPTYPE_DOUBLE: st.floats(allow_nan=False) | st.just(math.nan),
        _F.CPPTYPE_FLOAT: st.floats(width=32, allow_nan=False) | st.just(math.nan),
        _F.CPPTYPE_BOOL: st.booleans(),
    }
)
DEPTH = 9
"""Messages within messages: attributes stand on the seventh level."""


def messages(kind: type[Message]) -> st.SearchStrategy[Message]:
    """Messages of this type, with any of its fields set."""

    @st.composite
    def made(draw: st.DrawFn) -> Message:
        message = kind()
        _fill(message, draw, DEPTH)
        return message

    return made()


_HEX = ("traceId", "spanId", "parentSpanId")


def as_protobuf_has_it(value: object) -> object:
    """OTLP's JSON with its ids in base64, which is what protobuf's own parser expects."""
    if isinstance(value, list):
        return [as_protobuf_has_it(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: base64.b64encode(bytes.fromhex(each)).decode()
        if name in _HEX
        else as_protobuf_has_it(each)
        for name, each in value.items()
    }


def _fill(
    message: Message, draw: Callable[[st.SearchStrategy[object]], object], depth: int
) -> None:
    descriptor: Descriptor = message.DESCRIPTOR  # type: ignore[assignment]
    for field in descriptor.fields:
        if not draw(st.sampled_from([True, True, False])):
            continue
        if field.message_type is not None:
            if not depth:
                continue
            if field.is_repeated:
                for _ in range(draw(st.integers(0, 2))):  # type: ignore[call-overload]
                    _fill(getattr(message, field.name).add(), draw, depth - 1)
            else:
                inner = getattr(message, field.name)
                inner.SetInParent()
                _fill(inner, draw, depth - 1)
        elif field.is_repeated:
            getattr(message, field.name).extend(draw(st.lists(_value(field), max_size=3)))
        else:
            setattr(message, field.name, draw(_value(field)))


def _value(field: FieldDescriptor) -> st.SearchStrategy[object]:
    if field.type == _F.TYPE_STRING:
        return st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
    if field.type == _F.TYPE_BYTES:
        return st.binary(max_size=17)
    if field.enum_type is not None:
        return st.sampled_from([value.number for value in field.enum_type.values])
    return _NUMBERS[field.cpp_type]


def many_attributes(size: int) -> bytes:
    """A request for logs of about ``size`` bytes with one record, whose JSON is many times as large."""
    request = ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add(severity_number=13)
    for _ in range(size // 6 - 10):
        record.attributes.add().value.bool_value = True
    return request.SerializeToString()
