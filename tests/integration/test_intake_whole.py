"""What came whole is answered the short way: the same words, in one piece, and nothing is kept."""

import gc
import re
import socket
import time
from pathlib import Path

import pytest
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from tests.support.intakes import LICENSE, intake_with

pytestmark = pytest.mark.enable_socket
LOG = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityNumber":17}]}]}]}'
USAGE = b'"from_timestamp":1,"to_timestamp":2,"measures":{}'
KEY = b'"license":"%b"' % LICENSE.encode()
SOME = 20


def post(path: str, body: bytes, kind: str = "application/json", more: bytes = b"") -> bytes:
    return b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Type: %b\r\nContent-Length: %d\r\n%b\r\n%b" % (
        path.encode(),
        kind.encode(),
        len(body),
        more,
        body,
    )


def answer(connection: socket.socket, *pieces: bytes) -> bytes:
    """What is answered to a request that comes in ``pieces``; the moment left out."""
    for piece in pieces:
        connection.sendall(piece)
        if piece is not pieces[-1]:
            time.sleep(0.05)  # so that it is looked at alone
    said = b""
    while True:
        said += connection.recv(65536)
        head, end, body = said.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        if end and len(body) == (int(length[1]) if length else 0):
            return re.sub(rb"date: [^\r]*\r\n", b"", said)


@pytest.mark.parametrize(
    "request_",
    [
        post("/v1/logs", LOG),
        post("/v1/logs", b"", "application/x-protobuf"),
        post("/v1/logs", LOG, more=b"Connection: close\r\n"),
        post("/v1/beacon/ingest-traces", b'{%b,"trace_transactions":[{"id":"a"}]}' % KEY),
        post("/v1/beacon/metadata/submit", b"{%b,%b}" % (KEY, USAGE)),
        post("/v1/beacon/usage-snapshot", b"{%b,%b}" % (KEY, USAGE)),
        post("/v1/logs", b"{"),
        post("/v1/logs", LOG, "text/plain"),
    ],
    ids=["json", "protobuf", "last", "transactions", "report", "snapshot", "broken", "refused"],
)
def test_what_came_whole_is_answered_word_for_word_as_what_came_in_pieces(
    tmp_path: Path, request_: bytes
) -> None:
    with intake_with(tmp_path) as intake:
        at = ("127.0.0.1", intake.port)
        with socket.create_connection(at, timeout=20) as connection:
            whole = answer(connection, request_)
        with socket.create_connection(at, timeout=20) as connection:
            begun = request_.index(b"\r\n\r\n") + 4
            pieces = answer(connection, request_[:begun], request_[begun:])
        assert whole == pieces


def test_an_answer_comes_in_one_piece_and_nothing_of_its_request_waits_for_the_collector(
    tmp_path: Path,
) -> None:
    gc.collect()
    gc.disable()
    try:
        with intake_with(tmp_path) as intake:
            at = ("127.0.0.1", intake.port)
            with socket.create_connection(at, timeout=20) as connection:
                for _ in range(SOME):
                    connection.sendall(post("/v1/logs", LOG))
                    assert connection.recv(65536).endswith(b"\r\n\r\n{}")
                left = sum(type(each) is RequestResponseCycle for each in gc.get_objects())
                assert left < SOME // 2
            assert len(intake.stored("logs")) == SOME
    finally:
        gc.enable()
