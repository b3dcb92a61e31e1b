"""What of a request was written and yet did not arrive: the kernel knows.

On a slow line the last megabytes of a request wait in the kernel. Closed in the usual way, a connection
would send them in the background all the same, after the attempt was given up. And who says that it
took a request of which its own kernel has not even confirmed the last bytes cannot have read them. What
is confirmed may still lie unread in the other kernel: of that nobody here can know.
"""

import fcntl
import select
import socket
import struct
import sys
import time

SIOCOUTQNSD = 0x894B
"""Linux, ``linux/sockios.h``: bytes in a socket's queue that were not sent yet."""
SIOCOUTQ = 0x5411
"""Linux, ``linux/sockios.h``: bytes in a socket's queue that the other side has not confirmed."""
STALLED_S = 5.0
"""Seconds in which nothing more is confirmed: who reads on is quicker."""
_LOOK_MS = 10
_AT_ONCE = struct.pack("ii", 1, 0)
"""``struct linger``: close at once and throw away what is queued."""


def give_up_unsent(sock: socket.socket) -> int:
    """How many bytes have not left; if any, they never will once the socket is closed."""
    try:
        count = _queued(sock, SIOCOUTQNSD)
        if count:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    except OSError:  # it is closed, or no socket that can say
        return 0
    return count


def is_confirmed(sock: socket.socket) -> bool:
    """Whether the other side's kernel has all that was written; True where nobody can say."""
    try:
        return _queued(sock, SIOCOUTQ) == 0
    except OSError:
        return True


def gets_confirmed(sock: socket.socket, end: float) -> bool:
    """Wait while more and more is confirmed, until ``end``, monotonic seconds; whether all was.

    A server that begins to say its success while it still reads gets the time for it.
    """
    poll = select.poll()
    poll.register(sock, 0)
    try:
        left, since = _queued(sock, SIOCOUTQ), time.monotonic()
        while left:
            if time.monotonic() > min(end, since + STALLED_S) or poll.poll(_LOOK_MS):
                return False  # late, or broken
            if (now := _queued(sock, SIOCOUTQ)) != left:
                left, since = now, time.monotonic()
    except OSError:
        return False
    return True


def _queued(sock: socket.socket, what: int) -> int:
    return int.from_bytes(fcntl.ioctl(sock.fileno(), what, bytes(4)), sys.byteorder)
