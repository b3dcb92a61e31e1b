"""OTLP's answers in protobuf: what an export request is answered, and errors."""

from collections.abc import Mapping
from types import MappingProxyType

from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

PROTOBUF = "application/x-protobuf"
_TYPES: Mapping[str, tuple[type, str]] = MappingProxyType(
    {
        "logs": (ExportLogsServiceResponse, "rejected_log_records"),
        "metrics": (ExportMetricsServiceResponse, "rejected_data_points"),
        "traces": (ExportTraceServiceResponse, "rejected_spans"),
    }
)


def export_answer(signal: str, rejected: int, message: str) -> bytes:
    """The answer to a request that was taken; with ``rejected`` records, or a word, partially."""
    kind, name = _TYPES[signal]
    answer = kind()
    if rejected or message:
        setattr(answer.partial_success, name, rejected)
        answer.partial_success.error_message = message
    made: bytes = answer.SerializeToString()
    return made


def status_answer(code: int, message: str) -> bytes:
    """A ``google.rpc.Status``: the body of an error."""
    made: bytes = Status(code=code, message=message).SerializeToString()
    return made
