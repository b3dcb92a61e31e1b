"""The clients' processes: OpenTelemetry's SDKs and its Collector, told where the bridge is."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from tests.support.commands import ROOT, SECRET

JS = Path(__file__).parent / "js"
END_MAX_S = 60
"""Seconds a client may take to end: they retry for ten."""


def _settings(url: str, compression: str) -> dict[str, str]:
    """What an operator sets for any OpenTelemetry SDK."""
    own = {name: text for name, text in os.environ.items() if not name.startswith("OTEL_")}
    return own | {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"{url}/v1/beacon",
        "OTEL_EXPORTER_OTLP_COMPRESSION": compression,
        "OTEL_EXPORTER_OTLP_HEADERS": f"X-Langchain-License-Key={SECRET}",
        # Each measurement is sent once: its mark is counted as the marks of logs and spans are.
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta",
        "PYTHONPATH": str(ROOT),
    }


def start_python(
    url: str, encoding: str, compression: str, run: str, count: int = 0
) -> "subprocess.Popen[str]":
    """Python's SDK; ``encoding`` is json or proto. Without a ``count`` until its stdin ends."""
    program = [sys.executable, "-m", "tests.support.clients.python_sdk"]
    given = ["--encoding", encoding, "--run", run, "--count", str(count)]
    return _start([*program, *given], _settings(url, compression))


def start_javascript(
    url: str, encoding: str, compression: str, run: str, count: int = 0
) -> "subprocess.Popen[str]":
    """JavaScript's; ``encoding`` is http (which means JSON) or proto. The rest as for Python."""
    given = [encoding, run, str(count)]
    return _start(["node", str(JS / "client.mjs"), *given], _settings(url, compression))


def _start(command: list[str], settings: dict[str, str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        command, env=settings, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def end_of(process: "subprocess.Popen[str]") -> str:
    """End a client's stdin and wait until it has ended by itself; what it complained of."""
    try:
        _, said = process.communicate(timeout=END_MAX_S)
    finally:
        process.kill()
    assert process.returncode == 0, said
    return said


class Collector:
    """The OpenTelemetry Collector, reading a file of log lines: ``WARN text``, a line a record."""

    def __init__(self, folder: Path, url: str, encoding: str, compression: str) -> None:
        folder.mkdir()
        self.source = folder / "in.log"
        self.source.touch()
        self._log = folder / "collector.log"
        config = folder / "collector.yaml"
        config.write_text(
            _COLLECTOR.format(
                source=self.source, url=url, encoding=encoding, compression=compression, key=SECRET
            )
        )
        found = find_spec("otel_collector")
        assert found is not None
        assert found.origin is not None
        (program,) = Path(found.origin).parent.glob("bin/otelcol-*_linux_*")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [program, "--config", config], stdout=log, stderr=log, cwd=folder
            )

    @property
    def said(self) -> str:
        """Its log."""
        return self._log.read_text()

    def write(self, line: str) -> None:
        """Give it one more line to read."""
        with self.source.open("a") as source:
            source.write(line + "\n")

    def end(self) -> None:
        """Let it send what it has, and end."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(END_MAX_S)
        finally:
            self._process.kill()
            self._process.wait()


@contextmanager
def collector(folder: Path, url: str, encoding: str, compression: str) -> Iterator[Collector]:
    """A running Collector whose otlphttp exporter has this ``encoding`` and ``compression``."""
    running = Collector(folder, url, encoding, compression)
    try:
        yield running
    finally:
        running.end()


_COLLECTOR = """
receivers:
  filelog:
    include: [{source}]
    start_at: beginning
    poll_interval: 50ms
    operators:
      - type: regex_parser
        regex: '^(?P<level>[A-Z]+) (?P<text>.*)$'
        severity: {{parse_from: attributes.level}}
processors:
  batch: {{timeout: 100ms, send_batch_size: 50}}
exporters:
  otlphttp:
    endpoint: {url}/v1/beacon
    encoding: {encoding}
    compression: {compression}
    headers: {{X-Langchain-License-Key: {key}}}
    retry_on_failure: {{initial_interval: 200ms, max_interval: 500ms}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    logs: {{receivers: [filelog], processors: [batch], exporters: [otlphttp]}}
"""
