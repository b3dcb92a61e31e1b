"""A server that takes everything, as fast as it can, and answers as the beacon does.

A process of its own: its processor time is nobody's.
"""

import base64
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

BODY_MAX = 16 * 1024 * 1024
HEADERS_MAX = 64 * 1024


def _answer(body: memoryview) -> bytes:
    return _document(b'{"inserted_count":%d}' % bytes(body).count(b'{"id":') if body else b"{}")


def _document(document: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        len(document),
        document,
    )


def _token() -> bytes:
    """The answer to a license request: a token for a day, whose signature nobody can verify."""
    now = int(time.time())
    parts = {"alg": "EdDSA", "kid": "bench"}, {"iat": now, "exp": now + 86_400}
    texts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts]
    texts.append(base64.urlsafe_b64encode(bytes(64)).rstrip(b"="))
    return _document(b'{"token":"%b"}' % b".".join(texts))


class _Received:
    """Bytes of bodies so far; a GET is answered with it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._size = 0

    def add(self, size: int) -> None:
        with self._lock:
            self._size += size

    def answer(self) -> bytes:
        return _document(b"%d" % self._size)


_received = _Received()


def _serve(connection: socket.socket) -> None:
    room = memoryview(bytearray(BODY_MAX + HEADERS_MAX))
    with connection:
        held = 0
        while True:
            while (end := bytes(room[: min(held, HEADERS_MAX)]).find(b"\r\n\r\n")) < 0:
                got = connection.recv_into(room[held:])
                if not got:
                    return
                held += got
            head = bytes(room[:end]).lower()
            if head.startswith(b"get "):
                connection.sendall(_received.answer())
                held = 0
                continue
            _, _, rest = head.partition(b"content-length:")
            whole = end + 4 + int(rest.partition(b"\r\n")[0])
            while held < whole:
                got = connection.recv_into(room[held:whole])
                if not got:
                    return
                held += got
            _received.add(whole - end - 4)
            path = head.partition(b"\r\n")[0]
            if b"/verify" in path:
                connection.sendall(_token())
            else:
                counted = b"ingest-traces" in path
                connection.sendall(_answer(room[end + 4 : whole] if counted else room[:0]))
            held = 0


@contextmanager
def sink() -> Iterator[str]:
    """A running sink's address."""
    command = [sys.executable, __file__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: S603
        assert process.stdin is not None  # noqa: S101 - it is a pipe
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()  # it ends with us, however we end


def main() -> None:
    """Serve until the input ends."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        sys.stdout.write(f"{server.getsockname()[1]}\n")
        sys.stdout.flush()

        def accept() -> None:
            while True:
                connection, _ = server.accept()
                threading.Thread(target=_serve, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        sys.stdin.read()


if __name__ == "__main__":
    main()
