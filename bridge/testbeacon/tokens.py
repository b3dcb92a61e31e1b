"""The license tokens that the beacon hands out: JWTs, signed with its own Ed25519 key.

A token names its license by digest only. What the vendor's tokens look like is not public; these
are as strict as a verifier may wish: ``alg``, ``kid``, ``iss``, ``sub``, ``iat``, ``exp``, ``jti``,
and ``aud`` where one is configured.
"""

import base64
import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass

import orjson

from keys.ed25519 import SigningKey

DAY_S = 24 * 3600
ISSUER = "airgap-bridge-testbeacon"


def _random_id() -> str:
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class TokenMint:
    """Makes tokens that live for ``life_s`` seconds."""

    key: SigningKey
    life_s: int = DAY_S
    issuer: str = ISSUER
    audience: str | None = None
    new_id: Callable[[], str] = _random_id

    def token(self, license_key: str, now_s: int) -> str:
        """A token for ``license_key``, issued at ``now_s`` (seconds since 1970)."""
        claims: dict[str, object] = {"iss": self.issuer, "sub": license_digest(license_key)}
        if self.audience is not None:
            claims["aud"] = self.audience
        claims |= {"iat": now_s, "exp": now_s + self.life_s, "jti": self.new_id()}
        header = {"alg": "EdDSA", "kid": self.key.public.id, "typ": "JWT"}
        signed = b".".join(_base64url(orjson.dumps(part)) for part in (header, claims))
        return (signed + b"." + _base64url(self.key.sign(signed))).decode()

    def jwks(self) -> dict[str, object]:
        """The set with the one key that verifies these tokens (RFC 7517, RFC 8037)."""
        # The public key is the last 32 bytes of its SubjectPublicKeyInfo (RFC 8410).
        raw = self.key.public.spki_der()[-32:]
        return {
            "keys": [
                {
                    "kty": "OKP",
                    "crv": "Ed25519",
                    "x": _base64url(raw).decode(),
                    "kid": self.key.public.id,
                    "alg": "EdDSA",
                    "use": "sig",
                }
            ]
        }


def license_digest(license_key: str) -> str:
    """How a license is named wherever it is written down: the SHA-256 of its key, in hex."""
    return hashlib.sha256(license_key.encode()).hexdigest()


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
