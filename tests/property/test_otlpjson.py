"""Whatever an OTLP message holds, its JSON holds too, as OTLP's JSON encoding has it."""

import math

import orjson
import pytest
from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bridge.intake.messagecut import cut
from bridge.intake.otlpjson import PIECE, to_json
from spool.errors import RecordError
from tests.support.otlpmessages import as_protobuf_has_it, messages

KINDS: dict[str, type[Message]] = {
    "logs": ExportLogsServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "traces": ExportTraceServiceRequest,
}
SIGNALS = pytest.mark.parametrize("signal", list(KINDS))


def _same(one: Message, other: Message) -> bool:
    """Equal, where NaN is equal to NaN."""
    return one.SerializeToString(deterministic=True) == other.SerializeToString(deterministic=True)


@SIGNALS
@settings(max_examples=40, suppress_health_check=list(HealthCheck), deadline=None)
@given(data=st.data())
def test_protobufs_own_parser_gets_the_same_message_back(signal: str, data: st.DataObject) -> None:
    message = data.draw(messages(KINDS[signal]))
    converted = to_json(signal, message.SerializeToString())
    assert converted.unknown == 0
    value = as_protobuf_has_it(orjson.loads(converted.body))
    again = json_format.ParseDict(value, KINDS[signal]())  # type: ignore[arg-type]
    assert _same(again, message)


@SIGNALS
@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=200))
def test_any_bytes_are_refused_or_become_an_object(signal: str, data: bytes) -> None:
    try:
        converted = to_json(signal, data)
    except RecordError:
        return
    assert isinstance(orjson.loads(converted.body), dict)


@SIGNALS
@settings(max_examples=15, suppress_health_check=list(HealthCheck), deadline=None)
@given(data=st.data())
def test_what_is_converted_in_pieces_is_the_same_message(signal: str, data: st.DataObject) -> None:
    one = data.draw(messages(KINDS[signal])).SerializeToString()
    many = one * (2 * PIECE // len(one) + 1) if one else one  # protobuf joins what is repeated
    value = as_protobuf_has_it(orjson.loads(to_json(signal, many).body))
    again = json_format.ParseDict(value, KINDS[signal]())  # type: ignore[arg-type]
    assert _same(again, KINDS[signal].FromString(many))


@given(data=st.binary(max_size=200), most=st.integers(1, 50))
def test_any_bytes_are_cut_without_loss_or_refused(data: bytes, most: int) -> None:
    try:
        found = cut(data, 0, len(data), 1, most)
    except DecodeError:
        return
    in_runs = sum(end - begin for begin, _, end in found.runs)
    assert in_runs + len(found.rest) == len(data)
    assert all(begin < end for begin, _, end in found.runs)


def test_the_bytes_of_minus_zero_and_of_what_is_no_number_are_kept() -> None:
    request = ExportMetricsServiceRequest()
    points = request.resource_metrics.add().scope_metrics.add().metrics.add().summary.data_points
    for real in (-0.0, math.inf, -math.inf, math.nan):
        points.add().sum = real
    found = orjson.loads(to_json("metrics", request.SerializeToString()).body)
    said = found["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]["summary"]["dataPoints"]
    assert [each["sum"] for each in said] == [-0.0, "Infinity", "-Infinity", "NaN"]
    assert math.copysign(1, said[0]["sum"]) == -1
