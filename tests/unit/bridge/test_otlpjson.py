"""OTLP in protobuf becomes the JSON that OpenTelemetry's own exporters make of the same data."""

import logging
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.json.common._log_encoder import encode_logs as json_logs
from opentelemetry.exporter.otlp.json.common.metrics_encoder import encode_metrics as json_metrics
from opentelemetry.exporter.otlp.json.common.trace_encoder import encode_spans as json_spans
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, StatusCode
from opentelemetry.trace import Status as SpanStatus

from bridge.intake.otlpanswer import export_answer, status_answer
from bridge.intake.otlpjson import to_json
from spool.errors import RecordError
from spool.secrets import NO_SECRETS
from spool.streams import STREAMS

ATTRIBUTES: dict[str, Any] = {
    "s": 'ü\n"',
    "empty": "",
    "i": 2**60,
    "zero": 0,
    "f": 1.5,
    "b": False,
    "l": [1, 2],
}


def _spans() -> tuple[Any, Any]:
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = provider.get_tracer("scope", "1.0")
    with tracer.start_as_current_span("parent", attributes=ATTRIBUTES) as parent:
        parent.add_event("event", ATTRIBUTES)
        links = [Link(parent.get_span_context(), ATTRIBUTES)]
        with tracer.start_as_current_span("child", links=links) as child:
            child.set_status(SpanStatus(StatusCode.ERROR, "failed"))
    provider.shutdown()
    spans = kept.get_finished_spans()
    return encode_spans(spans), json_spans(spans)


def _metrics() -> tuple[Any, Any]:
    reader = InMemoryMetricReader()
    view = View(instrument_name="exponential", aggregation=ExponentialBucketHistogramAggregation())
    provider = MeterProvider([reader], views=[view])
    meter = provider.get_meter("scope", "1.0")
    meter.create_counter("whole", "1", "words").add(2**53 + 1, ATTRIBUTES)
    meter.create_counter("real").add(0.5)
    meter.create_up_down_counter("down").add(-3)
    meter.create_gauge("gauge").set(-0.25)
    for name in ("plain", "exponential"):
        histogram = meter.create_histogram(name)
        for value in (0, 1, 1000):
            histogram.record(value, {"k": "v"})
    found = reader.get_metrics_data()
    assert found is not None
    encoded = encode_metrics(found), json_metrics(found)
    provider.shutdown()
    return encoded


def _logs() -> tuple[Any, Any]:
    kept: Any = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
    provider = LoggerProvider()
    provider.add_log_record_processor(SimpleLogRecordProcessor(kept))
    logger = logging.getLogger("tests.otlpjson")
    logger.propagate = False
    handler = LoggingHandler(logger_provider=provider)
    logger.addHandler(handler)
    logger.warning("ü %s", "words", extra=ATTRIBUTES)
    logger.error("more")
    logger.removeHandler(handler)
    provider.shutdown()
    logs = kept.get_finished_logs()
    return encode_logs(logs), json_logs(logs)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the SDK's own, of its logging handler
@pytest.mark.parametrize(
    ("signal", "made"), [("logs", _logs), ("metrics", _metrics), ("traces", _spans)]
)
def test_the_json_is_what_the_sdks_json_exporter_makes(
    signal: str, made: Callable[[], tuple[Any, Any]]
) -> None:
    protobuf, json = made()
    converted = to_json(signal, protobuf.SerializeToString())
    assert orjson.loads(converted.body) == orjson.loads(json.to_json())
    assert converted.unknown == 0
    stream = STREAMS[signal]
    of_protobuf = stream.to_lines(converted.body, NO_SECRETS).lines
    of_json = stream.to_lines(json.to_json().encode(), NO_SECRETS).lines
    assert [orjson.loads(line) for line in of_protobuf] == [orjson.loads(each) for each in of_json]
    assert len(of_protobuf) == 1


def test_fields_that_nobody_here_knows_are_counted_wherever_they_stand() -> None:
    unknown = b"\xfa\x3f\x01x"  # field 1023, one byte
    request = ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add()
    record.body.string_value = "words"
    record.MergeFromString(unknown * 2)
    record.attributes.add().value.MergeFromString(unknown)
    converted = to_json("logs", request.SerializeToString() + unknown)
    assert converted.unknown == 4
    assert b"words" in converted.body


def test_a_bytes_value_is_base64_and_an_id_is_hex() -> None:
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add()
    span.trace_id, span.span_id = bytes(range(16)), bytes(range(8))
    span.attributes.add(key="k").value.bytes_value = b"\xff\x00"
    found = orjson.loads(to_json("traces", request.SerializeToString()).body)
    said = found["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    assert said["traceId"] == "000102030405060708090a0b0c0d0e0f"
    assert said["spanId"] == "0001020304050607"
    assert said["attributes"] == [{"key": "k", "value": {"bytesValue": "/wA="}}]


@pytest.mark.parametrize("data", [b"{}", b"\x0a\xff", b"\x0a\x05abc"])
def test_bytes_that_are_no_such_message_are_refused(data: bytes) -> None:
    with pytest.raises(RecordError) as caught:
        to_json("logs", data)
    assert caught.value.id == "record.protobuf"


def test_a_value_nested_beyond_every_limit_is_refused() -> None:
    request = ExportLogsServiceRequest()
    value = request.resource_logs.add().scope_logs.add().log_records.add().body
    for _ in range(40):
        value = value.array_value.values.add()
    value.string_value = "deep"
    assert b"deep" in to_json("logs", request.SerializeToString()).body
    for _ in range(40):
        value = value.array_value.values.add()
    with pytest.raises(RecordError):
        to_json("logs", request.SerializeToString())


def test_an_answer_says_what_was_rejected_in_the_words_of_its_signal() -> None:
    logs = ExportLogsServiceResponse.FromString(export_answer("logs", 2, "why"))
    assert (logs.partial_success.rejected_log_records, logs.partial_success.error_message) == (
        2,
        "why",
    )
    points = ExportMetricsServiceResponse.FromString(export_answer("metrics", 3, "why"))
    assert points.partial_success.rejected_data_points == 3
    spans = ExportTraceServiceResponse.FromString(export_answer("traces", 4, "why"))
    assert spans.partial_success.rejected_spans == 4
    assert export_answer("logs", 0, "") == b""


def test_an_error_is_a_status() -> None:
    status = Status.FromString(status_answer(3, "why"))
    assert (status.code, status.message) == (3, "why")
