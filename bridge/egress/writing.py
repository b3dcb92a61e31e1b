"""Writing as much as a connection takes at once, and waiting until it takes more.

The library waits within each write, for each part of it anew; here whoever writes knows when it waits,
and what does not have to wait costs one call of the system.
"""

import select
import socket
import ssl

from spool.clock import MS


def send_now(sock: socket.socket, data: memoryview) -> tuple[int, int]:
    """How many bytes were taken, and what to wait for if it were none; see :func:`wait_for`.

    Raises :class:`OSError`.
    """
    if sock.gettimeout() != 0:
        sock.settimeout(0)
    try:
        return sock.send(data), 0
    except (BlockingIOError, ssl.SSLWantWriteError):
        return 0, select.POLLOUT
    except ssl.SSLWantReadError:
        return 0, select.POLLIN


def wait_for(sock: socket.socket, wanted: int, seconds: float) -> None:
    """Return when ``sock`` is as ``wanted``, or broken, or after so many ``seconds``."""
    poll = select.poll()
    poll.register(sock, wanted)
    poll.poll(seconds * MS)
