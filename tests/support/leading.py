"""A listener that carries each connection on to a port of this machine, as a name may lead there."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

HOST = "127.0.0.1"


@contextmanager
def leading_back(listener: socket.socket, port: int) -> Iterator[None]:
    """``listener`` leads to ``port`` until the end; it is closed then."""
    ends: list[socket.socket] = []
    threads = [threading.Thread(target=_accept, args=(listener, port, ends), daemon=True)]
    threads[0].start()
    try:
        yield
    finally:
        for each in (listener, *ends):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        threads[0].join(10)


def _accept(listener: socket.socket, port: int, ends: list[socket.socket]) -> None:
    while True:
        try:
            inward, _ = listener.accept()
        except OSError:
            return
        try:
            outward = socket.create_connection((HOST, port))
        except OSError:
            inward.close()
            continue
        ends += [inward, outward]
        for source, target in ((inward, outward), (outward, inward)):
            threading.Thread(target=_carry, args=(source, target), daemon=True).start()


def _carry(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
