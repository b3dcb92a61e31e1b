"""The vendor's pinned keys: a JWK Set (RFC 7517) in a file, read with suspicion.

Each key verifies by one algorithm and no other. A set with anything in it that we would not use is
refused as a whole: a secret, a private key, a weak key, a key for another purpose, a name used twice.
Nothing in a set leads to another place.
"""

import base64
import binascii
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicNumbers
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey as EcKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers

from keys.ed25519 import PublicKey
from keys.errors import VerificationError, shown
from keys.strictjson import Fields, loads

SET_MAX = 64 * 1024
"""Bytes of a set; one with a handful of RSA keys has a few thousand."""
KEYS_MAX = 16
"""Keys of a set: a vendor who exchanges keys has two or three."""
RSA_BITS_MIN = 2048
"""Less is forged by who can pay for it (NIST SP 800-131A)."""
RSA_BITS_MAX = 8192
"""More only costs time at every verification."""
RSA_EXPONENT_MIN, RSA_EXPONENT_MAX = 3, 2**32 - 1
EC_SIZE = 32
"""Bytes of a coordinate on P-256."""
KID = r"[\x21-\x7e]{1,128}"
"""A key's name: printable, without spaces, short."""
_TEXT = r"[\x20-\x7e]{0,4096}"
_B64 = r"[A-Za-z0-9_-]{1,2048}"
_PRIVATE = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")
_ALGORITHMS = {"OKP": ("EdDSA",), "EC": ("ES256",), "RSA": ("RS256", "PS256")}
"""What each type of key may be used with here, the first where the key does not say."""

VerifyingKey = Ed25519PublicKey | EcKey | RSAPublicKey


@dataclass(frozen=True, slots=True)
class PinnedKey:
    """One key: its name (None: the only one of its set), its one algorithm, the key itself."""

    kid: str | None
    algorithm: str
    key: VerifyingKey


def load_jwks(data: bytes) -> tuple[PinnedKey, ...]:
    """The keys of the set in ``data``, one at least.

    Raises :class:`VerificationError` ``jwks.*``, ``json.*`` or ``document.*``.
    """
    fields = Fields(loads(data, limit=SET_MAX), "JWK set")
    keys = [_key(item) for item in fields.objects("keys", 1, KEYS_MAX)]
    fields.done()
    names = [key.kid for key in keys]
    if len(set(names)) != len(names) or (None in names and len(names) > 1):
        raise _bad("kid", "its keys do not each have a name (kid) of their own")
    return tuple(keys)


def _bad(problem: str, message: str) -> VerificationError:
    return VerificationError(
        f"jwks.{problem}",
        f"The set of license keys is refused: {message}.",
        "Take the vendor's public signature keys alone, as the vendor publishes them.",
    )


def _key(fields: Fields) -> PinnedKey:
    for name in _PRIVATE:
        if name in fields:
            raise _bad("private", f"a key in it is secret (member {name})")
    kty = fields.text("kty", _TEXT)
    if kty not in _ALGORITHMS:
        raise _bad("type", f"it has a key of type {shown(kty)}; OKP, EC and RSA can be used")
    if "use" in fields and fields.text("use", _TEXT) != "sig":
        raise _bad("use", "a key in it is not for signatures")
    if "key_ops" in fields:
        raise _bad("use", "a key in it has key_ops; use says what a key is for")
    algorithm = fields.text("alg", _TEXT) if "alg" in fields else _ALGORITHMS[kty][0]
    if algorithm not in _ALGORITHMS[kty]:
        raise _bad("algorithm", f"a key of type {kty} in it has the algorithm {shown(algorithm)}")
    kid = fields.text("kid", KID) if "kid" in fields else None
    key = {"OKP": _ed25519, "EC": _p256, "RSA": _rsa}[kty](fields)
    fields.done()
    return PinnedKey(kid, algorithm, key)


def _bytes(fields: Fields, name: str) -> bytes:
    text = fields.text(name, _B64)
    try:
        return b64url(text)
    except ValueError as error:
        raise _bad("base64", f"the member {name} of a key is not base64url") from error


def b64url(text: str) -> bytes:
    """The bytes of ``text``, which is in the one form without padding; else :class:`ValueError`."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(text) from error
    if base64.urlsafe_b64encode(data).rstrip(b"=").decode() != text:
        raise ValueError(text)
    return data


def _ed25519(fields: Fields) -> VerifyingKey:
    if fields.text("crv", _TEXT) != "Ed25519":
        raise _bad("curve", "a key of type OKP in it is not on Ed25519")
    raw = _bytes(fields, "x")
    PublicKey(raw)  # refuses small order and other forms
    return Ed25519PublicKey.from_public_bytes(raw)


def _p256(fields: Fields) -> VerifyingKey:
    if fields.text("crv", _TEXT) != "P-256":
        raise _bad("curve", "a key of type EC in it is not on P-256")
    x, y = _bytes(fields, "x"), _bytes(fields, "y")
    if len(x) != EC_SIZE or len(y) != EC_SIZE:
        raise _bad("curve", "a coordinate in it has not 32 bytes")
    try:
        point = EllipticCurvePublicNumbers(
            int.from_bytes(x, "big"), int.from_bytes(y, "big"), SECP256R1()
        )
        return point.public_key()
    except ValueError as error:
        raise _bad("curve", "a key in it is no point of P-256") from error


def _rsa(fields: Fields) -> VerifyingKey:
    raw_n, raw_e = _bytes(fields, "n"), _bytes(fields, "e")
    n, e = int.from_bytes(raw_n, "big"), int.from_bytes(raw_e, "big")
    if not RSA_BITS_MIN <= n.bit_length() <= RSA_BITS_MAX or not n % 2:
        raise _bad("weak", f"an RSA key in it has not {RSA_BITS_MIN} to {RSA_BITS_MAX} bits")
    if not RSA_EXPONENT_MIN <= e <= RSA_EXPONENT_MAX or not e % 2:
        raise _bad("weak", "the exponent of an RSA key in it is not one that is used")
    try:
        return RSAPublicNumbers(e, n).public_key()
    except ValueError as error:
        raise _bad("weak", "an RSA key in it cannot be used") from error
