"""What can be wrong on this machine: files, permissions, disk, clock, certificates.

Nothing is changed and nothing leaves the machine. Each function is one check: it returns what it saw
or raises the error that names exactly what is wrong.
"""

import os
import ssl
import stat
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from bridge.config.namedfile import read_named
from bridge.operate.checks import NotLookedAtError
from bridge.terminal import counted, sized
from keys.ed25519 import PublicKey
from keys.errors import ConfigError, VerificationError, shown
from spool.clock import rfc3339
from spool.errors import SpoolError
from spool.head import read_head
from spool.lane import lanes
from spool.recent import newest_record_at
from spool.segment import Segment

BUILT_MS = 1_767_225_600_000
"""The beginning of 2026: no clock that is right shows less."""
AHEAD_MS = 300_000
"""Milliseconds that the newest time in the spool may lie ahead of the clock."""
CERTIFICATE_MAX = 1024 * 1024
"""Bytes of a file of certificates."""


def check_private(paths: Iterable[Path]) -> str:
    """That nobody else may write these files, and nobody else read those that are this user's.

    Who may read files of another owner is for whoever mounts secrets to decide.
    """
    count = 0
    for path in paths:
        status = _stat(path)
        open_to = stat.S_IWGRP | stat.S_IWOTH
        if status.st_uid == os.geteuid():
            open_to |= stat.S_IROTH
        if status.st_mode & open_to:
            raise ConfigError(
                "file.open",
                f"{shown(str(path))} has mode {stat.S_IMODE(status.st_mode):04o}: others may read or "
                "write it.",
                f"Run: chmod 600 {path.name}, where it lies.",
            )
        count += 1
    return f"{counted(count, 'key file', 'key files')}, closed to others"


def check_not_writable(path: Path) -> None:
    """That nobody else may write the file, whoever may read it."""
    if (status := _stat(path)).st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError(
            "file.writable",
            f"{shown(str(path))} has mode {stat.S_IMODE(status.st_mode):04o}: others may write it.",
            "Run: chmod go-w on it.",
        )


def no_license(node: str, line: str) -> ConfigError:
    """The problem of a node whose records shall be sent, and that has no key; ``line`` names one."""
    return ConfigError(
        "license.none",
        f"There is no license key for {node}; records are kept, and nothing is sent.",
        f"Put it into a file of mode 0600, and into bridge.yaml: {line}",
    )


def check_folder(path: Path) -> str:
    """That the folder is this user's, writable, and nobody else may write it."""
    status = _stat(path)
    if not stat.S_ISDIR(status.st_mode):
        raise _no_folder(path)
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError(
            "folder.open",
            f"{shown(str(path))} has mode {stat.S_IMODE(status.st_mode):04o}: others may write in it.",
            "Run: chmod go-w on it.",
        )
    _check_open(path)
    return str(path)


def check_carried(path: Path) -> str:
    """That a courier's folder can be used, if it is there; who else may write in it is not asked.

    Often it is a medium's, which is there now and then.
    """
    try:
        is_there = path.exists()
    except PermissionError as error:
        raise _closed(path) from error
    if not is_there:
        raise NotLookedAtError(f"{path} is not there now: not mounted, or a wrong path")
    if not path.is_dir():
        raise _no_folder(path)
    _check_open(path)
    return str(path)


def _no_folder(path: Path) -> ConfigError:
    return ConfigError(
        "folder.kind", f"{shown(str(path))} is no folder.", "Correct the path, or move it away."
    )


def _check_open(folder: Path) -> None:
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise _closed(folder)


def _closed(folder: Path) -> SpoolError:
    return SpoolError(
        "folder.closed",
        f"This user may not write in {shown(str(folder))}.",
        "Run as the user that owns it, or mount its disk for writing.",
    )


def check_disk(spool: Path, *, used: int, max_size: int, min_free: int) -> str:
    """That there is room: on the disk above ``min_free``, in the spool below ``max_size`` bytes."""
    status = os.statvfs(spool)
    free = status.f_bavail * status.f_frsize
    if free < min_free:
        raise SpoolError(
            "disk.low",
            f"{sized(free)} are free on the spool's disk; {sized(min_free)} are to stay free.",
            "Free space there, or give the spool a larger disk; billing is refused until then.",
        )
    if used >= max_size:
        raise SpoolError(
            "spool.full",
            f"The spool holds {sized(used)}; {sized(max_size)} is its limit.",
            "Have it delivered or exported, or raise spool.max_size.",
        )
    if status.f_favail == 0 and status.f_files:
        raise SpoolError(
            "disk.inodes",
            "The spool's disk has no inodes left.",
            "Delete small files there that nobody needs.",
        )
    return f"{sized(free)} free on the disk, {sized(used)} of {sized(max_size)} used"


def check_clock(spool: Path, now_ms: int) -> str:
    """That the clock is not before what was sealed already, nor before this program was made."""
    if now_ms < BUILT_MS:
        raise ConfigError(
            "clock.early",
            f"The clock shows {rfc3339(max(now_ms, 0))}, which is before this program was made.",
            "Set the clock; TLS and license tokens need the right time.",
        )
    times = [(at, lane) for lane in lanes(spool) if (at := newest_record_at(lane)) is not None]
    newest, lane = max(times, key=lambda each: each[0], default=(0, None))
    if lane is not None and newest > now_ms + AHEAD_MS:
        raise ConfigError(
            "clock.behind",
            f"The clock shows {rfc3339(now_ms)}, but {lane.node}/{lane.stream} was sealed at "
            f"{rfc3339(newest)}.",
            "Set the clock; it was set back, or was ahead before. Nothing unsent depends on it.",
        )
    return rfc3339(now_ms)


def check_sealed(spool: Path, node: str, own: Mapping[str, PublicKey]) -> str:
    """That the newest segment of each of the node's lanes was sealed with one of its ``own`` keys."""
    count = 0
    for lane in lanes(spool):
        head = read_head(lane)
        if lane.node != node or head is None:
            continue
        try:
            with Segment.open(lane.segment(head.seq)) as segment:
                segment.check_signature(own)
        except FileNotFoundError:
            continue  # it was delivered and went
        except VerificationError as error:
            if error.id != "key.untrusted":
                raise
            raise ConfigError(
                "key.exchanged",
                f"{node}/{lane.stream} was sealed with another key than node.pem.",
                "Put back the node.pem that sealed it, with its folder rotations; nothing is lost.",
            ) from error
        count += 1
    return f"sealed with this key: the newest segments of {counted(count, 'lane', 'lanes')}"


def check_authorities(ca_file: Path | None) -> str:
    """That the file of certificate authorities can be used."""
    if ca_file is None:
        raise NotLookedAtError("no beacon.ca_file; the bundled public authorities are used")
    try:
        count = len(x509.load_pem_x509_certificates(read_named(ca_file, CERTIFICATE_MAX)))
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=ca_file)
    except (ValueError, OSError) as error:
        raise ConfigError(
            "config.ca_file",
            f"{shown(str(ca_file))} holds no certificates that can be read.",
            "Name a PEM file with the certificate authority that signs for the beacon.",
        ) from error
    return f"{count} certificates in {ca_file}"


def check_certificate(cert: Path | None, key: Path | None, now_ms: int) -> str:
    """That the intake's certificate belongs to its key and is valid now."""
    if cert is None or key is None:
        raise NotLookedAtError("no intake.tls; the intake speaks plain HTTP")
    try:
        first = x509.load_pem_x509_certificates(read_named(cert, CERTIFICATE_MAX))[0]
        read_named(key, 1)  # the library would wait for a pipe
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password="")
    except (ValueError, OSError) as error:
        raise ConfigError(
            "tls.certificate",
            f"{shown(str(cert))} and its key cannot be used: {type(error).__name__}.",
            "Give intake.tls.cert the certificate and intake.tls.key the key that belongs to it.",
        ) from error
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    if not first.not_valid_before_utc <= now <= first.not_valid_after_utc:
        raise ConfigError(
            "tls.expired",
            f"The intake's certificate is valid from {first.not_valid_before_utc:%Y-%m-%d} to "
            f"{first.not_valid_after_utc:%Y-%m-%d}, not now.",
            "Renew the certificate, or set the clock.",
        )
    return f"valid until {first.not_valid_after_utc:%Y-%m-%d}"


def _stat(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        raise ConfigError(
            "file.missing",
            f"{shown(str(path))} cannot be looked at: {os.strerror(error.errno or 0)}.",
            "Correct the path in bridge.yaml, or make it with `bridge init`.",
        ) from error
