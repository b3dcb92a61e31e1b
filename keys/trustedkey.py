"""A key that is trusted, and the form of the file that holds all of them; see :mod:`keys.truststore`.

What is in the file is judged again at every load.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import orjson

from keys.agerecipient import check_recipient
from keys.ed25519 import PublicKey
from keys.errors import VerificationError
from keys.strictjson import Fields, JsonValue, loads

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
