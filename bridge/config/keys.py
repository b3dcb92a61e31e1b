"""The table of configuration keys: what each may be, what it is by default, an example.

One row a key; the file, the environment and the flags are all judged by it.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from types import MappingProxyType

from bridge.config.units import PORT_END, address, duration_ms, host_port, is_loopback, size
from keys.errors import ConfigError
from spool.frames import FRAME_RAW_MAX, MIB
from spool.lane import check_node

_ORIGIN = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:(?P<port>[0-9]{1,5}))?/?"
)
"""Nothing but scheme, host and port: an empty ``?`` would swallow the path that follows."""
_PROXY = re.compile(
    r"https?://([^/?#@\[\]\s]*@)?(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:(?P<port>[0-9]{1,5}))?/?"
)
"""A password with one of the marks that part a URL would be taken for a host, and be looked up."""
REQUEST_MIN = 64 * 1024
"""Bytes: a smaller request would send every frame in pieces."""
RATE_MIN = 1024
"""Bytes a second: at less a single request would be followed by minutes of silence."""
RATE_MAX = 2**40
"""Bytes a second: more than any line carries."""
SEAL_SIZE_MAX = 256 * MIB
"""Bytes of records in a segment: what one damaged file may put at risk."""


@dataclass(frozen=True, slots=True)
class Key:
    """One row.

    ``default`` is written as in the file, None where there is none. ``parse`` gives our value of
    what is written; it raises :class:`ValueError` or :class:`TypeError` for what is not allowed. What
    people write by mistake where ``secret`` is True may be a password or a license key: it is not
    shown.
    """

    default: object
    parse: Callable[[object], object]
    allowed: str
    example: str
    secret: bool = False

    @property
    def unset(self) -> object:
        """Our value where nothing is written."""
        return None if self.default is None else self.parse(self.default)


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    raise ValueError(value)


def _among(*words: str) -> Callable[[object], str]:
    def parse(value: object) -> str:
        if isinstance(value, str) and value in words:
            return value
        raise ValueError(value)

    return parse


def _text(value: object) -> str:
    if isinstance(value, str) and value and value.isprintable():
        return value
    raise ValueError(value)


def _or(word: object, parse: Callable[[object], object]) -> Callable[[object], object]:
    """``parse``, or the one ``word`` that means None."""
    return lambda value: None if value == word else parse(value)


def _whole(low: int, high: int) -> Callable[[object], int]:
    def parse(value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        raise ValueError(value)

    return parse


def _size(low: int, high: int) -> Callable[[object], int]:
    def parse(value: object) -> int:
        found = value if isinstance(value, int) and not isinstance(value, bool) else size(value)
        if low <= found <= high:
            return found
        raise ValueError(value)

    return parse


def _duration(low: str, high: str) -> Callable[[object], int]:
    def parse(value: object) -> int:
        found = duration_ms(value)
        if duration_ms(low) <= found <= duration_ms(high):
            return found
        raise ValueError(value)

    return parse


def _node(value: object) -> str:
    try:
        return check_node(_text(value))
    except ConfigError as error:
        raise ValueError(value) from error


def _located(form: re.Pattern[str], value: object) -> re.Match[str]:
    """The match of a URL, whose host is a name or a whole address, and whose port is one."""
    match = form.fullmatch(_text(value))
    if match is None or not 0 < int(match["port"] or 1) < PORT_END:
        raise ValueError(value)
    host = match["host"]
    if host.startswith("["):
        IPv6Address(host[1:-1])
    elif host.replace(".", "").isdigit():
        IPv4Address(host)
    return match


def _url(value: object) -> str:
    """Encrypted to anywhere, plain only to an address of this machine."""
    match = _located(_ORIGIN, value)
    if match["scheme"] == "http" and not is_loopback(match["host"].strip("[]")):
        raise ValueError(value)
    return match[0].removesuffix("/")


def _proxy(value: object) -> str:
    return _located(_PROXY, value)[0]


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, list):
        return tuple(_text(item) for item in value)
    raise ValueError(value)


def _addresses(value: object) -> tuple[str, ...]:
    return tuple(address(item) for item in _texts(value))


def _windows(value: object) -> tuple[str, ...]:
    """Each as ``22:00-04:00``; one that begins when it ends might mean always, or never."""
    # A text that is set in type has another dash.
    found = tuple(item.removesuffix(" UTC").replace("\u2013", "-") for item in _texts(value))
    clock = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"
    if all(re.fullmatch(f"({clock})-(?!\\1)({clock})", item, re.ASCII) for item in found):
        return found
    raise ValueError(value)


def _licenses(value: object) -> Mapping[str, tuple[str, ...]]:
    if not isinstance(value, dict):
        raise TypeError(value)
    return MappingProxyType({_node(name): _texts(files) for name, files in value.items()})


def _rate(value: object) -> int:
    """Bytes a second of ``500KiB/s``."""
    if isinstance(value, str) and value.endswith("/s"):
        found = size(value.removesuffix("/s"))
        if RATE_MIN <= found <= RATE_MAX:
            return found
    raise ValueError(value)


_ADDRESS = "an address and a port"
_FLAG = "true or false"
_ON, _OFF = True, False
_PATH = "the path of a file or folder"
_YEARS = "3650d"
_FROM_A_MINUTE, _FROM_AN_HOUR, _FROM_A_DAY = (
    f"a duration from {shortest} to {_YEARS}" for shortest in ("1m", "1h", "1d")
)

KEYS: Mapping[str, Key] = MappingProxyType(
    {
        "node": Key(None, _node, "1 to 63 of a-z, 0-9 and -, not beginning with -", "prod-1"),
        "keys.path": Key("keys", _text, _PATH, "keys"),
        "license_key_file": Key(
            None, _or(None, _text), _PATH, "/run/secrets/license_key", secret=True
        ),
        "data_plane_auth_file": Key(
            None, _or(None, _text), _PATH, "/run/secrets/data_plane_auth", secret=True
        ),
        "licenses": Key(
            {},
            _licenses,
            "node names, each with a list of files",
            "{prod-1: [license_key]}",
            secret=True,
        ),
        "beacon.url": Key(
            "https://beacon.langchain.com",
            _url,
            "https://HOST, or http:// with a loopback address like 127.0.0.1; nothing after it",
            "https://beacon.langchain.com",
            secret=True,
        ),
        "beacon.addresses": Key([], _addresses, "a list of addresses", "[192.0.2.1]"),
        "beacon.ca_file": Key(None, _or(None, _text), _PATH, "/etc/ssl/company-ca.pem"),
        "beacon.proxy": Key(
            None,
            _or(None, _proxy),
            "http:// or https:// with a login, if any (/ ? # @ [ ] as %XX), a host and a port alone",
            "http://user:password@proxy:3128",
            secret=True,
        ),
        "egress.mode": Key("online", _among("online", "offline"), "online or offline", "offline"),
        "egress.max_request": Key(
            "4MiB",
            _size(REQUEST_MIN, FRAME_RAW_MAX),
            "a size from 64KiB to 8MiB",
            "4MiB",
        ),
        "egress.deadline": Key("60s", _duration("1s", "1h"), "a duration from 1s to 1h", "60s"),
        "egress.compression": Key("none", _among("none"), "none", "none"),
        "egress.rate": Key(
            None, _or(None, _rate), "bytes a second, from 1KiB/s to 1024GiB/s", "500KiB/s"
        ),
        "egress.windows": Key([], _windows, "a list of HH:MM-HH:MM, UTC", '["22:00-04:00 UTC"]'),
        "intake.listen": Key("127.0.0.1:8480", host_port, _ADDRESS, "127.0.0.1:8480"),
        "intake.require_license": Key("auto", _or("auto", _flag), "auto, true or false", "auto"),
        "intake.tls.cert": Key(None, _or(None, _text), _PATH, "tls/cert.pem"),
        "intake.tls.key": Key(None, _or(None, _text), _PATH, "tls/key.pem"),
        "admin.listen": Key("127.0.0.1:8481", host_port, _ADDRESS, "127.0.0.1:8481"),
        "spool.path": Key("spool", _text, _PATH, "spool"),
        "spool.max_size": Key("5GiB", _size(MIB, 2**50), "a size from 1MiB to 1048576GiB", "5GiB"),
        "spool.min_free": Key("256MiB", _size(0, 2**50), "a size up to 1048576GiB", "256MiB"),
        "spool.ballast": Key("16MiB", _size(0, 2**40), "a size up to 1024GiB", "16MiB"),
        "spool.allow_network_fs": Key(_OFF, _flag, _FLAG, "false"),
        "spool.seal.size": Key(
            "32MiB", _size(1, SEAL_SIZE_MAX), "a size up to 256MiB, of records", "32MiB"
        ),
        "spool.seal.age": Key(
            "auto",
            _or("auto", _duration("100ms", "1d")),
            "auto, or a duration from 100ms to 1d",
            "auto",
        ),
        "spool.retention.keep.billing": Key("400d", _duration("1d", _YEARS), _FROM_A_DAY, "400d"),
        "spool.retention.keep.other": Key("30d", _duration("1h", _YEARS), _FROM_AN_HOUR, "30d"),
        "spool.retention.audit": Key("400d", _duration("1d", _YEARS), _FROM_A_DAY, "400d"),
        "config.telemetry.logs": Key(_ON, _flag, _FLAG, "false"),
        "config.telemetry.metrics": Key(_ON, _flag, _FLAG, "false"),
        "config.telemetry.traces": Key(_ON, _flag, _FLAG, "false"),
        "snapshots.enabled": Key(_ON, _flag, _FLAG, "false"),
        "license.jwks_file": Key(None, _or(None, _text), _PATH, "vendor-jwks.json"),
        "license.issuer": Key(None, _or(None, _text), "a text", "https://beacon.langchain.com"),
        "license.audience": Key(None, _or(None, _text), "a text", "langsmith"),
        "license.leeway": Key("300s", _duration("0s", "1h"), "a duration up to 1h", "300s"),
        "license.grace": Key("14d", _duration("0s", "90d"), "a duration up to 90d", "14d"),
        "license.max_life": Key("400d", _duration("1h", _YEARS), _FROM_AN_HOUR, "400d"),
        "transfer.receipts": Key(
            "expected", _among("expected", "none"), "expected or none", "expected"
        ),
        "transfer.overdue": Key("14d", _duration("1h", _YEARS), _FROM_AN_HOUR, "14d"),
        "transfer.copies": Key(2, _whole(1, 100), "a whole number from 1 to 100", "2"),
        "transfer.inbox": Key(None, _or(None, _text), _PATH, "/media/inbox"),
        "transfer.outbox": Key(None, _or(None, _text), _PATH, "/media/outbox"),
        "transfer.outbox_for": Key(
            None, _or(None, _node), "the name of a trusted relay", "relay-1"
        ),
        "transfer.every": Key("24h", _duration("1m", _YEARS), _FROM_A_MINUTE, "24h"),
        "transfer.after": Key("3d", _duration("1m", _YEARS), _FROM_A_MINUTE, "3d"),
        "transfer.repeat": Key(2, _whole(1, 100), "a whole number from 1 to 100", "2"),
        "transfer.return_text": Key(0, _whole(0, 500), "a whole number up to 500", "0"),
        "log.format": Key("auto", _among("auto", "text", "json"), "auto, text or json", "auto"),
    }
)
"""Every key there is. Sizes in bytes, durations in milliseconds."""

SECTIONS = frozenset(
    ".".join(parts[:depth])
    for parts in (key.split(".") for key in KEYS)
    for depth in range(1, len(parts))
)
"""Every key that holds others."""
