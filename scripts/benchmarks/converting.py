"""OTLP in protobuf becomes JSON, against protobuf's own converter."""

import time
from pathlib import Path

import orjson
from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from rows import Row, at_least, interleaved

from bridge.intake.otlpjson import to_json

RECORDS = 2000
ATTRIBUTES = 4


def converting(folder: Path, rounds: int) -> list[Row]:
    """Log records a second; both sides parse the message and write JSON with orjson."""
    del folder  # nothing is written
    data = _request()

    def ours() -> float:
        begin = time.process_time()
        to_json("logs", data)
        return RECORDS / (time.process_time() - begin)

    def theirs() -> float:
        begin = time.process_time()
        message = ExportLogsServiceRequest.FromString(data)
        orjson.dumps(json_format.MessageToDict(message, use_integers_for_enums=True))
        return RECORDS / (time.process_time() - begin)

    found = interleaved(rounds * 4, ours, theirs)
    work, rival = "OTLP logs, protobuf to JSON", "`json_format.MessageToDict` and orjson"
    return [at_least(work, rival, found[0], found[1], "records/CPU second", bound=3)]


def _request() -> bytes:
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    for n in range(RECORDS):
        at = 1_795_424_400_000_000_000 + n
        record = scope.log_records.add(
            time_unix_nano=at,
            observed_time_unix_nano=at,
            severity_number=13,
            severity_text="WARN",
            trace_id=n.to_bytes(16, "big"),
            span_id=n.to_bytes(8, "big"),
        )
        record.body.string_value = f"slow query on runs_by_start_time: {n} ms"
        for number in range(ATTRIBUTES - 1):
            record.attributes.add(key=f"key.{number}").value.string_value = f"value of {number}"
        record.attributes.add(key="count").value.int_value = n
    return request.SerializeToString()
