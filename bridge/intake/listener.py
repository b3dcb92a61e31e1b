"""Lets in a bounded number of connections, counted from the moment that they are there.

:class:`Connection` counts those that can speak, and tells who comes then to come again. A client that
never says hello in TLS cannot be told anything, and holds a descriptor all the same: without a bound
here a thousand of them would leave none for the spool. Where others took the last descriptor, who comes
is cut off, too, by one that is kept for this: left waiting, it would have the event loop try two
thousand times, and tell of each.
"""

import errno
import os
import socket
import time
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from spool.outoffiles import NO_DESCRIPTOR

QUIET_S = 0.5
"""Seconds in which nobody is let in after the system had no room for a connection; the event loop stops
listening for one second then, but for its tries that are left."""
_NO_ROOM = NO_DESCRIPTOR | {errno.ENOBUFS, errno.ENOMEM}


class Listener(socket.socket):
    """Takes over the listening socket ``bound``; at most ``most()`` accepted sockets are open."""

    def __init__(self, bound: socket.socket, most: Callable[[], int]) -> None:
        super().__init__(bound.family, bound.type, bound.proto, fileno=bound.detach())
        self._most = most
        self._open = WeakSet[socket.socket]()
        self._spare = _spare()
        self._quiet_until = 0.0

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection; :class:`ConnectionAbortedError` where it is one too many.

        It is cut off then; an event loop takes the error as a client that has gone away. Raises
        :class:`OSError` where the system has no room for it.
        """
        connection, address = self._accepted()
        most = self._most()
        if len(self._open) >= most:
            # Closed ones may be remembered still.
            self._open = WeakSet(each for each in self._open if each.fileno() >= 0)
        if len(self._open) >= most:
            connection.close()
            raise ConnectionAbortedError
        self._open.add(connection)
        return connection, address

    def close(self) -> None:
        """Let nobody in any more."""
        super().close()
        self._give_up_spare()

    def _accepted(self) -> tuple[socket.socket, Any]:
        if time.monotonic() < self._quiet_until:
            raise BlockingIOError
        try:
            try:
                return super().accept()
            except OSError as error:
                if error.errno not in NO_DESCRIPTOR or self._spare is None:
                    raise
            self._give_up_spare()
            super().accept()[0].close()
        except OSError as error:
            if error.errno in _NO_ROOM:
                self._quiet_until = time.monotonic() + QUIET_S
            raise
        finally:
            if self._spare is None and self.fileno() >= 0:
                self._spare = _spare()
        raise ConnectionAbortedError

    def _give_up_spare(self) -> None:
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None


def _spare() -> int | None:
    try:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
