"""Key files: PEM on disk, made exclusively, read with suspicion.

``node.pem`` is PKCS#8, mode 0600; ``node.pub.pem`` is SubjectPublicKeyInfo. A file is read only if it
is a regular file of this user or root, is small, and holds exactly one PEM block of the right kind;
a private key also only if nobody else may read it.
"""

import os
import secrets
import stat
from pathlib import Path

from keys.ed25519 import PublicKey, SigningKey
from keys.errors import ConfigError, VerificationError, shown

PRIVATE_NAME = "node.pem"
PUBLIC_NAME = "node.pub.pem"
PRIVATE_MODE = 0o600
PUBLIC_MODE = 0o644
KEY_FILE_MAX = 4096
"""Bytes of a key file; ours have under 130."""


def create_pair(folder: Path) -> SigningKey:
    """The node's key in ``folder``: made with both its files, or what of it is there already.

    A half-made file stays nowhere. Raises :class:`ConfigError` ``key.*`` where what is there is not
    a pair, or :class:`OSError`.
    """
    private, public = folder / PRIVATE_NAME, folder / PUBLIC_NAME
    try:
        key = read_signing_key(private)
    except FileNotFoundError:
        key = SigningKey.generate()
        create_file(private, key.pem(), PRIVATE_MODE)
    try:
        found = read_public_key(public)
    except FileNotFoundError:
        create_file(public, key.public.pem(), PUBLIC_MODE)
    else:
        if found != key.public:
            raise ConfigError(
                "key.pair",
                f"{shown(str(public))} is not the public half of {PRIVATE_NAME} beside it.",
                f"Move {PUBLIC_NAME} away and run this again to have it made anew.",
            )
    return key


def read_signing_key(path: Path) -> SigningKey:
    """The private key in ``path``.

    Raises :class:`ConfigError` ``key.mode``, ``key.file``, ``key.blocks``, ``key.encrypted``,
    ``key.type`` or ``key.encoding``, or :class:`OSError`.
    """
    data = _read(path, b"PRIVATE KEY", secret=True)
    try:
        return SigningKey.from_pem(data)
    except VerificationError as error:
        raise _refused(path, error) from error


def read_public_key(path: Path) -> PublicKey:
    """The public key in ``path``; raises like :func:`read_signing_key`, and ``key.small_order``."""
    data = _read(path, b"PUBLIC KEY", secret=False)
    try:
        return PublicKey.from_pem(data)
    except VerificationError as error:
        raise _refused(path, error) from error


def _refused(path: Path, error: VerificationError) -> ConfigError:
    return ConfigError(error.id, f"{shown(str(path))}: {error.message}", error.hint)


def _read(path: Path, label: bytes, *, secret: bool) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(fd, "rb", buffering=0) as file:  # noqa: PTH123 - a descriptor, not a path
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_uid not in (os.geteuid(), 0):
            raise ConfigError(
                "key.file",
                f"{shown(str(path))} is no regular file of this user or of root.",
                "Put the key there as a file that this user owns.",
            )
        if secret and status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigError(
                "key.mode",
                f"Others than its owner may use the private key {shown(str(path))}.",
                f"If nobody did: chmod 600 {shown(str(path))}; else make a new key.",
            )
        data = file.read(KEY_FILE_MAX + 1)
    begin, end = b"-----BEGIN %b-----\n" % label, b"\n-----END %b-----" % label
    text = data.removesuffix(b"\n")
    if label == b"PRIVATE KEY" and text.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----"):
        raise ConfigError(
            "key.encrypted",
            f"{shown(str(path))} is encrypted, and nobody could type its passphrase.",
            "Store it decrypted with mode 0600, on an encrypted disk if need be.",
        )
    whole = text.startswith(begin) and text.endswith(end) and text.count(b"-----BEGIN") == 1
    if not whole or len(data) > KEY_FILE_MAX:
        raise ConfigError(
            "key.blocks",
            f"{shown(str(path))} is not exactly one PEM block of a {label.decode().lower()}.",
            "Keep one key in one file, with nothing before or after it.",
        )
    return data


def create_file(path: Path, data: bytes, mode: int) -> None:
    """Make the file, whole and durable, or none; what is there is never followed or replaced.

    A kill leaves at most a file of another name. Raises :class:`OSError`.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    fd = os.open(temporary, flags, mode)
    try:
        # Buffered: a full disk takes a part and says so only in a count, which a raw write returns.
        with open(fd, "wb") as file:  # noqa: PTH123 - a descriptor, not a path
            os.fchmod(fd, mode)
            file.write(data)
            file.flush()
            os.fsync(fd)
        os.link(temporary, path)  # a rename would replace what is there
    finally:
        temporary.unlink(missing_ok=True)
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
