"""Sizes, durations and addresses as people write them.

Each function takes a value as YAML gave it and returns ours, or raises :class:`ValueError`.
"""

import ipaddress
import re

SIZE_UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
DURATION_UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_NUMBER = re.compile(r"(0|[1-9][0-9]{0,14})([A-Za-z]+)\Z", re.ASCII)
_HOST_PORT = re.compile(r"(?:([0-9.]+)|\[([0-9a-f:.]+)\]):(0|[1-9][0-9]{0,4})\Z", re.IGNORECASE)
PORT_END = 2**16
"""One more than the highest port."""


def _measured(value: object, units: dict[str, int]) -> int:
    match = _NUMBER.match(value) if isinstance(value, str) else None
    if match is None or match[2] not in units:
        raise ValueError(value)
    return int(match[1]) * units[match[2]]


def size(value: object) -> int:
    """Bytes of ``4MiB``."""
    return _measured(value, SIZE_UNITS)


def duration_ms(value: object) -> int:
    """Milliseconds of ``60s``."""
    return _measured(value, DURATION_UNITS_MS)


def host_port(value: object) -> tuple[str, int]:
    """Address and port of ``127.0.0.1:8480`` or ``[::1]:8480``; names are not looked up."""
    match = _HOST_PORT.match(value) if isinstance(value, str) else None
    if match is None or int(match[3]) >= PORT_END:
        raise ValueError(value)
    if match[1] is not None:
        return str(ipaddress.IPv4Address(match[1])), int(match[3])
    return str(ipaddress.IPv6Address(match[2])), int(match[3])


def address(value: object) -> str:
    """``192.0.2.1`` or ``2001:db8::1``; names are not looked up."""
    if not isinstance(value, str) or "%" in value:
        raise ValueError(value)
    return str(ipaddress.ip_address(value))


def is_loopback(host: str) -> bool:
    """Whether ``host`` is an address, not a name, of this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
