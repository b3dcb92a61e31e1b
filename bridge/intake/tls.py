"""The intake's TLS: a certificate that is exchanged while connections come and go.

Every handshake asks for the pair in use, so a new one is served from the next connection on, and the
connections that stand are not touched. A pair that clients would not take never comes into use.
"""

import os
import ssl
import stat
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from bridge.intake.pairs import Served, check_new, read_pair
from keys.errors import ConfigError, shown

FILE_MAX = 256 * 1024
"""Bytes of a file; a chain has some 5 KiB."""
HANDSHAKE_S = 10.0
"""Seconds for a handshake; clients give up after 10."""
GOODBYE_S = 1.0
"""Seconds that a client has to say goodbye, too: few do, and the end does not wait for them."""
PairStat = tuple[tuple[int, int, int, int] | None, ...]
"""What tells a file from the one that was there before, for the certificate and the key."""


class IntakeTls:
    """The pair in the files ``certificate`` and ``key``, served as ``host``.

    ``now`` gives the time. Raises :class:`ConfigError` ``tls.unreadable``, ``tls.key_mode``,
    ``tls.cert``, ``tls.key`` or ``tls.mismatch``. A pair that has ended is served all the same: to
    stop would be worse.
    """

    def __init__(
        self, certificate: Path, key: Path, host: str, now: Callable[[], datetime]
    ) -> None:
        self._files = (certificate, key)
        self._host = host
        self._now = now
        self._current, self.served = self._loaded(None)
        self.context = _context()
        self.context.sni_callback = self._choose

    def stat(self) -> PairStat:
        """What changes when one of the files is exchanged."""
        return tuple(map(_stat, self._files))

    def reload(self) -> Served:
        """Take what the files hold now into use, and say what it is.

        Raises :class:`ConfigError` ``tls.*`` where clients would not take it; the old pair stays.
        """
        self._current, self.served = self._loaded(self.served)
        return self.served

    def move(self, certificate: Path, key: Path) -> None:
        """Serve the pair in other files. Raises as :meth:`reload`; the old files stay in use then."""
        before, self._files = self._files, (certificate, key)
        try:
            self.reload()
        except ConfigError:
            self._files = before
            raise

    def _choose(self, connection: ssl.SSLObject, _host: str | None, _: ssl.SSLContext) -> None:
        connection.context = self._current

    def _loaded(self, old: Served | None) -> tuple[ssl.SSLContext, Served]:
        certificate, key = self._files
        pair = (_read(certificate, secret=False), _read(key, secret=True))
        served = read_pair(*pair)
        if old is not None:
            check_new(served, old, self._host, self._now())
        context = _context()
        try:
            # It reads the files again; what it takes has to be what was judged.
            context.load_cert_chain(certificate, key, password="")
        except (ssl.SSLError, OSError) as error:
            raise ConfigError(
                "tls.unusable",
                f"OpenSSL does not take the certificate: {shown(error)}.",
                "Look at the kind and the length of its key, and at the chain.",
            ) from error
        if pair != (_read(certificate, secret=False), _read(key, secret=True)):
            raise ConfigError(
                "tls.changing",
                "The certificate's files change while they are read.",
                "Exchange them by renaming, once.",
            )
        return context, served


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    # A session that is taken up again would keep the certificate that it began with.
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
    context.num_tickets = 0
    return context


def _stat(path: Path) -> tuple[int, int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def _read(path: Path, *, secret: bool) -> bytes:
    """The bytes of a file; links are followed, because secrets of containers are links."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        with open(fd, "rb", buffering=0) as file:  # noqa: PTH123 - a descriptor, not a path
            found = os.fstat(fd)
            data = b"" if not stat.S_ISREG(found.st_mode) else file.read(FILE_MAX + 1)
    except OSError as error:
        raise ConfigError(
            "tls.unreadable",
            f"{shown(str(path))} cannot be read: {os.strerror(error.errno or 0)}.",
            "Make it with `bridge init --tls`, or correct intake.tls and the file's mode.",
        ) from error
    if not 0 < len(data) <= FILE_MAX:
        raise ConfigError(
            "tls.unreadable",
            f"{shown(str(path))} is no regular file of 1 to {FILE_MAX} bytes.",
            "Name the files of a certificate and of its key in PEM.",
        )
    # Root may share a key with a group, as mounted secrets are; an owner shares it with nobody.
    shared = stat.S_IRWXO | (stat.S_IWGRP if found.st_uid == 0 else stat.S_IRWXG)
    if secret and (found.st_mode & shared or found.st_uid not in (os.geteuid(), 0)):
        raise ConfigError(
            "tls.key_mode",
            f"Others than this user may use the private key {shown(str(path))}.",
            f"If nobody did: chmod 600 {shown(str(path))}; else make a new certificate.",
        )
    return data
