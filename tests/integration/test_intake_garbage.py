"""No request leaves a ring behind, which would wait for the collector with all that it holds."""

import gc
import gzip
import http.client
import socket
import time
from pathlib import Path

import pytest
import zstandard

from bridge.intake.bodies import BodyReader
from tests.support.intakes import intake_with

pytestmark = pytest.mark.enable_socket
LOG = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityNumber":17}]}]}]}'
LARGE = LOG + b" " * 300_000
SOME = 5


def post(body: bytes, coding: bytes = b"identity") -> bytes:
    return (
        b"POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Encoding: %b\r\nContent-Length: %d\r\n\r\n%b" % (coding, len(body), body)
    )


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (post(LARGE), 200),
        (post(gzip.compress(LOG), b"gzip"), 200),
        (post(gzip.compress(LARGE), b"gzip"), 200),
        (post(zstandard.compress(LOG), b"zstd"), 200),
        (post(zstandard.compress(LARGE), b"zstd"), 200),
        (post(b"{" * 1000), 400),
        (post(LOG, b"gzip"), 400),
        (post(LOG, b"zstd"), 400),
    ],
    ids=["large", "gzip", "gzip, large", "zstd", "zstd, large", "broken", "no gzip", "no zstd"],
)
@pytest.mark.parametrize("cut", [0, 3], ids=["whole", "in pieces"])
def test_nothing_of_a_request_waits_for_the_collector(
    tmp_path: Path, request_: bytes, answer: int, cut: int
) -> None:
    gc.collect()
    gc.disable()
    try:
        with (
            intake_with(tmp_path) as intake,
            socket.create_connection(("127.0.0.1", intake.port), timeout=20) as connection,
        ):
            for _ in range(SOME):
                connection.sendall(request_[: len(request_) - cut])
                if cut:
                    time.sleep(0.01)  # so that the rest comes alone
                    connection.sendall(request_[-cut:])
                with http.client.HTTPResponse(connection) as said:
                    said.begin()
                    said.read()
                assert said.status == answer
            # The last one may not have ended when its answer is there.
            assert sum(type(each) is BodyReader for each in gc.get_objects()) <= 1
    finally:
        gc.enable()
