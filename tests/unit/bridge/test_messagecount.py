"""What a protobuf record holds is counted before a parser makes objects of it."""

import tracemalloc
from collections.abc import Callable
from typing import cast

import pytest
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import ExponentialHistogramDataPoint, Metric
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from bridge.intake.messagecount import VALUES_MAX, check_count
from bridge.intake.otlpjson import JSON_MAX, to_json
from spool.errors import RecordError

Buckets = ExponentialHistogramDataPoint.Buckets
UNKNOWN = b"\xfa\x3f\x01x\xf8\x3f\x01"
"""Fields that the definitions do not have: a byte of text, a number."""


def attributes(count: int) -> Message:
    record = LogRecord()
    for _ in range(count // 2):  # a value is a message, too
        record.attributes.add().value.SetInParent()
    return record


def values(count: int) -> Message:
    record = LogRecord()
    for _ in range(count - 2):  # the body, and the array in it
        record.body.array_value.values.add()
    return record


def events(count: int) -> Message:
    span = Span()
    for _ in range(count):
        span.events.add()
    return span


def buckets(count: int) -> Message:
    metric = Metric()
    metric.histogram.data_points.add().bucket_counts.extend([2**60] * (count - 2))
    return metric


def offsets(count: int) -> Message:
    metric = Metric()
    # Numbers of one byte and of two.
    metric.exponential_histogram.data_points.add().positive.bucket_counts.extend(
        [1, 300] * ((count - 3) // 2) + [1] * ((count - 3) % 2)
    )
    return metric


def checked(message: Message, more: bytes = b"") -> None:
    check_count(message.SerializeToString() + more, cast(Descriptor, message.DESCRIPTOR))


@pytest.mark.parametrize("made", [attributes, values, events, buckets, offsets])
def test_what_a_record_holds_is_counted_exactly(made: Callable[[int], Message]) -> None:
    checked(made(VALUES_MAX))
    checked(made(VALUES_MAX - 2), UNKNOWN)
    with pytest.raises(RecordError):
        checked(made(VALUES_MAX), UNKNOWN)
    with pytest.raises(RecordError) as refused:
        checked(made(VALUES_MAX + 2))
    assert refused.value.id == "record.too_large"


def texts(count: int) -> bytes:
    resource = Resource()
    resource.entity_refs.add().id_keys.extend([""] * (count - 1))
    return resource.SerializeToString()


def unpacked(count: int) -> bytes:
    inner = b"\x10\x00" * (count - 1)
    return Buckets(bucket_counts=[0]).SerializeToString() + inner


def unknown(count: int) -> bytes:
    return b"\x78\x00" * count


@pytest.mark.parametrize(
    ("kind", "made"), [(Resource, texts), (Buckets, unpacked), (Resource, unknown)]
)
def test_texts_of_lists_numbers_one_by_one_and_unknown_fields_count_too(
    kind: type[Message], made: Callable[[int], bytes]
) -> None:
    check_count(made(VALUES_MAX), cast(Descriptor, kind.DESCRIPTOR))
    with pytest.raises(RecordError) as refused:
        check_count(made(VALUES_MAX + 1), cast(Descriptor, kind.DESCRIPTOR))
    assert refused.value.id == "record.too_large"


def test_text_is_not_counted_whatever_it_looks_like() -> None:
    record = LogRecord()
    record.body.string_value = "2\x00" * 2 * VALUES_MAX
    record.attributes.add().value.bytes_value = b"2\x00" * 2 * VALUES_MAX
    checked(record)


@pytest.mark.parametrize("data", [b"\x32", b"\x32\x05a", b"\x32\xff", b"\x30", b"\x37\x00"])
def test_what_no_parser_takes_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        check_count(data, LogRecord.DESCRIPTOR)


def test_a_record_of_millions_of_attributes_is_refused_before_they_take_memory() -> None:
    body = b"2\x00" * 3_000_000
    for number in (2, 2, 1):
        size, length = len(body), b""
        while size > 0x7F:
            length += bytes([size & 0x7F | 0x80])
            size >>= 7
        body = bytes([number << 3 | 2]) + length + bytes([size]) + body
    tracemalloc.start()
    try:
        with pytest.raises(RecordError) as refused:
            to_json("logs", body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert refused.value.id == "record.too_large"
    assert peak < 40 * 1024 * 1024  # parsed they take 400 MiB


def test_json_that_grows_beyond_its_bound_is_refused_while_it_is_made() -> None:
    record = LogRecord()
    record.body.string_value = "\x00" * 1_000_000  # six bytes of JSON each
    one = record.SerializeToString()
    held: list[int] = []

    def size_of(data: bytes) -> bytes:
        return bytes(
            [
                len(data) & 0x7F | 0x80,
                len(data) >> 7 & 0x7F | 0x80,
                len(data) >> 14 & 0x7F | 0x80,
                len(data) >> 21,
            ]
        )

    many = b"".join([b"\x12" + size_of(one) + one] * (JSON_MAX // 6_000_000 + 1))
    for number in (2, 1):
        many = bytes([number << 3 | 2]) + size_of(many) + many
    with pytest.raises(RecordError) as refused:
        to_json("logs", many, held.append)
    assert refused.value.id == "record.too_large"
    assert JSON_MAX - 6_100_000 < sum(held) <= JSON_MAX
