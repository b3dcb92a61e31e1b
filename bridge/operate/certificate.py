"""When the intake's certificate ends, for whoever warns of it."""

from pathlib import Path

from cryptography import x509

from bridge.config.namedfile import read_named
from spool.clock import MS

WARN_MS = 30 * 24 * 3600 * 1000
"""How long before the end of a certificate it is a problem: people need weeks for a new one."""
_FILE_MAX = 256 * 1024
"""Bytes; a chain has some 5 KiB."""


def ends_at(certificate: Path) -> int | None:
    """When the first certificate in the file ends, ms since 1970 UTC; None where none is read."""
    try:
        first = x509.load_pem_x509_certificates(read_named(certificate, _FILE_MAX))[0]
    except (OSError, ValueError):
        return None
    return int(first.not_valid_after_utc.timestamp()) * MS
