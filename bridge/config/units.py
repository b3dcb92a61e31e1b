"""Sizes, durations and addresses as people write them.

Each function takes a value as YAML gave it and returns ours, or raises :class:`ValueError`.
"""

import ipaddress
import re

SIZE_UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
DURATION_UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_NUMBER = re.compile(r"(0|[1-9][0-9]{0,14})([A-Za-z]+)\Z", re.ASCII)


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
    """Address and port of ``127.0.0.1:8480`` or ``[::1]:8480``."""
    host, separator, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    if not separator or not re.fullmatch(r"0|[1-9][0-9]{0,4}", port, re.ASCII):
        raise ValueError(value)
    if int(port) >= 2**16:
        raise ValueError(value)
    return str(ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))), int(port)


def is_loopback(host: str) -> bool:
    """Whether ``host`` is an address, not a name, of this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
