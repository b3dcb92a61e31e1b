"""The judge is judged: lost, doubled and cut-off records are told apart, and no byte is changed."""

import gzip
import socket
import threading
from pathlib import Path

import pytest

from spool.writer import Writer
from tests.support.clients.marks import acknowledged, check_kept_once_per_acknowledgement
from tests.support.clients.relay import HOST, Answer, Exchange, relay_to
from tests.support.spools import KEY

MARK = "keep-abc-log-000001"
BODY = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityNumber":17,"body":"%b"}]}]}]}' % (
    MARK.encode()
)


def exchange(status: int | None) -> Exchange:
    answer = None if status is None else Answer(status, {}, b"")
    return Exchange("/v1/logs", {"content-encoding": "gzip"}, gzip.compress(BODY), answer)


def check(folder: Path, statuses: list[int | None], kept: int) -> None:
    with Writer(folder, "logs", node="n", signer=KEY) as writer:
        for _ in range(kept):
            writer.append([BODY])
    exchanges = [exchange(status) for status in statuses]
    check_kept_once_per_acknowledgement(folder, "n", exchanges, "abc")


@pytest.mark.parametrize(
    ("statuses", "kept"), [([200], 1), ([200, 204], 2), ([200, None], 1), ([200, None], 2)]
)
def test_right_books_pass(tmp_path: Path, statuses: list[int | None], kept: int) -> None:
    check(tmp_path, statuses, kept)


@pytest.mark.parametrize(
    ("statuses", "kept", "told"),
    [
        ([200], 0, "are not there"),
        ([200, 200], 1, "are not there"),
        ([200], 2, "too often"),
        ([503], 1, "too often"),
        ([None], 2, "too often"),
    ],
)
def test_wrong_books_fail(tmp_path: Path, statuses: list[int | None], kept: int, told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        check(tmp_path, statuses, kept)


@pytest.mark.enable_socket
@pytest.mark.parametrize(
    ("said", "whole"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", True),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", True),
        (b"HTTP/1.1 100 Continue\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{", False),
        (b"", False),
    ],
    ids=["whole", "continued", "asked-for-the-body", "cut", "none"],
)
def test_an_acknowledgement_is_an_answer_that_came_whole(*, said: bytes, whole: bool) -> None:
    request = b"POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY
    with (
        socket.create_server((HOST, 0)) as listening,
        relay_to(listening.getsockname()[1]) as relay,
    ):

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                got = b""
                while len(got) < len(request):
                    got += connection.recv(65536)
                assert got == request
                connection.sendall(said)

        thread = threading.Thread(target=serve)
        thread.start()
        with socket.create_connection((HOST, relay.port), timeout=10) as client:
            client.sendall(request)
            answer = b""
            while piece := client.recv(65536):
                answer += piece
        thread.join()
        assert answer == said
        assert acknowledged(relay.exchanges()) == ({MARK.encode(): 1} if whole else {})
