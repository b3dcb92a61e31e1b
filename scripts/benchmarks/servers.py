"""Programs of others that keep records durable, started here with durability switched on."""

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

STARTED_S = 10.0


def missing(*programs: str) -> list[str]:
    """Those of ``programs`` that this machine has not; says so on standard error."""
    gone = [name for name in programs if shutil.which(name) is None]
    for name in gone:
        sys.stderr.write(f"bench: {name} is not here, its rows are left out\n")
    return gone


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


@contextmanager
def running(command: Sequence[str], port: int, log: Path) -> Iterator[int]:
    """``command`` while it runs, once it listens on ``port``: its process id."""
    with log.open("wb") as said, subprocess.Popen(command, stdout=said, stderr=said) as process:  # noqa: S603
        try:
            _wait(process, port, log)
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(STARTED_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    end = time.monotonic() + STARTED_S
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"{process.args!r} does not listen: {log.read_text(errors='replace')}")


class Redis:
    """Lists in an append-only file that is synced before each answer (``appendfsync always``)."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._answers = self._socket.makefile("rb")

    @staticmethod
    def command(*parts: bytes) -> bytes:
        """One command on the wire."""
        said = [b"$%d\r\n%b\r\n" % (len(part), part) for part in parts]
        return b"*%d\r\n%b" % (len(parts), b"".join(said))

    def send(self, command: bytes) -> None:
        """Hand one command over; :meth:`answered` waits for it."""
        self._socket.sendall(command)

    def answered(self) -> None:
        """Return when the oldest command that waits is on disk."""
        answer = self._answers.readline()
        if not answer.startswith(b":"):
            raise RuntimeError(answer.decode())

    def close(self) -> None:
        """Hang up."""
        self._answers.close()
        self._socket.close()


@contextmanager
def redis(folder: Path) -> Iterator[Redis]:
    """A Redis of its own, and a connection to it."""
    port = free_port()
    folder.mkdir()
    options = {
        "port": str(port),
        "bind": "127.0.0.1",
        "dir": str(folder),
        "save": "",
        "appendonly": "yes",
        "appendfsync": "always",
        "auto-aof-rewrite-percentage": "0",
        "daemonize": "no",
    }
    command = ["redis-server"]
    for name, value in options.items():
        command += [f"--{name}", value]
    with running(command, port, folder / "log"):
        client = Redis(port)
        try:
            yield client
        finally:
            client.close()


_RSYSLOG = """
module(load="imptcp")
global(workDirectory="{folder}" maxMessageSize="8k")
input(type="imptcp" address="127.0.0.1" port="{port}" ruleset="kept")
ruleset(name="kept" queue.type="Disk" queue.filename="kept" queue.size="10000000"
        queue.maxDiskSpace="8g" queue.maxFileSize="64m" queue.syncQueueFiles="on"
        queue.checkpointInterval="1" queue.timeoutEnqueue="100000") {{
    action(type="omfwd" target="127.0.0.1" port="{nobody}" protocol="tcp"
           action.resumeRetryCount="-1" action.resumeInterval="3600")
}}
"""


class Rsyslog:
    """A disk queue whose files are synced. It answers nobody: what lies in its files is durable."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self._socket = socket.create_connection(("127.0.0.1", port))

    def append(self, records: Sequence[bytes]) -> None:
        """Return when the queue's files have grown by all of ``records``."""
        wanted = self._held() + sum(map(len, records))
        self._socket.sendall(b"".join(b"<13>%b\n" % record for record in records))
        while self._held() < wanted:
            time.sleep(0.001)

    def _held(self) -> int:
        return sum(path.stat().st_size for path in self._folder.glob("kept.0*"))

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


@contextmanager
def rsyslog(folder: Path) -> Iterator[Rsyslog]:
    """An rsyslog of its own that can forward nothing, and a connection to it."""
    port = free_port()
    folder.mkdir()
    settings = folder / "rsyslog.conf"
    settings.write_text(_RSYSLOG.format(folder=folder, port=port, nobody=free_port()))
    command = ["rsyslogd", "-n", "-f", str(settings), "-i", str(folder / "pid")]
    with running(command, port, folder / "log"):
        client = Rsyslog(folder, port)
        try:
            yield client
        finally:
            client.close()
