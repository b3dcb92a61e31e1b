"""What of a request has not left this machine although it was written: the kernel knows.

On a slow line the last megabytes of a request wait in the kernel. Closed in the usual way, a connection
would send them in the background all the same, after the attempt was given up.
"""

import fcntl
import socket
import struct
import sys

SIOCOUTQNSD = 0x894B
"""Linux, ``linux/sockios.h``: bytes in a socket's queue that were not sent yet."""
_AT_ONCE = struct.pack("ii", 1, 0)
"""``struct linger``: close at once and throw away what is queued."""


def give_up_unsent(sock: socket.socket) -> int:
    """How many bytes have not left; if any, they never will once the socket is closed."""
    try:
        found = fcntl.ioctl(sock.fileno(), SIOCOUTQNSD, bytes(4))
        count = int.from_bytes(found, sys.byteorder)
        if count:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    except OSError:  # it is closed, or no socket that can say
        return 0
    return count
