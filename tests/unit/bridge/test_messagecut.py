"""A large protobuf body is cut into pieces, and nothing of it changes by that."""

from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bridge.intake.messagecut import cut
from bridge.intake.otlpjson import PIECE, to_json
from spool.errors import RecordError
from spool.jsonparts import ELEMENTS_MAX
from spool.lines import LINE_MAX
from spool.secrets import NO_SECRETS
from spool.streams import STREAMS
from tests.support.clients.captured import CAPTURES
from tests.support.otlpmessages import as_protobuf_has_it

UNKNOWN = b"\xfa\x3f\x01x"
"""Field 1023, one byte."""
GROUP = b"\xfb\x3f\x0a\x00\xfc\x3f"
"""The same field as a group, which holds what looks like a record."""
KINDS: dict[str, type[Message]] = {
    "logs": ExportLogsServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "traces": ExportTraceServiceRequest,
}
PROTOBUF = [
    path
    for client in ("py-otel-none", "js-otel-proto-none", "otelcol-proto-none")
    for path in sorted((CAPTURES / client).glob("*.body"))
]


def _large() -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    for n in range(3):
        resource = request.resource_logs.add(schema_url=f"resource {n}")
        resource.resource.attributes.add(key="n").value.int_value = n
        for m in range(3):
            scope = resource.scope_logs.add(schema_url=f"scope {m}")
            scope.scope.name = str(m)
            for at in range(200):
                record = scope.log_records.add(time_unix_nano=at, trace_id=bytes(16))
                record.body.string_value = f"{n} {m} {at}"
    return request


def test_a_body_of_many_pieces_gives_every_record_once_in_order_under_its_own() -> None:
    request = _large()
    data = request.SerializeToString()
    assert len(data) > 10 * PIECE
    found = orjson.loads(to_json("logs", data).body)
    assert (
        json_format.ParseDict(as_protobuf_has_it(found), ExportLogsServiceRequest())  # type: ignore[arg-type]
        == request
    )


def test_unknown_fields_are_counted_in_every_piece_and_around_them() -> None:
    request = _large()
    request.resource_logs[0].MergeFromString(UNKNOWN)
    request.resource_logs[1].scope_logs[2].MergeFromString(UNKNOWN * 2)
    request.resource_logs[2].scope_logs[0].log_records[150].MergeFromString(UNKNOWN)
    assert to_json("logs", request.SerializeToString() + GROUP + UNKNOWN).unknown == 6


def test_what_stands_between_records_parts_them_and_is_kept() -> None:
    one = b"\x12\x04\x2a\x02\x0a\x00"
    assert cut(one + UNKNOWN + one + one, 0, 22, 2, 100).runs == [(0, 2, 6), (10, None, 22)]
    assert cut(one + GROUP + one, 0, 18, 2, 100).rest == GROUP


def test_a_run_has_no_more_bytes_than_asked_and_a_larger_entry_stands_alone() -> None:
    entry, large = b"\x0a\x02ab", b"\x0a\x09abcdefghi"
    found = cut(entry * 5 + large + entry, 0, 35, 1, 8)
    assert found.runs == [(0, None, 8), (8, None, 16), (16, 18, 20), (20, 22, 31), (31, 33, 35)]


def _varint(number: int, longer: int) -> bytes:
    """``number`` in as many bytes more than it needs."""
    spelled = bytearray()
    while number >= 0x80:
        spelled.append(number & 0x7F | 0x80)
        number >>= 7
    spelled.append(number)
    for _ in range(longer):
        spelled[-1] |= 0x80
        spelled.append(0)
    return bytes(spelled)


@pytest.mark.parametrize("size", [0, 1, 127, 128, 129, 255, 256, 16_383, 16_384, 70_000])
@pytest.mark.parametrize("longer", [0, 1, 2])
def test_a_size_is_read_however_many_bytes_spell_it(size: int, longer: int) -> None:
    entry = b"\x0a" + _varint(size, longer) + bytes(size)
    found = cut(entry * 2 + UNKNOWN, 0, 2 * len(entry) + len(UNKNOWN), 1, len(entry))
    begin, end = len(entry) - size, len(entry)
    assert found.runs == [(0, begin, end), (end, begin + end, 2 * end)]
    assert found.rest == UNKNOWN
    for short in range(1, min(len(entry), 5)):
        with pytest.raises(DecodeError):
            cut(entry, 0, len(entry) - short, 1, len(entry))


@pytest.mark.parametrize(
    "data",
    [
        b"\x0a",
        b"\x0a\x05abc",
        b"\x0a\x80",
        b"\x0a\x80\x01",
        b"\x0a" + b"\xff" * 11,
        b"\x0f",
        b"\x14",
        b"\x13\x0a\x00",
    ],
)
def test_what_cannot_be_cut_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        cut(data, 0, len(data), 1, 100)


def _as_a_record(request: ExportLogsServiceRequest) -> None:
    scope = request.resource_logs.add().scope_logs.add()
    scope.log_records.add().body.string_value = "x" * LINE_MAX


def _as_a_resource(request: ExportLogsServiceRequest) -> None:
    request.resource_logs.add().resource.attributes.add(key="x" * LINE_MAX)


@pytest.mark.parametrize("add", [_as_a_record, _as_a_resource])
def test_what_no_line_can_hold_is_refused_before_it_is_parsed(
    add: Callable[[ExportLogsServiceRequest], None],
) -> None:
    request = ExportLogsServiceRequest()
    add(request)
    with pytest.raises(RecordError) as caught:
        to_json("logs", request.SerializeToString())
    assert caught.value.id == "record.too_large"


@pytest.mark.parametrize("records", [1, 400], ids=["whole", "cut"])
def test_a_tag_and_a_size_have_five_bytes_at_most_whether_a_body_is_cut_or_not(
    records: int,
) -> None:
    resource = ExportLogsServiceRequest().resource_logs.add()
    for _ in range(records):
        resource.scope_logs.add().log_records.add(severity_text="severe")
    content = resource.SerializeToString()
    assert (len(content) > PIECE) == (records > 1)
    size = len(_varint(len(content), 0))
    to_json("logs", _varint(0x0A, 4) + _varint(len(content), 5 - size) + content)
    for head in (
        _varint(0x0A, 5) + _varint(len(content), 0),
        _varint(0x0A, 0) + _varint(len(content), 6 - size),
    ):
        with pytest.raises(RecordError) as caught:
            to_json("logs", head + content)
        assert caught.value.id == "record.protobuf"


def test_broken_bytes_in_a_late_piece_are_refused() -> None:
    data = _large().SerializeToString()
    for broken in (data[:-1], data + b"\x0a\xff", data + b"\x0a\x02\x12\x09"):
        with pytest.raises(RecordError) as caught:
            to_json("logs", broken)
        assert caught.value.id == "record.protobuf"


@pytest.mark.parametrize("path", PROTOBUF, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_captured_body_is_converted_whole_and_taken(path: Path) -> None:
    signal = path.stem.split("-")[1]
    data = path.read_bytes()
    converted = to_json(signal, data)
    assert converted.unknown == 0
    value = as_protobuf_has_it(orjson.loads(converted.body))
    again = json_format.ParseDict(value, KINDS[signal]())  # type: ignore[arg-type]
    assert again == KINDS[signal].FromString(data)
    taken = STREAMS[signal].to_lines(converted.body, NO_SECRETS)
    assert taken.lines or taken.filtered


def test_protobuf_of_every_client_was_captured() -> None:
    assert {path.parent.name for path in PROTOBUF} == {
        "py-otel-none",
        "js-otel-proto-none",
        "otelcol-proto-none",
    }


def test_more_entries_than_a_list_may_have_are_refused_before_they_take_memory() -> None:
    with pytest.raises(RecordError) as refused:
        to_json("logs", b"\x0a\x00" * (ELEMENTS_MAX + 1))
    assert refused.value.id == "record.too_large"
