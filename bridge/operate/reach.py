"""Whether the beacon can be reached, step by step: name, TCP, TLS, HTTP, and whether it is we.

Only looked at when egress is online. Nothing of value is sent: one request without a body, without a
license. What fails is named; what comes after it is not looked at.
"""

import errno
import ipaddress
import os
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from bridge.config.units import is_loopback
from bridge.errors import RefusedError, UnreachableError
from bridge.operate.checks import Check, NotLookedAtError
from keys.errors import ConfigError, shown

STEP_S = 10.0
"""Seconds for one connection; a firewall that drops is told from one that refuses."""
_LOCAL_NAME = "localhost"


@dataclass(frozen=True, slots=True)
class Answered:
    """What answered a request: the status, the kind of content, the first bytes of it."""

    status: int
    content_type: str
    body: bytes


Ask = Callable[[], Answered | str]
"""Makes the one request, as the daemon would; the answer, or why there was none, in a few words."""


@dataclass(frozen=True, slots=True)
class Target:
    """Who is connected to: the beacon, or the proxy before it (``through_proxy``).

    ``addresses`` are pinned ones; without, the name is looked up. ``trust`` None: no TLS up to there.
    """

    host: str
    port: int
    addresses: Sequence[str]
    through_proxy: bool
    trust: ssl.SSLContext | None


class Reach:
    """The steps to one target; each is a check, to be made in the order of :meth:`checks`."""

    def __init__(self, target: Target, intake: tuple[str, int], ask: Ask) -> None:
        self._target = target
        self._intake = intake
        self._ask = ask
        self._found: Sequence[str] = ()
        self._open: str | None = None
        self._encrypted = False

    def checks(self) -> list[Check]:
        """All of them, in order."""
        return [
            Check("beacon.name", self._name),
            Check("beacon.loop", self._loop),
            Check("beacon.tcp", self._tcp),
            Check("beacon.tls", self._tls),
            Check("beacon.http", self._http),
        ]

    def _name(self) -> str:
        target = self._target
        if target.addresses:
            self._found = target.addresses
            return f"not looked up: beacon.addresses pins {', '.join(self._found)}"
        self._found = addresses_of(target.host, target.port)
        return f"{target.host} is {', '.join(self._found)}"

    def _loop(self) -> str:
        target, (_, intake_port) = self._target, self._intake
        _need(self._found, "no address")
        # A pinned address, and a proxy, may well be on this machine; the beacon's own name is not.
        by_name = not (target.addresses or target.through_proxy or _may_be_here(target.host))
        for address in self._found:
            if is_here(address) and (by_name or target.port == intake_port):
                raise ConfigError(
                    "beacon.loop",
                    f"{shown(target.host)} leads to {address}, which is this machine.",
                    "Set beacon.addresses to the beacon's own addresses, or mend the name.",
                )
        return "leads to another machine, or to another port of this one"

    def _tcp(self) -> str:
        _need(self._found, "no address")
        failures = []
        for address in self._found:
            try:
                with self._connected(address):
                    self._open = address
                    return f"{address} port {self._target.port} is open"
            except OSError as error:
                failures.append(f"{address}: {_why(error)}")
        raise UnreachableError(
            "beacon.tcp",
            f"No connection to port {self._target.port}: {'; '.join(failures)}.",
            "Start what is to answer there, or correct the address; no firewall lies between."
            if all(map(is_loopback, self._found))
            else "Open the firewall for what `bridge doctor --firewall` prints.",
        )

    def _tls(self) -> str:
        _need(self._open, "no connection")
        if self._target.trust is None:
            self._encrypted = True
            raise NotLookedAtError("plain HTTP up to there")
        assert self._open is not None  # noqa: S101 - just looked at
        try:
            with (
                self._connected(self._open) as plain,
                self._target.trust.wrap_socket(plain, server_hostname=self._target.host) as secure,
            ):
                self._encrypted = True
                return f"{secure.version()}, the certificate is trusted"
        except ssl.SSLCertVerificationError as error:
            raise UnreachableError(
                "beacon.certificate",
                f"The certificate of {shown(self._target.host)} is not trusted: "
                f"{shown(error.verify_message)}.",
                "Name the authority that signs it as beacon.ca_file; look who answers there.",
            ) from error
        except OSError as error:
            raise UnreachableError(
                "beacon.tls",
                f"TLS failed: {_why(error)}.",
                "Look whether something between here and the beacon breaks or ends TLS.",
            ) from error

    def _http(self) -> str:
        _need(self._encrypted or None, "no connection")
        answer = self._ask()
        if isinstance(answer, str):
            raise UnreachableError(
                "beacon.http",
                f"No answer over HTTP: {answer}.",
                "Look at the proxy, the certificate and what stands before the beacon.",
            )
        if answer.status == _LOOP and b"upstream.loop" in answer.body:
            raise ConfigError(
                "upstream.loop",
                "The request came back to this bridge: the beacon's name leads here.",
                "Set beacon.addresses to the beacon's own addresses, or mend the name.",
            )
        if answer.status == _PROXY_LOGIN:
            raise RefusedError(
                "proxy.login",
                "The proxy wants a login.",
                "Write it into beacon.proxy, or let the proxy allow this machine.",
            )
        if _REDIRECTS[0] <= answer.status < _REDIRECTS[1] or "html" in answer.content_type:
            raise UnreachableError(
                "upstream.not_beacon",
                f"What answered ({answer.status}, {shown(answer.content_type)}) is not the beacon.",
                "Look for a login page or a proxy between here and the beacon.",
            )
        return f"answered with {answer.status}, which without a license is what to expect"

    def _connected(self, address: str) -> socket.socket:
        return socket.create_connection((address, self._target.port), timeout=STEP_S)


def addresses_of(host: str, port: int) -> list[str]:
    """The addresses of ``host``. Raises :class:`UnreachableError` ``beacon.name``."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UnreachableError(
            "beacon.name",
            f"The name {shown(host)} was not found.",
            "Mend the name service of this machine, or pin beacon.addresses.",
        ) from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


_LOOP = 508
_PROXY_LOGIN = 407
_REDIRECTS = (300, 400)


def is_here(address: str) -> bool:
    """Whether ``address`` is one of this machine: whether a socket can have it."""
    if is_loopback(address):
        return True
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def _may_be_here(host: str) -> bool:
    """Whether ``host`` was written as an address, or as this machine's own name."""
    with suppress(ValueError):
        ipaddress.ip_address(host)
        return True
    return host == _LOCAL_NAME


def _need(found: object, missing: str) -> None:
    if not found:
        raise NotLookedAtError(missing)


def _why(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {STEP_S:.0f} s"
    if isinstance(error, ssl.SSLError):
        return str(error.reason or type(error).__name__).replace("_", " ").lower()
    words = {errno.ECONNREFUSED: "refused", errno.ECONNRESET: "broken off"}
    return words.get(error.errno or 0) or os.strerror(error.errno or 0)
