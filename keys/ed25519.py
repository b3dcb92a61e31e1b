"""Ed25519 keys (RFC 8032): to sign, to verify, to be told apart.

A key's id is the SHA-256 of its SubjectPublicKeyInfo in DER, so ``openssl pkey -pubout -outform DER |
sha256sum`` gives it. ``cryptography`` loads public keys of small order, under which anybody can make
signatures that verify; they are refused here, in every encoding, together with encodings that are not
canonical.
"""

import hashlib
from collections.abc import Mapping
from typing import Self

from cryptography.exceptions import InternalError, InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization as pem
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from keys.errors import VerificationError

SIGNATURE_SIZE = 64
"""Bytes of a signature, RFC 8032 section 5.1.6."""
RAW_SIZE = 32
"""Bytes of a raw public key or seed."""
FIELD_PRIME = 2**255 - 19
_SPKI_PREFIX = bytes.fromhex("302a300506032b6570032100")
"""What stands before the 32 raw bytes in the DER of an Ed25519 public key, RFC 8410."""
_TORSION_Y = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
"""The y coordinate of one point of order 8; its negative has the other."""
_SMALL_ORDER_Y = frozenset({0, 1, FIELD_PRIME - 1, _TORSION_Y, FIELD_PRIME - _TORSION_Y})
"""The y coordinates of all eight points whose order divides 8."""
_NOT_READABLE = (ValueError, UnsupportedAlgorithm, InternalError)
"""What ``cryptography`` raises for a PEM; the last for a key of another curve with our length."""


class PublicKey:
    """Verifies; ``id`` is the hex SHA-256 of its SPKI DER."""

    def __init__(self, raw: bytes) -> None:
        """The key of these 32 bytes.

        Raises :class:`VerificationError` ``key.encoding`` or ``key.small_order``.
        """
        if len(raw) != RAW_SIZE:
            raise _bad("encoding", "it has not 32 bytes")
        y = int.from_bytes(raw, "little") & (2**255 - 1)
        if y % FIELD_PRIME in _SMALL_ORDER_Y:
            raise _bad("small_order", "anybody could sign in its name")
        if y >= FIELD_PRIME:
            raise _bad("encoding", "it is not written in the one canonical form")
        self._key = Ed25519PublicKey.from_public_bytes(raw)
        self._raw = raw
        self.id = hashlib.sha256(self.spki_der()).hexdigest()

    @classmethod
    def from_spki_der(cls, der: bytes) -> Self:
        """The key in a SubjectPublicKeyInfo. Raises as the constructor does."""
        if not der.startswith(_SPKI_PREFIX):
            raise _bad("encoding", "it is not the DER of an Ed25519 public key")
        return cls(der.removeprefix(_SPKI_PREFIX))

    @classmethod
    def from_pem(cls, data: bytes) -> Self:
        """The key in ``data``, which is exactly what :meth:`pem` gives; its last newline may miss.

        Raises as the constructor does, and ``key.type``.
        """
        try:
            key = pem.load_pem_public_key(data)
        except _NOT_READABLE as error:
            raise _bad("encoding", "it is not the PEM of a public key") from error
        if not isinstance(key, Ed25519PublicKey):
            raise _bad("type", "it is not an Ed25519 key")
        found = cls(key.public_bytes(pem.Encoding.Raw, pem.PublicFormat.Raw))
        # The loader takes the first of several blocks, and skips what stands around it.
        if not _is_whole(data, found.pem()):
            raise _bad("encoding", "it is not the PEM of a public key")
        return found

    def spki_der(self) -> bytes:
        """Its SubjectPublicKeyInfo, RFC 8410."""
        return _SPKI_PREFIX + self._raw

    def pem(self) -> bytes:
        """Its SubjectPublicKeyInfo as PEM, the bytes that ``openssl pkey -pubout`` writes."""
        return self._key.public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo)

    def verify(self, signature: bytes, message: bytes) -> None:
        """Return if it signed ``message``; else :class:`VerificationError` ``signature.bad``."""
        try:
            if len(signature) != SIGNATURE_SIZE:
                raise InvalidSignature
            self._key.verify(signature, message)
        except InvalidSignature as error:
            raise VerificationError(
                "signature.bad",
                f"The signature was not made by key {self.id[:16]} over these bytes.",
                "Do not use it; take it from its source again.",
            ) from error

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PublicKey) and self._raw == other._raw

    def __hash__(self) -> int:
        return hash(self._raw)

    def __repr__(self) -> str:
        return f"PublicKey({self.id[:16]})"


class SigningKey:
    """Signs; ``public`` is its other half. Nothing that prints it shows the private half."""

    def __init__(self, seed: bytes) -> None:
        """The key of these 32 secret bytes (RFC 8032, section 5.1.5)."""
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        raw = self._key.public_key().public_bytes(pem.Encoding.Raw, pem.PublicFormat.Raw)
        self.public = PublicKey(raw)
        self.took_over_from: tuple[PublicKey, ...] = ()
        """The keys that it was rotated from, the oldest first."""
        self.rotations: tuple[bytes, ...] = ()
        """The statements by which it took over from them, for readers who know one of them."""

    @classmethod
    def generate(cls) -> Self:
        """A new key, from the kernel's randomness."""
        return cls(_seed_of(Ed25519PrivateKey.generate()))

    @classmethod
    def from_pem(cls, data: bytes) -> Self:
        """The key in ``data``, which is exactly what :meth:`pem` gives; its last newline may miss.

        Raises :class:`VerificationError` ``key.encoding``, ``key.encrypted`` or ``key.type``.
        """
        try:
            key = pem.load_pem_private_key(data, password=None)
        except TypeError as error:
            raise _bad(
                "encrypted", "it is encrypted, and nobody could type a passphrase"
            ) from error
        except _NOT_READABLE as error:
            raise _bad("encoding", "it is not the PEM of a private key") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise _bad("type", "it is not an Ed25519 key")
        found = cls(_seed_of(key))
        if not _is_whole(data, found.pem()):
            raise _bad("encoding", "it is not the PEM of a private key")
        return found

    @property
    def own_keys(self) -> Mapping[str, PublicKey]:
        """The keys by id whose signatures are its owner's: those it took over from, and its own."""
        return {key.id: key for key in (*self.took_over_from, self.public)}

    def sign(self, message: bytes) -> bytes:
        """The 64 bytes of its signature; the same message has the same one."""
        return self._key.sign(message)

    def pem(self) -> bytes:
        """Its PKCS#8 PEM. Secret."""
        return self._key.private_bytes(
            pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption()
        )

    def __repr__(self) -> str:
        return f"SigningKey({self.public.id[:16]})"


def _is_whole(data: bytes, block: bytes) -> bool:
    return data in (block, block.removesuffix(b"\n"))


def _seed_of(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(pem.Encoding.Raw, pem.PrivateFormat.Raw, pem.NoEncryption())


def _bad(problem: str, message: str) -> VerificationError:
    return VerificationError(
        f"key.{problem}",
        f"A key is refused: {message}.",
        "Use a key that `bridge init` or `openssl genpkey -algorithm ed25519` made.",
    )
