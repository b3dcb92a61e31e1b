"""One producer: sends records to the intake until it is told to end, and notes what was acknowledged.

``producer.py PORT STREAM NOTES NAME``. A line of NOTES is written before a request is first made
(``try``), and one when it was answered with success (``ack``), with the first and last number in it.
What was not answered so is sent again, with the same numbers, as exporters do.
"""

import http.client
import os
import random
import sys
import time
from pathlib import Path

EACH = 20
"""Records in a request."""
PAUSE_S = 0.02
"""Seconds after an answer."""
PATHS = {
    "transactions": "/v1/beacon/ingest-traces",
    "logs": "/v1/logs",
    "traces": "/v1/traces",
    "langgraph": "/v1/beacon/metadata/submit",
}
HEADERS = {"Content-Type": "application/json"}
LICENSE = "lcl_EXAMPLE_NOT_A_KEY"


def body(stream: str, name: str, numbers: range) -> bytes:
    """A request with the records of these numbers, each known by ``NAME-NUMBER``."""
    if stream == "transactions":
        rows = ",".join(f'{{"id":"{name}-{n}","trace_count":1}}' for n in numbers)
        return f'{{"license":"{LICENSE}","trace_transactions":[{rows}]}}'.encode()
    if stream == "langgraph":
        rows = ",".join(f'"{name}-{n}":1' for n in numbers)
        hour = "2026-11-23T09:00:00Z"
        said = f'"from_timestamp":"{hour}","to_timestamp":"{hour}","tags":{{}}'
        return f'{{"license_key":"{LICENSE}",{said},"measures":{{{rows}}},"logs":[]}}'.encode()
    # Nothing that compresses well, and the same when it is sent again.
    filler = random.Random(f"{name}-{numbers[0]}")  # noqa: S311 - filler
    if stream == "logs":
        texts = (f"{name}-{n} {filler.randbytes(200).hex()}" for n in numbers)
        rows = ",".join(
            f'{{"severityNumber":17,"body":{{"stringValue":"{text}"}}}}' for text in texts
        )
        return f'{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{rows}]}}]}}]}}'.encode()
    rows = ",".join(f'{{"name":"{name}-{n} {filler.randbytes(200).hex()}"}}' for n in numbers)
    return f'{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{rows}]}}]}}]}}'.encode()


def main() -> None:
    """Send until SIGTERM; whoever starts it anew gives it another name."""
    port, stream, notes, name = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), sys.argv[4]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    first, tried = 0, -1
    with notes.open("ab", buffering=0) as file:
        while True:
            numbers = range(first, first + EACH)
            if tried != first:
                tried = first
                file.write(f"try {name} {numbers[0]} {numbers[-1]}\n".encode())
            try:
                connection.request("POST", PATHS[stream], body(stream, name, numbers), HEADERS)
                status = connection.getresponse()
                status.read()
                taken = status.status in (200, 204)
            except (OSError, http.client.HTTPException):
                connection.close()
                taken = False
            if taken:
                file.write(f"ack {name} {numbers[0]} {numbers[-1]}\n".encode())
                first += EACH
            time.sleep(PAUSE_S if taken else 0.2)


if __name__ == "__main__":
    os.environ.pop("PYTHONPATH", None)
    main()
