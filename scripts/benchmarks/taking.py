"""The intake: durable requests a second, how long one waits, what memory many leave."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
from load import CONNECTIONS, keep_busy, post
from records import records
from rows import Row, at_least, at_most, below, beside, interleaved, told

RECORDS = 10
"""Log records in a request."""
COUNT = 4000
"""Requests of a round."""
DURABLE_MIN = 0.55
P99_MAX_MS = 50
FEW = 10
MANY = 20_000
FULL = 1_000_000
WITHIN = 1.1
_SERVER = Path(__file__).with_name("intake.py")


def taking(folder: Path, rounds: int) -> list[Row]:
    """Ours beside the same server that only reads; then half of that load; then memory."""
    request = post("/v1/logs", some_logs())
    with (
        server("ours", str(folder / "a")) as (port, _),
        server("reading") as (bare, _),
        server("short") as (short, _),
    ):
        for each in (port, bare, short):
            keep_busy(each, request, COUNT)
        found = interleaved(
            rounds,
            lambda: keep_busy(port, request, COUNT)[0],
            lambda: keep_busy(bare, request, COUNT)[0],
            lambda: keep_busy(short, request, COUNT)[0],
        )
        half = sorted(found[0])[rounds // 2] / 2
        _, waits = keep_busy(port, request, COUNT, half)
    work = f"durable requests of {RECORDS} logs, {CONNECTIONS} connections"
    rival = "the same server that reads them and answers"
    return [
        at_least(work, rival, found[0], found[1], "requests/s", bound=DURABLE_MIN),
        beside(work, f"{rival} in our own short way", found[0], found[2], "requests/s"),
        below("p99 of an answer at half of that load", p99_ms(waits), P99_MAX_MS, "ms"),
        *_growth(folder / "b", request, MANY),
    ]


def many(folder: Path, _: int) -> list[Row]:
    """What very many requests leave in memory."""
    return _growth(folder, post("/v1/logs", some_logs()), FULL)


def _growth(folder: Path, request: bytes, many: int) -> list[Row]:
    with server("ours", str(folder)) as (port, process):
        # Each connection once at least: what they take is not what requests leave behind.
        keep_busy(port, request, max(FEW, CONNECTIONS))
        few = _resident_mib(process)
        keep_busy(port, request, many)
        after = _resident_mib(process)
    work, before = f"memory after {many:,} requests", f"after {FEW}"
    return [
        at_most(work, before, [after[0]], [few[0]], "MiB", bound=WITHIN),
        told(f"{work}, its own alone", before, after[1], few[1], "MiB"),
    ]


def some_logs() -> bytes:
    """Ten log records in one resource and scope, as an exporter batches them."""
    found = [orjson.loads(line)["resourceLogs"][0] for line in records("logs", RECORDS)]
    logs = [each["scopeLogs"][0]["logRecords"][0] for each in found]
    scope = {"scope": found[0]["scopeLogs"][0]["scope"], "logRecords": logs}
    return orjson.dumps(
        {"resourceLogs": [{"resource": found[0]["resource"], "scopeLogs": [scope]}]}
    )


def p99_ms(waits: list[float]) -> float:
    """The 99th percentile of sorted waits, in ms."""
    return waits[len(waits) * 99 // 100] * 1000


def _resident_mib(process: "subprocess.Popen[bytes]") -> tuple[float, float]:
    """What is resident of a process, and of that its own: of files the kernel maps what it likes."""
    said = Path(f"/proc/{process.pid}/status").read_text()
    found = dict(re.findall(r"(VmRSS|RssAnon):\s*(\d+) kB", said))
    return int(found["VmRSS"]) / 1024, int(found["RssAnon"]) / 1024


@contextmanager
def server(*arguments: str) -> Iterator[tuple[int, "subprocess.Popen[bytes]"]]:
    """A running server's port and its process."""
    command = [sys.executable, str(_SERVER), *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: S603
        assert process.stdin is not None  # noqa: S101 - it is a pipe
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        try:
            yield int(process.stdout.readline()), process
        finally:
            process.stdin.close()
