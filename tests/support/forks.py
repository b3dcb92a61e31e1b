"""Commands and daemons as forks of one process that has imported them: see ``forkserver.py``."""

import atexit
import functools
import marshal
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO

from bridge.demo.processes import Running, Service
from tests.support.forkserver import READY, SIZE_BYTES, STREAMS

_CLIENT = f"""
import _socket, marshal, os, sys
path, *arguments = sys.argv[1:]
told = marshal.dumps((arguments, os.getcwd(), dict(os.environ)))
served = _socket.socket(_socket.AF_UNIX)
served.connect(path)
streams = b"".join(fd.to_bytes(4, sys.byteorder) for fd in range({STREAMS}))
size = len(told).to_bytes({SIZE_BYTES}, "big")
served.sendmsg([size], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, streams)])
while told:
    told = told[served.send(told):]
said = b""
while piece := served.recv(64):
    said += piece
code = int(said.split()[1])
if code < 0:
    os.kill(os.getpid(), -code)
os._exit(code)
"""
"""A program for ``python -I -S -c``: it asks for a command, and ends as that ends."""


@functools.cache
def _server() -> Path:
    """The socket of the server of this process, which is started when it is first wanted."""
    # A socket's path is to be short, whatever TMPDIR is just now.
    folder = Path(tempfile.mkdtemp(prefix="forkserver-", dir="/tmp"))
    path = folder / "socket"
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.support.forkserver", str(path)],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    atexit.register(_end, server, folder)
    assert server.stdout is not None
    assert server.stdout.readline() == READY
    return path


def _end(server: "subprocess.Popen[bytes]", folder: Path) -> None:
    server.communicate()
    shutil.rmtree(folder)


def _wants_a_start() -> bool:
    """Whether something is to be loaded into the process before Python is: a fork has that no more."""
    return "LD_PRELOAD" in os.environ


def forked_command() -> tuple[str, ...]:
    """What to run, followed by a command's arguments, in the place of ``python -m bridge.cli.main``.

    Its process is not the command's: no signal reaches that.
    """
    if _wants_a_start():
        return (sys.executable, "-m", "bridge.cli.main")
    return (sys.executable, "-I", "-S", "-c", _CLIENT, str(_server()))


class ForkedProcess:
    """A command that runs, with the handles of a ``subprocess.Popen``."""

    def __init__(self, arguments: list[str], out: int) -> None:
        self._served = socket.socket(socket.AF_UNIX)
        self._served.connect(str(_server()))
        told = marshal.dumps((arguments, str(Path.cwd()), dict(os.environ)))
        with Path(os.devnull).open("rb") as nothing:
            streams = [nothing.fileno(), out, out]
            socket.send_fds(self._served, [len(told).to_bytes(SIZE_BYTES, "big")], streams)
        self._served.sendall(told)
        self._said, (self._alive,), _, _ = socket.recv_fds(self._served, 64, 1)
        self.pid = int(self._said.split()[0])

    def _hear(self) -> bool:
        """Whether there is more to come."""
        piece = self._served.recv(64)
        self._said += piece
        return bool(piece)

    def poll(self) -> int | None:
        """How it ended; None if it has not yet."""
        with suppress(BlockingIOError):
            return self._heard_all(0)
        return None

    def wait(self) -> int:
        """How it ended, when it has."""
        return self._heard_all(None)

    def _heard_all(self, timeout: float | None) -> int:
        if self._alive >= 0:
            self._served.settimeout(timeout)
            while self._hear():
                pass
            self.forget()
        return int(self._said.split()[1])

    def forget(self) -> None:
        """Close what ties it to this process, which also its end does: it is killed."""
        self._served.close()
        os.close(self._alive)
        self._alive = -1

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it still lives."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._alive, number)


class ForkedService(Service):
    """A daemon that is a fork."""

    def _begin(self, log: IO[bytes]) -> Running:
        if _wants_a_start():
            return super()._begin(log)
        return ForkedProcess([*self._arguments], log.fileno())
