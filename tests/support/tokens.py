"""License tokens for tests, good and bad: only tests and the reference beacon sign any."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from keys.jwks import PinnedKey, load_jwks
from keys.tokens import Expected

NOW_S = 1_900_000_000
DAY_S = 86_400
ISSUER = "https://beacon.example"
AUDIENCE = "langsmith"
Private = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
_SHA = SHA256()


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _number(value: int) -> str:
    return b64(value.to_bytes((value.bit_length() + 7) // 8, "big"))


@dataclass(frozen=True, slots=True)
class Vendor:
    """A vendor's key and its name."""

    kid: str
    algorithm: str
    private: Private

    def sign(self, header: str | Mapping[str, Any] | None, claims: str | Mapping[str, Any]) -> str:
        """A token; text is taken as it is. Without a header it is the right one."""
        if header is None:
            header = {"alg": self.algorithm, "kid": self.kid, "typ": "JWT"}
        parts = [part if isinstance(part, str) else json.dumps(part) for part in (header, claims)]
        message = ".".join(b64(part.encode()) for part in parts)
        return f"{message}.{b64(self._signature(message.encode()))}"

    def _signature(self, message: bytes) -> bytes:
        key = self.private
        if isinstance(key, ed25519.Ed25519PrivateKey):
            return key.sign(message)
        if isinstance(key, ec.EllipticCurvePrivateKey):
            r, s = decode_dss_signature(key.sign(message, ec.ECDSA(_SHA)))
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")
        if self.algorithm == "PS256":
            pss = padding.PSS(padding.MGF1(_SHA), _SHA.digest_size)
            return key.sign(message, pss, _SHA)
        return key.sign(message, padding.PKCS1v15(), _SHA)

    def jwk(self, **more: object) -> dict[str, object]:
        """Its public half."""
        public = self.private.public_key()
        jwk: dict[str, object] = {"kid": self.kid, "alg": self.algorithm, "use": "sig"}
        if isinstance(public, ed25519.Ed25519PublicKey):
            jwk |= {"kty": "OKP", "crv": "Ed25519", "x": b64(public.public_bytes_raw())}
        elif isinstance(public, ec.EllipticCurvePublicKey):
            point = public.public_numbers()
            x, y = (b64(value.to_bytes(32, "big")) for value in (point.x, point.y))
            jwk |= {"kty": "EC", "crv": "P-256", "x": x, "y": y}
        else:
            numbers = public.public_numbers()
            jwk |= {"kty": "RSA", "n": _number(numbers.n), "e": _number(numbers.e)}
        return jwk | more

    def pinned(self) -> tuple[PinnedKey, ...]:
        return load_jwks(jwks(self.jwk()))


def jwks(*keys: Mapping[str, object]) -> bytes:
    return json.dumps({"keys": list(keys)}).encode()


def _rsa(bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


ED = Vendor("ed-1", "EdDSA", ed25519.Ed25519PrivateKey.generate())
OTHER = Vendor("ed-1", "EdDSA", ed25519.Ed25519PrivateKey.generate())
EC = Vendor("ec-1", "ES256", ec.generate_private_key(ec.SECP256R1()))
_RSA_KEY = _rsa(2048)
RS = Vendor("rs-1", "RS256", _RSA_KEY)
PS = Vendor("ps-1", "PS256", _RSA_KEY)
VENDORS = (ED, EC, RS, PS)


def claims(**more: object) -> dict[str, object]:
    """Good ones, issued now for a day; None takes one away."""
    found = {"iss": ISSUER, "aud": AUDIENCE, "iat": NOW_S, "exp": NOW_S + DAY_S, **more}
    return {name: value for name, value in found.items() if value is not None}


def expected(*vendors: Vendor, **more: Any) -> Expected:  # noqa: ANN401 - any of its fields
    """What is expected, with the keys of ``vendors`` pinned."""
    keys = tuple(key for vendor in vendors for key in vendor.pinned())
    return Expected(keys, **{"issuer": ISSUER, "audience": AUDIENCE, **more})
