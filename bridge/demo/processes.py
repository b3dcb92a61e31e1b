"""The demo's processes: real ones, that can really be killed.

Each runs the installed command line in a process of its own, its words in a log file of its own.
"""

import errno
import http.client
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Protocol

from keys.errors import BridgeError

READY_S = 60.0
"""Seconds that a process may take to listen."""
_PORTS = range(20_000, 32_768)
"""Below those that Linux gives to whoever wants any, so that no connection takes one meanwhile."""


def free_port(*taken: int) -> int:
    """A port of the loopback address that nobody listens on, and none of those that are ``taken``.

    :class:`OSError` where there is none.
    """
    # From the system's own generator: processes that share a seed would all choose the same one.
    for port in random.SystemRandom().sample(_PORTS, 100):
        if port not in taken:
            with suppress(OSError), socket.create_server(("127.0.0.1", port)):
                return port
    raise OSError(errno.EADDRINUSE, "no port of a hundred is free")


def run_bridge(*arguments: str, codes: Sequence[int] = (0,)) -> str:
    """Run a command to its end; what it said.

    Raises :class:`BridgeError` if it ended with another exit code than ``codes``.
    """
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "bridge.cli.main", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=_environment(),
    )
    if done.returncode not in codes:
        said = (done.stderr or done.stdout).strip()
        raise BridgeError(
            "demo.command",
            f"bridge {' '.join(arguments)} ended with {done.returncode}: {said}",
            "Look at what it says; the demo cannot go on without it.",
        )
    return done.stdout


class Running(Protocol):
    """A process, however it was begun."""

    def poll(self) -> int | None:
        """How it ended; None if it has not yet."""
        ...

    def wait(self) -> int:
        """How it ended, when it has."""
        ...

    def send_signal(self, number: int, /) -> None:
        """Send it a signal, if it still lives."""
        ...


class Service:
    """A process that listens on a port: started, killed and started anew, as often as one likes."""

    def __init__(self, port: int, log: Path, arguments: Sequence[str]) -> None:
        self.port = port
        self._log = log
        self._arguments = arguments
        self._process: Running | None = None

    def start(self) -> None:
        """Start it, and wait until it listens."""
        with self._log.open("ab") as log:
            self._process = self._begin(log)
        end = time.monotonic() + READY_S
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > end:
                raise BridgeError(
                    "demo.start",
                    f"bridge {self._arguments[-1]} did not begin to listen.",
                    f"Look at {self._log}.",
                )
            time.sleep(0.05)

    def _begin(self, log: IO[bytes]) -> Running:
        return subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "bridge.cli.main", *self._arguments],
            stdout=log,
            stderr=log,
            env=_environment(),
        )

    def kill(self) -> None:
        """End it by SIGKILL: nothing of it gets to run any more."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ask it to end, and wait."""
        self._end(signal.SIGTERM)

    def post(self, path: str, body: bytes, *, method: str = "POST", timeout: float = 10.0) -> int:
        """Send a JSON body; the status of the answer. Raises :class:`OSError` where none comes."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from error
        finally:
            connection.close()
        return answer.status

    def get(self, path: str) -> bytes:
        """The body that it answers. Raises :class:`OSError` where none comes."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            return connection.getresponse().read()
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from error
        finally:
            connection.close()

    def _end(self, number: int) -> None:
        if self._process is not None:
            if self._process.poll() is None:
                self._process.send_signal(number)
            self._process.wait()
            self._process = None

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True


def _environment() -> dict[str, str]:
    """Ours, without what would configure another bridge."""
    return {name: text for name, text in os.environ.items() if not name.startswith("BRIDGE_")}
