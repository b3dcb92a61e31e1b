"""Tells the service manager how the process does: systemd's ``sd_notify``, a datagram at a time.

Only Unix sockets are used, so it is allowed offline. Where no service manager asks, nothing is sent.
"""

import errno
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass

_US_PER_S = 1_000_000
STATUS_MAX = 200
"""Characters of a status line; ``systemctl status`` shows one line."""


@dataclass(frozen=True, slots=True)
class ServiceManager:
    """Who started the process and wants to hear of it.

    ``address`` is the Unix socket to tell (``@`` begins an abstract one), None where nobody listens.
    ``watchdog_s`` is after how many seconds of silence the process is taken for dead, None: never.
    """

    address: str | None
    watchdog_s: float | None = None

    @classmethod
    def of(cls, environment: Mapping[str, str], pid: int) -> "ServiceManager":
        """What ``environment`` says to the process ``pid``; a watchdog for another one is not ours."""
        address = environment.get("NOTIFY_SOCKET") or None
        wanted = environment.get("WATCHDOG_USEC", "")
        for_us = environment.get("WATCHDOG_PID", str(pid)) == str(pid)
        if not (for_us and wanted.isascii() and wanted.isdigit() and int(wanted)):
            return cls(address)
        return cls(address, int(wanted) / _US_PER_S)

    def ready(self) -> None:
        """The process serves. Raises :class:`OSError`, as every method here does."""
        self._tell("READY=1")

    def status(self, text: str) -> None:
        """One line on how things stand."""
        self._tell("STATUS=" + " ".join(text.split())[:STATUS_MAX])

    def alive(self) -> None:
        """The watchdog may rest until its time has passed once more."""
        self._tell("WATCHDOG=1")

    def stopping(self) -> None:
        """The process ends, on purpose."""
        self._tell("STOPPING=1")

    def _tell(self, line: str) -> None:
        if self.address is None:
            return
        if self.address[0] not in "/@":
            raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
        name = "\0" + self.address[1:] if self.address[0] == "@" else self.address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            out.setblocking(False)  # noqa: FBT003 - a manager that does not read holds up nothing
            out.sendto(line.encode(), name)
