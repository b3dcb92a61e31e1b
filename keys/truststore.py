"""Whom we trust, and for what: public keys with the one role and the one name they may speak for.

The file is ``trust.json``. A key is added only together with its full fingerprint, which a person has
compared; what is in the file is judged again at every load.
"""

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from keys.ed25519 import PublicKey
from keys.errors import ConfigError, VerificationError, shown
from keys.rotation import ROTATIONS_MAX, Rotation
from keys.trustedkey import TRUST_MAX, TrustedKey, encode, parse

TRUST_NAME = "trust.json"
_MODE = 0o644


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
        ``rotation.fork`` where a key has another successor already, ``rotation.many`` where it has
        more keys than a machine makes: the store has room for all machines.
        """
        store = self
        for each in rotations:
            each.check_name(name)
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
        if len(self.named(old.role, old.name)) > ROTATIONS_MAX:
            raise VerificationError(
                "rotation.many",
                f"There are more than {ROTATIONS_MAX} keys of {old.name} here, and none can add more.",
                "Ask its operator what happened; its present key is trusted by: bridge keys trust",
            )
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
