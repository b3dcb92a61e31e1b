"""OTLP in protobuf, as most producers send it."""

import orjson
from google.protobuf import json_format
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bridge.intake.otlpjson import PIECE, to_json
from spool.errors import RecordError
from tests.fuzz.harness import Harness
from tests.golden.good import good
from tests.support.otlpmessages import as_protobuf_has_it

KINDS: dict[str, type[Message]] = {
    "logs": ExportLogsServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "traces": ExportTraceServiceRequest,
}


def tried(data: bytes) -> bool:
    """As each of the signals; whole, and repeated until it is converted in pieces."""
    many = data * (2 * PIECE // len(data) + 1) if data else b""
    return True in [_tried(name, each) for name in KINDS for each in (data, many)]


def _tried(signal: str, data: bytes) -> bool:
    try:
        converted = to_json(signal, data)
    except RecordError:
        return False
    message = KINDS[signal].FromString(data)
    message.DiscardUnknownFields()
    told = as_protobuf_has_it(orjson.loads(converted.body))
    again = json_format.ParseDict(told, KINDS[signal]())  # type: ignore[arg-type]
    # JSON has one word for every NaN, so messages are compared by that word, too.
    assert _said(again) == _said(message)
    return True


def _said(message: Message) -> object:
    return json_format.MessageToDict(message, use_integers_for_enums=True)


def seeds() -> list[bytes]:
    """The golden lines in protobuf."""
    return [
        json_format.Parse(each.lines, KINDS[str(each.said["stream"])]()).SerializeToString()
        for each in good()
        if each.said["stream"] in KINDS
    ]


HARNESS = Harness(
    "otlpprotobuf",
    "All that protobuf's own parser reads from a body stands in our JSON of it, or it is refused.",
    tried,
    seeds,
    (
        b"\x0a\x00",
        b"\x0a\x02\x0a\x00",
        b"\x12\x00",
        b"\x10\x0d",
        b"\xff\xff\xff\xff\x0f",
        b"\x08\x01",
    ),
    rounds=120,
    size_max=1024,
)
