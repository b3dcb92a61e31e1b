"""Segments by hand: every byte from the description in ``docs/formats.md``, none from our writer.

Deterministic, whatever the version of zstd: frames are made of raw blocks, signatures are Ed25519
with a fixed key. Only the checksum of a frame's content is asked of the library; it is XXH64.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from spool.frames import FrameEncoder

HERE = Path(__file__).parent
TYPE = "application/vnd.airgap-bridge.segment.v1+json"
ZEROS = "0" * 64
CHAIN = "000102030405060708090a0b0c0d0e0f"
LINES = (
    b'{"id":"6a1f8a52-5a0f-4a39-9d3c-3f0c8a6f1a01","trace_count":12,"status":"pending"}\n'
    b'{"id":"6a1f8a52-5a0f-4a39-9d3c-3f0c8a6f1a02","trace_count":30,"status":"pending"}\n'
)

Fields = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Key:
    """A signing key that everybody knows; good for nothing but these files."""

    private: Ed25519PrivateKey

    @property
    def id(self) -> str:
        der = self.private.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )
        return hashlib.sha256(der).hexdigest()

    @property
    def pem(self) -> bytes:
        return self.private.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )


def key(name: str) -> Key:
    seed = bytes.fromhex((HERE / "keys" / f"{name}.seed").read_text(encoding="ascii"))
    return Key(Ed25519PrivateKey.from_private_bytes(seed))


SIGNER = key("signer")
STRANGER = key("stranger")
SUCCESSOR = key("successor")


def block(data: bytes, *, last: bool, kind: int = 0, size: int | None = None) -> bytes:
    """One block, RFC 8878 section 3.1.1.2: raw (0) unless told otherwise."""
    header = int(last) | kind << 1 | (len(data) if size is None else size) << 3
    return header.to_bytes(3, "little") + data


def checksum(raw: bytes) -> bytes:
    return FrameEncoder().encode(raw)[-4:]


def frame(raw: bytes, *, claims: int | None = None, blocks: bytes | None = None) -> bytes:
    """A frame that states its size in 4 bytes, needs a window of that size, and has a checksum."""
    size = len(raw) if claims is None else claims
    body = block(raw, last=True) if blocks is None else blocks
    return b"\x28\xb5\x2f\xfd\xa4" + size.to_bytes(4, "little") + body + checksum(raw)


def windowed(raw: bytes, window: int = 0x50) -> bytes:
    """A frame with a window of its own (0x50: 1 MiB), in two blocks."""
    half = len(raw) // 2
    header = b"\x28\xb5\x2f\xfd\x84" + bytes([window]) + len(raw).to_bytes(4, "little")
    return header + block(raw[:half], last=False) + block(raw[half:], last=True) + checksum(raw)


def statement(frames: bytes, lines: bytes, **changes: object) -> dict[str, object]:
    """The first statement of a chain for these frames, with ``changes``; None removes nothing."""
    bare = not lines
    said: dict[str, object] = {
        "v": 1,
        "node": "prod-1",
        "stream": "transactions",
        "chain": CHAIN,
        "seq": 1,
        "prev": ZEROS,
        "records": lines.count(b"\n"),
        "size": len(frames),
        "raw_size": len(lines),
        "sha256": hashlib.sha256(frames).hexdigest(),
        "before": {"records": 0, "raw_size": 0},
        "first_at": None if bare else "2026-11-23T09:00:00.000Z",
        "last_at": None if bare else "2026-11-23T09:00:09.250Z",
        "reason": "heartbeat" if bare else "age",
        "policy": ZEROS,
    }
    return said | changes


def compact(said: object) -> bytes:
    return json.dumps(said, separators=(",", ":"), ensure_ascii=False).encode()


def pae(payload: bytes, payload_type: str = TYPE) -> bytes:
    return b"DSSEv1 %d %s %d %s" % (
        len(payload_type),
        payload_type.encode(),
        len(payload),
        payload,
    )


def signature(payload: bytes, signer: Key = SIGNER, payload_type: str = TYPE) -> dict[str, object]:
    signed = signer.private.sign(pae(payload, payload_type))
    return {"keyid": signer.id, "sig": base64.b64encode(signed).decode()}


def envelope(
    payload: bytes, signatures: Sequence[Fields] | None = None, payload_type: str = TYPE
) -> bytes:
    if signatures is None:
        signatures = [signature(payload, payload_type=payload_type)]
    return compact(
        {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": payload_type,
            "signatures": list(signatures),
        }
    )


def seal(inside: bytes) -> bytes:
    """The skippable frame around an envelope."""
    total = (len(inside) + 12).to_bytes(4, "little")
    return b"\x5b\x2a\x4d\x18" + (len(inside) + 4).to_bytes(4, "little") + inside + total


def signed(frames: bytes, said: object) -> bytes:
    """A segment of these frames whose seal says ``said``."""
    return frames + seal(envelope(compact(said)))
