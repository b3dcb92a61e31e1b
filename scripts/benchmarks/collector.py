"""Drain beside the OpenTelemetry Collector: its filelog receiver and otlphttp exporter."""

import json
import os
import subprocess
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

from draining import DRAINED, REQUEST, drain_to, forget
from records import STREAMS, records
from rows import Row, at_least, interleaved
from sink import sink
from spools import fill

from bridge.egress.client import BeaconClient

BATCH = 4096
"""Records in a request of the collector's: as many bytes as ours have."""
PATIENCE_S = 30.0
"""Until the first request."""
QUIET_S = 2.0
"""Without a request: it has sent all. What it spends idle counts as nothing."""
_TICK_S = 0.05

_OPENER = build_opener(ProxyHandler({}))


def collector(folder: Path, rounds: int) -> list[Row]:
    """MB of records for a second of processor time, each to the same sink."""
    spool = folder / "spool"
    size = fill(spool, DRAINED) / 1e6
    lines = _written(folder / "records.ndjson", int(size * 1e6))
    with sink() as url:
        client = BeaconClient(url, deadline_s=30.0)

        def ours() -> float:
            forget(spool)
            return size / drain_to(spool, client, REQUEST, time.process_time)

        def theirs(compression: str) -> Callable[[], float]:
            return lambda: lines / 1e6 / _collected(folder, url, lines, compression)

        found = interleaved(rounds, ours, theirs("none"), theirs("gzip"))
        client.close()
    work = "drain to a local sink, verified and entered in the books"
    peer = "OpenTelemetry Collector, filelog to otlphttp"
    return [
        at_least(work, f"{peer}, {how}", found[0], theirs_found, "MB/CPU second", bound=2)
        for how, theirs_found in (("nothing compressed", found[1]), ("as it comes: gzip", found[2]))
    ]


def _written(path: Path, size: int) -> int:
    """About ``size`` bytes of the same records as lines; how many it became."""
    raws = [b"".join(line + b"\n" for line in records(stream, 8000)) for stream in STREAMS]
    with path.open("wb") as file:
        while file.tell() < size:
            for raw in raws:
                file.write(raw)
        return file.tell()


def _collected(folder: Path, url: str, size: int, compression: str) -> float:
    """Seconds of processor time until the sink has all of the collector's records."""
    settings = folder / "collector.json"
    settings.write_text(json.dumps(_settings(folder, url, compression)))
    package = find_spec("otel_collector")
    assert package is not None  # noqa: S101 - scripts/setup --bench installs it
    assert package.origin is not None  # noqa: S101 - it is a folder with files
    binary = next((Path(package.origin).parent / "bin").glob("otelcol-contrib*"))
    begin = _received(url)
    with (folder / "collector.log").open("wb") as log:
        command = [str(binary), "--config", str(settings)]
        with subprocess.Popen(command, stdout=log, stderr=log) as process:  # noqa: S603
            try:
                _wait(url, process)
                if compression == "none" and _received(url) - begin < size:
                    raise RuntimeError(f"the collector did not send all: {folder}")
                return _spent(process.pid)
            finally:
                process.kill()


def _wait(url: str, process: "subprocess.Popen[bytes]") -> None:
    """Until the sink gets something, and then nothing more for a while."""
    before = last = _received(url)
    quiet = time.monotonic() + PATIENCE_S
    while time.monotonic() < quiet:
        if process.poll() is not None:
            raise RuntimeError("the collector ended")
        time.sleep(_TICK_S)
        now = _received(url)
        if now != last:
            last, quiet = now, time.monotonic() + QUIET_S
    if last == before:
        raise RuntimeError("the collector sent nothing")


def _received(url: str) -> int:
    with _OPENER.open(url) as answer:
        return int(answer.read())


def _spent(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _settings(folder: Path, url: str, compression: str) -> dict[str, object]:
    pipeline = {"receivers": ["filelog"], "processors": ["batch"], "exporters": ["otlphttp"]}
    return {
        "receivers": {
            "filelog": {
                "include": [str(folder / "records.ndjson")],
                "start_at": "beginning",
                "poll_interval": "50ms",
                "include_file_name": False,
            }
        },
        "processors": {
            "batch": {"timeout": "100ms", "send_batch_size": BATCH, "send_batch_max_size": BATCH}
        },
        "exporters": {"otlphttp": {"endpoint": url, "compression": compression}},
        "service": {
            "telemetry": {"metrics": {"level": "none"}},
            "pipelines": {"logs": pipeline},
        },
    }
