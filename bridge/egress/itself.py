"""Whether a server with which TLS failed is this bridge: the beacon's name leads back here.

Usual where the name was led to the bridge for the producers and the bridge follows it, too: it does
not trust the private CA that its own intake is trusted by.
"""

import re
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

FILE_MAX = 256 * 1024
"""Bytes of the certificate's file that are looked at; a chain has some 5 KiB."""
_FIRST = re.compile(
    r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+?-----END CERTIFICATE-----", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Itself:
    """How this bridge's intake is known from outside: its port, its certificate if it speaks TLS."""

    port: int
    certificate: Path | None

    def is_at(self, own: tuple[str, int], peer: tuple[str, int], timeout_s: float) -> bool:
        """Whether the intake is at ``peer``, to which a connection from ``own`` was made; never raises.

        It is if the address is this machine's and the port the intake's. Behind another address it
        is asked to show that it has the intake's own certificate, over one more connection, without
        a word of ours.
        """
        if own[0] == peer[0] and peer[1] == self.port:
            return True
        if self.certificate is None or timeout_s <= 0:
            return False
        with suppress(OSError, ValueError):  # then nobody knows
            context = _trusting_alone(self.certificate)
            # Half of it to connect, half for the handshake.
            with (
                socket.create_connection(peer, timeout_s / 2) as plain,
                context.wrap_socket(plain),
            ):
                return True
        return False


def _trusting_alone(path: Path) -> ssl.SSLContext:
    """Trusts the first certificate in a file, whatever its name, and nobody whom it was signed by."""
    with path.open("rb") as file:
        found = _FIRST.search(file.read(FILE_MAX).decode("ascii", "replace"))
    if found is None:
        raise ValueError(path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=ssl.PEM_cert_to_DER_cert(found[0]))
    return context
