"""Sends with OpenTelemetry's SDK for Python: `python -m tests.support.clients.python_sdk …`.

Everything that an operator would set comes from OTEL_… in the environment. With a ``--count`` it makes
so many records and ends; without one it goes on, and sends often, until its stdin ends.
"""

import argparse
import importlib
import logging
import sys
import threading
import time
from types import ModuleType
from typing import Any

from opentelemetry._logs import SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, SpanContext, TraceFlags

EVERY_MS = 150
"""How often batches are sent while records are made without an end."""
PAUSE_S = 0.02
"""Between records that are made without an end."""


def _exporters(encoding: str) -> tuple[Any, Any, Any]:
    def module(name: str) -> ModuleType:
        return importlib.import_module(f"opentelemetry.exporter.otlp.{encoding}.http.{name}")

    return (
        module("_log_exporter").OTLPLogExporter(),
        module("metric_exporter").OTLPMetricExporter(),
        module("trace_exporter").OTLPSpanExporter(),
    )


class Client:
    """One SDK, set up as its documentation shows."""

    def __init__(self, encoding: str, run: str, *, often: bool) -> None:
        logs, metrics, spans = _exporters(encoding)
        resource = Resource.create({"service.name": "langsmith_backend", "env": "ls_self_hosted"})
        delay = EVERY_MS if often else 60_000
        self._run = run
        self._logs = LoggerProvider(resource=resource)
        self._logs.add_log_record_processor(
            BatchLogRecordProcessor(logs, schedule_delay_millis=delay)
        )
        reader = PeriodicExportingMetricReader(metrics, export_interval_millis=delay)
        self._metrics = MeterProvider(metric_readers=[reader], resource=resource)
        self._traces = TracerProvider(resource=resource)
        self._traces.add_span_processor(BatchSpanProcessor(spans, schedule_delay_millis=delay))
        meter = self._metrics.get_meter("ls")
        self._counter = meter.create_counter("langsmith.runs", unit="1", description="runs")
        self._histogram = meter.create_histogram("langsmith.seconds")
        self._logger = self._logs.get_logger("ls")
        self._tracer = self._traces.get_tracer("ls", "1.0")

    def make(self, number: int) -> None:
        """One record of each kind, each with a mark of its own, and one that must not be kept."""
        for severity, text, kept in (
            (SeverityNumber.WARN, "WARNING", "keep"),
            (SeverityNumber.INFO, "INFO", "info"),
        ):
            self._logger.emit(
                timestamp=time.time_ns(),
                severity_number=severity,
                severity_text=text,
                body={"text": "Database connection ünïcode 漢字", "bytes": b"\x00\xff", "n": None},
                attributes={"mark": f"{kept}-{self._run}-log-{number:06}", "pool": 95, "x": 0.5},
            )
        self._counter.add(2**40 + number, {"mark": f"keep-{self._run}-sum-{number:06}"})
        self._histogram.record(0.5, {"mark": f"keep-{self._run}-hist-{number:06}"})
        other = SpanContext(1 << 100, 1 << 60, is_remote=True, trace_flags=TraceFlags(1))
        with self._tracer.start_as_current_span(
            "run", attributes={"mark": f"keep-{self._run}-span-{number:06}"}, links=[Link(other)]
        ) as span:
            span.add_event("token", {"n": number})

    def end(self) -> None:
        """Send what is left."""
        self._logs.shutdown()
        self._metrics.shutdown()
        self._traces.shutdown()


def main() -> None:
    """Make records, send them, end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--encoding", choices=["json", "proto"], required=True)
    parser.add_argument("--run", required=True, help="the part of every mark that is this run's")
    parser.add_argument("--count", type=int, default=0)
    given = parser.parse_args()
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    endless = given.count == 0
    client = Client(given.encoding, given.run, often=endless)
    for number in range(given.count):
        client.make(number)
    if endless:
        ended = threading.Event()

        def wait_for_end() -> None:
            sys.stdin.read()
            ended.set()

        threading.Thread(target=wait_for_end, daemon=True).start()
        number = 0
        while not ended.wait(PAUSE_S):
            client.make(number)
            number += 1
    client.end()


if __name__ == "__main__":
    main()
