"""Whom we trust, and for what: public keys with the one role and the one name they may speak for.

The file is ``trust.json``. A key is added only together with its full fingerprint, which a person has
compared; what is in the file is judged again at every load.
"""

import base64
import binascii
import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Self

import orjson

from keys.agerecipient import check_recipient
from keys.ed25519 import PublicKey
from keys.errors import ConfigError, VerificationError, shown
from keys.rotation import Rotation
from keys.strictjson import Fields, JsonValue, loads

TRUST_NAME = "trust.json"
ROLES = ("node", "relay")
TRUST_MAX = 1024 * 1024
"""Bytes of a trust store: some thousand keys."""
KEYS_MAX = 4096
"""Keys in one trust store."""
LANES_MAX = 4096
"""Lanes in one revocation."""
_NAME = r"[a-z0-9][a-z0-9-]{0,62}"
_LANE = _NAME + r"/[a-z][a-z0-9-]{0,31}"
_SEQ_MAX = 10**12 - 1
_MODE = 0o644


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A public key, and for whom it may speak: a ``node`` or a ``relay`` of this name."""

    role: str
    name: str
    public: PublicKey
    age: str | None = None
    """Where bundles for it are encrypted to: an X25519 recipient of age."""
    revoked: Mapping[str, int] | None = None
    """``NODE/STREAM``: the first number that counts no more. Empty: nothing new counts at all."""
    successor: str | None = None
    """The id of the key that took over from it, by a statement of both."""

    def may_speak(self, lane: str, seq: int) -> bool:
        """Whether its signature on segment ``seq`` of ``lane`` (``NODE/STREAM``) may count.

        That of a revoked key does only where a segment signed by a good key links to it, too.
        """
        if self.revoked is None:
            return True
        first = self.revoked.get(lane)
        return first is not None and seq < first


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

    def keys_for(
        self, role: str, name: str, rotations: Sequence[Rotation] = ()
    ) -> Mapping[str, PublicKey]:
        """The keys that may speak as ``role`` for ``name``, by id; those that ``rotations`` add, too.

        A relay's word has no number, so none of a revoked key counts. What a node's key signed is
        judged by number, see :meth:`TrustedKey.may_speak`. Raises as :meth:`rotated` does.
        """
        return {
            key.public.id: key.public
            for key in self.rotated(name, rotations).named(role, name)
            if role == "node" or key.revoked is None
        }

    def rotated(self, name: str, rotations: Sequence[Rotation]) -> "TrustStore":
        """A store that trusts the successors of keys of ``name``, in the roles of those keys.

        A statement about keys that are not known here, or by a key that is revoked, changes nothing.
        Raises :class:`VerificationError` ``rotation.name`` for another machine's statement,
        ``rotation.fork`` where a key has another successor already.
        """
        store = self
        for each in rotations:
            if each.name != name:
                raise VerificationError(
                    "rotation.name",
                    f"A rotation statement is of {shown(each.name)}, and the file is of {shown(name)}.",
                    "Do not use the file; ask its sender what happened.",
                )
            store = store._with_successor(each)
        return store

    def _with_successor(self, rotation: Rotation) -> "TrustStore":
        old, new = self.find(rotation.old.id), self.find(rotation.new.id)
        if old is None or old.revoked is not None or old.name != rotation.name:
            return self
        if new is None and old.successor is not None:
            raise VerificationError(
                "rotation.fork",
                f"Key {old.public.id[:16]} of {old.name} was rotated to two different keys.",
                "Somebody else may hold the old key: revoke it, and compare the new one by voice.",
            )
        if new is not None:
            return self
        told = replace(old, successor=rotation.new.id)
        keys = tuple(told if key is old else key for key in self.keys)
        added = TrustedKey(old.role, old.name, rotation.new, old.age)
        return TrustStore(parse(encode((*keys, added))))

    def find(self, key_id: str) -> TrustedKey | None:
        """The key of that id."""
        return next((key for key in self.keys if key.public.id == key_id), None)

    def named(self, role: str, name: str) -> list[TrustedKey]:
        """The keys, revoked ones included, of ``role`` and ``name``, the newest last."""
        return [key for key in self.keys if (key.role, key.name) == (role, name)]

    def names(self, role: str) -> list[str]:
        """Everybody who was ever trusted in ``role``, each once."""
        return list(dict.fromkeys(key.name for key in self.keys if key.role == role))

    def present(self, role: str) -> list[str]:
        """Everybody who is trusted in ``role`` by a key that is not revoked, each once."""
        return list(
            dict.fromkeys(k.name for k in self.keys if k.role == role and k.revoked is None)
        )

    def revoke(self, key_id: str, first: Mapping[str, int]) -> "TrustStore":
        """A store in which the key counts no more: per lane from a number on, or, empty, at all.

        Lanes are added to those of before; without any, those of before count no more either. Raises
        :class:`VerificationError` ``trust.unknown``, or ``document.field`` for a lane or a number that
        there cannot be.
        """
        found = self.find(key_id)
        if found is None:
            raise VerificationError(
                "trust.unknown",
                f"There is no key {key_id[:16]} in the trust store.",
                "Look for its id with: bridge keys list",
            )
        changed = replace(found, revoked={**(found.revoked or {}), **first} if first else {})
        return TrustStore(
            parse(encode(tuple(changed if key is found else key for key in self.keys)))
        )

    def with_key(
        self, role: str, name: str, public: PublicKey, fingerprint: str, age: str | None = None
    ) -> "TrustStore":
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
        return TrustStore(parse(encode((*self.keys, TrustedKey(role, name, public, age)))))

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
                    "age": key.age,
                    "revoked": None if key.revoked is None else dict(key.revoked),
                    "successor": key.successor,
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
            None if item.is_null("age") else check_recipient(item.text("age", r"[ -~]{1,128}")),
            None if item.is_null("revoked") else _numbers(item.mapping("revoked", LANES_MAX)),
            # A store from before there were rotations has none.
            None
            if "successor" not in item or item.is_null("successor")
            else item.text("successor", r"[0-9a-f]{64}"),
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


def _numbers(found: Mapping[str, JsonValue]) -> Mapping[str, int]:
    for lane, seq in found.items():
        good = isinstance(seq, int) and not isinstance(seq, bool) and 1 <= seq <= _SEQ_MAX
        if not (good and re.fullmatch(_LANE, lane, re.ASCII)):
            raise VerificationError(
                "document.field",
                "A revocation in the trust store names a lane or a number that there cannot be.",
                "Write it as NODE/STREAM/NUMBER, e.g. prod-1/transactions/42.",
            )
    return MappingProxyType({lane: seq for lane, seq in found.items() if isinstance(seq, int)})


def _base64(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error:
        data = b""
    # A key that is not in the one canonical form is refused as one that is no key.
    return data if base64.b64encode(data).decode() == text else b""
