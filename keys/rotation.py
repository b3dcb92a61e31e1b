"""The statement that one key takes over from another, signed by both.

Whoever trusts the old key may so trust the new one, in the same role and for the same name: only who
holds both could sign. The format stands in ``docs/bundles.md``.
"""

import base64
import binascii
from dataclasses import dataclass

import orjson

from keys import dsse
from keys.ed25519 import PublicKey, SigningKey
from keys.errors import VerificationError, shown
from keys.strictjson import Fields, loads

PAYLOAD_TYPE = "application/vnd.airgap-bridge.rotation.v1+json"
ROTATION_MAX = 4096
"""Bytes of a statement's envelope; ours have about 800."""
ROTATIONS_MAX = 63
"""Rotations of one machine."""
_NAME = r"[a-z0-9][a-z0-9-]{0,62}"
_TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z"
_SPKI = r"[A-Za-z0-9+/=]{1,128}"


@dataclass(frozen=True, slots=True)
class Rotation:
    """The ``number``-th change, from 1 on, of the key of the machine ``name``; when, as RFC 3339."""

    number: int
    name: str
    made_at: str
    old: PublicKey
    new: PublicKey

    def check_name(self, name: str) -> None:
        """Raise :class:`VerificationError` ``rotation.name`` unless it is of the machine ``name``."""
        if self.name != name:
            raise VerificationError(
                "rotation.name",
                f"A rotation statement is of {shown(self.name)}, and the file is of {shown(name)}.",
                "Do not use the file; ask its sender what happened.",
            )


def seal_rotation(number: int, name: str, made_at: str, old: SigningKey, new: SigningKey) -> bytes:
    """The envelope of the statement, signed by ``old`` and then by ``new``."""
    payload = {
        "v": 1,
        "number": number,
        "name": name,
        "made_at": made_at,
        "old": _spki(old.public),
        "new": _spki(new.public),
    }
    return dsse.seal(PAYLOAD_TYPE, orjson.dumps(payload), [old, new])


def read_rotation(data: bytes) -> Rotation:
    """The statement in an envelope that both of its keys signed; whether they are trusted is not asked.

    Raises :class:`VerificationError` ``json.*``, ``document.*``, ``envelope.*``, ``key.*``,
    ``signature.bad`` or ``rotation.keys``.
    """
    envelope = dsse.parse(data, limit=ROTATION_MAX)
    envelope.expect(PAYLOAD_TYPE)
    fields = Fields(loads(envelope.payload, limit=ROTATION_MAX), "rotation statement")
    fields.integer("v", 1, 1)
    rotation = Rotation(
        fields.integer("number", 1, ROTATIONS_MAX),
        fields.text("name", _NAME),
        fields.text("made_at", _TIME),
        _key(fields.text("old", _SPKI)),
        _key(fields.text("new", _SPKI)),
    )
    fields.done()
    if rotation.old == rotation.new:
        raise _refused("it names one key twice")
    if [each.keyid for each in envelope.signatures] != [rotation.old.id, rotation.new.id]:
        raise _refused("it is not signed by the old key and the new")
    message = dsse.pae(envelope.payload_type, envelope.payload)
    for key, signature in zip((rotation.old, rotation.new), envelope.signatures, strict=True):
        key.verify(signature.sig, message)
    return rotation


def _spki(key: PublicKey) -> str:
    return base64.b64encode(key.spki_der()).decode()


def _key(text: str) -> PublicKey:
    try:
        der = base64.b64decode(text, validate=True)
    except binascii.Error:
        der = b""
    key = PublicKey.from_spki_der(der)
    if _spki(key) != text:
        raise _refused("a key is written in another form than the canonical one")
    return key


def _refused(why: str) -> VerificationError:
    return VerificationError(
        "rotation.keys",
        f"A rotation statement is refused: {why}.",
        "Compare the new fingerprint with its owner by voice, then: bridge keys trust",
    )
