"""Whom we trust, and for what: public keys with the one role and the one name they may speak for.

The file is ``trust.json``. A key is added only together with its full fingerprint, which a person has
compared; what is in the file is judged again at every load.
"""

import base64
import binascii
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import orjson

from keys.ed25519 import PublicKey
from keys.errors import ConfigError, VerificationError, shown
from keys.strictjson import Fields, loads

ROLES = ("node", "relay")
TRUST_MAX = 1024 * 1024
"""Bytes of a trust store: some thousand keys."""
KEYS_MAX = 4096
"""Keys in one trust store."""
_NAME = r"[a-z0-9][a-z0-9-]{0,62}"
_MODE = 0o644


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A public key, and for whom it may speak: a ``node`` or a ``relay`` of this name."""

    role: str
    name: str
    public: PublicKey


@dataclass(frozen=True, slots=True)
class TrustStore:
    """The keys that are trusted; no key stands in it twice."""

    keys: tuple[TrustedKey, ...] = ()

    @classmethod
    def load(cls, path: Path) -> Self:
        """The store in ``path``; an empty one where there is no such file.

        Raises :class:`ConfigError` ``trust.file`` (its owner or mode), :class:`VerificationError`
        for what :func:`parse` refuses, or :class:`OSError`.
        """
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return cls()
        with open(fd, "rb", buffering=0) as file:  # noqa: PTH123 - a descriptor, not a path
            status = os.fstat(fd)
            ours = stat.S_ISREG(status.st_mode) and status.st_uid in (os.geteuid(), 0)
            if not ours or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise ConfigError(
                    "trust.file",
                    f"Others than this user may change the trust store {shown(str(path))}.",
                    "Look at who is in it; if all is well: chown to this user, chmod go-w.",
                )
            data = file.read(TRUST_MAX + 1)
        return cls(parse(data))

    def keys_for(self, role: str, name: str) -> Mapping[str, PublicKey]:
        """The keys that may speak as ``role`` for ``name``, by id."""
        return {
            key.public.id: key.public for key in self.keys if (key.role, key.name) == (role, name)
        }

    def with_key(self, role: str, name: str, public: PublicKey, fingerprint: str) -> "TrustStore":
        """A store with one key more, whose full fingerprint (its id) somebody has compared.

        Raises :class:`VerificationError` ``trust.fingerprint`` if it is another key's,
        ``trust.repeated`` if the key is in the store already, or ``document.field`` if no store may
        hold such a role or name, or one key more.
        """
        if fingerprint != public.id:
            raise VerificationError(
                "trust.fingerprint",
                "The fingerprint is not that of this key.",
                "Compare all 64 characters with what its owner reads to you.",
            )
        # What could be saved but not loaded again would lock everybody out.
        return TrustStore(parse(encode((*self.keys, TrustedKey(role, name, public)))))

    def save(self, path: Path) -> None:
        """Put this store in the place of the file at ``path``. Raises :class:`OSError`."""
        temporary = path.with_name(path.name + ".tmp")
        temporary.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            # Buffered: a full disk takes a part and says so only in a count, which a raw write returns.
            with open(os.open(temporary, flags, _MODE), "wb") as file:  # noqa: PTH123
                file.write(encode(self.keys))
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def encode(keys: tuple[TrustedKey, ...]) -> bytes:
    """The bytes of a trust store."""
    return orjson.dumps(
        {
            "v": 1,
            "keys": [
                {
                    "id": key.public.id,
                    "role": key.role,
                    "name": key.name,
                    "public": base64.b64encode(key.public.spki_der()).decode(),
                }
                for key in keys
            ],
        }
    )


def parse(data: bytes) -> tuple[TrustedKey, ...]:
    """The keys in the bytes of a trust store.

    Raises :class:`VerificationError` ``json.*``, ``document.*``, ``key.*`` (a small-order point, say),
    ``trust.fingerprint`` or ``trust.repeated``.
    """
    fields = Fields(loads(data, limit=TRUST_MAX), "trust store")
    fields.integer("v", 1, 1)
    found = []
    for item in fields.objects("keys", 0, KEYS_MAX):
        key = TrustedKey(
            item.choice("role", ROLES),
            item.text("name", _NAME),
            PublicKey.from_spki_der(_base64(item.text("public", r"[A-Za-z0-9+/=]{1,128}"))),
        )
        if item.text("id", r"[0-9a-f]{64}") != key.public.id:
            raise VerificationError(
                "trust.fingerprint",
                f"The trust store gives the key of {key.name} another id than its own.",
                "Somebody changed the file; compare every key with its owner.",
            )
        item.done()
        found.append(key)
    fields.done()
    if len({key.public.id for key in found}) != len(found):
        raise VerificationError(
            "trust.repeated",
            "A key stands in the trust store twice.",
            "Each key speaks for one name in one role; make another key for another.",
        )
    return tuple(found)


def _base64(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error:
        data = b""
    # A key that is not in the one canonical form is refused as one that is no key.
    return data if base64.b64encode(data).decode() == text else b""
