"""Lets in a bounded number of connections, counted from the moment that they are there.

:class:`Connection` counts those that can speak, and tells who comes then to come again. A client that
never says hello in TLS cannot be told anything, and holds a descriptor all the same: without a bound
here a thousand of them would leave none for the spool.
"""

import socket
from collections.abc import Callable
from typing import Any
from weakref import WeakSet


class Listener(socket.socket):
    """Takes over the listening socket ``bound``; at most ``most()`` accepted sockets are open."""

    def __init__(self, bound: socket.socket, most: Callable[[], int]) -> None:
        super().__init__(bound.family, bound.type, bound.proto, fileno=bound.detach())
        self._most = most
        self._open = WeakSet[socket.socket]()

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection; :class:`ConnectionAbortedError` where it is one too many.

        It is cut off then; an event loop takes the error as a client that has gone away.
        """
        connection, address = super().accept()
        most = self._most()
        if len(self._open) >= most:
            # Closed ones may be remembered still.
            self._open = WeakSet(each for each in self._open if each.fileno() >= 0)
        if len(self._open) >= most:
            connection.close()
            raise ConnectionAbortedError
        self._open.add(connection)
        return connection, address
