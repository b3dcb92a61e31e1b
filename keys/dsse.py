"""DSSE envelopes, version 1: signed bytes are stored bytes.

What is signed is the pre-authentication encoding of the payload's type and its bytes, so a signature
on one kind of document is none on another. An envelope is written in one form and read strictly:
exactly the bytes that :func:`seal` makes of what it says, so that no byte around the signed ones can
be changed either; one signature, or two where a rotation needs the old key and the new. Whether a
signature is good and whether its key is trusted are two questions with two errors.

Specification: https://github.com/secure-systems-lab/dsse (envelope.md, protocol.md).
"""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from keys.ed25519 import SIGNATURE_SIZE, PublicKey, SigningKey
from keys.errors import VerificationError, shown
from keys.strictjson import Fields, loads

SIGNATURES_MAX = 2
"""A rotation is signed by the old key and the new; nothing of ours has more."""
_TYPE = r"[a-z0-9.+/-]{1,128}"
_KEY_ID = r"[0-9a-f]{64}"
_ONE_SIGNATURE = re.compile(
    rf'{{"payload":"([A-Za-z0-9+/]*={{0,2}})","payloadType":"({_TYPE})",'
    rf'"signatures":\[{{"keyid":"({_KEY_ID})","sig":"([A-Za-z0-9+/]{{86}}==)"}}\]}}'.encode()
)
"""What :func:`seal` writes with one signer: found in one step by whoever reads very many."""


@dataclass(frozen=True, slots=True)
class Signature:
    """Who says to have signed (a key's id), and the 64 bytes."""

    keyid: str
    sig: bytes


def pae(payload_type: str, payload: bytes) -> bytes:
    """The bytes that are signed: type and payload with their lengths."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def seal(payload_type: str, payload: bytes, signers: Sequence[SigningKey]) -> bytes:
    """The envelope of ``payload``, signed by each of ``signers``."""
    message = pae(payload_type, payload)
    signatures = [Signature(signer.public.id, signer.sign(message)) for signer in signers]
    return _encoded(payload_type, payload, signatures)


def _encoded(payload_type: str, payload: bytes, signatures: Sequence[Signature]) -> bytes:
    return orjson.dumps(
        {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": payload_type,
            "signatures": [
                {"keyid": signature.keyid, "sig": base64.b64encode(signature.sig).decode()}
                for signature in signatures
            ],
        }
    )


def _bad(problem: str, message: str) -> VerificationError:
    return VerificationError(
        f"envelope.{problem}",
        f"A signed envelope is refused: {message}.",
        "Take the file from its source again.",
    )


def _base64(text: bytes) -> bytes:
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error as error:
        raise _bad("base64", "a member is not base64") from error
    if binascii.b2a_base64(data, newline=False) != text:
        raise _bad("base64", "a member is base64 in another form than the canonical one")
    return data


@dataclass(frozen=True, slots=True)
class Envelope:
    """A parsed envelope; nothing in it is trusted before :meth:`verify`."""

    payload_type: str
    payload: bytes
    signatures: tuple[Signature, ...]

    def expect(self, payload_type: str) -> None:
        """Raise ``envelope.type`` unless it holds this kind of document."""
        if self.payload_type != payload_type:
            raise _bad("type", f"it holds {shown(self.payload_type)}, not {payload_type}")

    def verify(self, keys: Mapping[str, PublicKey]) -> PublicKey:
        """The key of ``keys`` (by id) that signed it, alone.

        Raises :class:`VerificationError` ``envelope.signatures`` (not exactly one),
        ``key.untrusted`` (somebody else's), or ``signature.bad``.
        """
        if len(self.signatures) != 1:
            raise _bad("signatures", "it has more than one signature")
        signature = self.signatures[0]
        key = keys.get(signature.keyid)
        if key is None:
            raise VerificationError(
                "key.untrusted",
                f"It is signed by key {signature.keyid[:16]}, which is not trusted for this.",
                "If you know whose key it is: bridge keys trust; else do not use the file.",
            )
        key.verify(signature.sig, pae(self.payload_type, self.payload))
        return key


def parse(data: bytes, *, limit: int) -> Envelope:
    """The envelope in ``data``, at most ``limit`` bytes; no signature is checked.

    Raises :class:`VerificationError` ``json.*``, ``document.*`` or ``envelope.*``.
    """
    usual = None if len(data) > limit else _ONE_SIGNATURE.fullmatch(data)
    if usual is None:
        return _parse_strictly(data, limit)
    payload, payload_type, keyid, sig = usual.groups()
    said = _base64(payload)
    return Envelope(payload_type.decode(), said, (Signature(keyid.decode(), _base64(sig)),))


def _parse_strictly(data: bytes, limit: int) -> Envelope:
    fields = Fields(loads(data, limit=limit), "signed envelope")
    payload = _base64(fields.text("payload", r"[A-Za-z0-9+/=]*").encode())
    payload_type = fields.text("payloadType", _TYPE)
    signatures = []
    for item in fields.objects("signatures", 1, SIGNATURES_MAX):
        keyid = item.text("keyid", _KEY_ID)
        sig = _base64(item.text("sig", r"[A-Za-z0-9+/=]*").encode())
        item.done()
        if len(sig) != SIGNATURE_SIZE:
            raise _bad("signatures", f"a signature has not {SIGNATURE_SIZE} bytes")
        signatures.append(Signature(keyid, sig))
    fields.done()
    if _encoded(payload_type, payload, signatures) != data:
        raise _bad("form", "it says what it says in other bytes than the one form has")
    return Envelope(payload_type, payload, tuple(signatures))
