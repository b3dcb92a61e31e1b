"""License tokens (JWT, RFC 7519 and 7515): the verdict on bytes, at a time; the only importer of jwt.

A pure function: token, pinned keys, what is expected, and the time in; a standing, a reason and the
token's own times out. It never raises for what the bytes are, and reads and asks nothing. pyjwt judges
the signature alone, with one key and one algorithm that the key decides. Header and claims are judged
here, by strict JSON: they have one reading, or the token counts as tampered with.

Without a pinned key, and where it names one that is not pinned, a token that is in order otherwise is
``UNVERIFIABLE``, never ``VALID``. Leeway is for clocks that are behind the vendor's; it never lengthens
a life.
"""

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

import jwt

from keys.errors import VerificationError
from keys.jwks import KID, PinnedKey, b64url
from keys.strictjson import JsonValue, loads

TOKEN_MAX = 16 * 1024
"""Bytes of a token; one with an RSA signature and a page of claims has two thousand."""
TIME_MIN, TIME_MAX = 1_000_000_000, 253_402_300_799
"""Seconds since 1970: from 2001 to the end of the year 9999."""
_LEADS_ELSEWHERE = ("jku", "jwk", "x5u", "x5c", "crit", "b64", "zip", "enc")
"""Header members by which a token would choose its own key, or its own meaning."""
_ASYMMETRIC = re.compile(r"EdDSA|Ed25519|(?:RS|PS|ES)(?:256|384|512)")
"""Algorithms of tokens that we keep without being able to verify them; no HMAC, no ``none``."""
_BINDING = re.compile(r"[0-9a-f]{64}")
_COMPACT = re.compile(rb"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")

Reason = Literal[
    "", "size", "form", "header", "algorithm", "kid", "signature", "claims", "exp", "iat", "nbf",
    "life", "issuer", "audience", "binding", "unpinned",
]  # fmt: skip
"""What decided; empty where nothing is wrong."""


class Standing(StrEnum):
    """What a token is worth at a time."""

    VALID = "VALID"
    UNVERIFIABLE = "UNVERIFIABLE"
    NOT_YET_VALID = "NOT_YET_VALID"
    EXPIRED = "EXPIRED"
    TAMPERED = "TAMPERED"


@dataclass(frozen=True, slots=True)
class Expected:
    """What a token must be: signed by one of ``keys``, for this ``issuer`` and ``audience`` exactly.

    None leaves one open. ``bindings`` are the digests (SHA-256, hex) of the license keys that it may
    be of; a subject in that form must be among them, unless there are none. Durations in seconds.
    """

    keys: tuple[PinnedKey, ...] = ()
    issuer: str | None = None
    audience: str | None = None
    bindings: frozenset[str] = frozenset()
    leeway_s: int = 300
    max_life_s: int = 400 * 86_400


@dataclass(frozen=True, slots=True)
class Verdict:
    """A standing, and why; the token's own times, seconds since 1970 UTC, None where it tells none."""

    standing: Standing
    reason: Reason = ""
    issued_at: int | None = None
    expires_at: int | None = None
    begins_at: int | None = None

    @property
    def usable(self) -> bool:
        """Whether it is in order, now or one day, as far as anybody here can tell."""
        good = (Standing.VALID, Standing.UNVERIFIABLE, Standing.NOT_YET_VALID)
        return self.standing in good and self.reason != "kid"


class _RefusedError(Exception):
    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.verdict = Verdict(Standing.TAMPERED, reason)


def judge(token: bytes, expected: Expected, now_s: int) -> Verdict:
    """What ``token`` is worth at ``now_s``, seconds since 1970 UTC."""
    try:
        header, payload = _parts(token)
        key = _key_of(header, expected.keys)
        if key is not None:
            _check_signature(token, key)
        doubt: Reason = "" if key is not None else "kid" if expected.keys else "unpinned"
        return _judge_claims(payload, expected, now_s, doubt)
    except _RefusedError as refused:
        return refused.verdict


def claims_of(token: bytes) -> dict[str, JsonValue]:
    """The claims in ``token``, for people; nothing of them is verified.

    Raises :class:`VerificationError` ``token.form``.
    """
    try:
        return _parts(token)[1]
    except _RefusedError as refused:
        raise VerificationError(
            "token.form",
            "This is no license token in the compact form of a JWT.",
            "Take the token as the vendor gave it, on one line, without quotes.",
        ) from refused


def _parts(token: bytes) -> tuple[dict[str, JsonValue], dict[str, JsonValue]]:
    if len(token) > TOKEN_MAX:
        raise _RefusedError("size")
    if not _COMPACT.fullmatch(token):
        raise _RefusedError("form")
    try:
        header, payload, _ = (b64url(part) for part in token.decode("ascii").split("."))
    except ValueError as error:
        raise _RefusedError("form") from error
    return _object(header, "header"), _object(payload, "claims")


def _object(data: bytes, reason: Reason) -> dict[str, JsonValue]:
    try:
        found = loads(data, limit=TOKEN_MAX)
    except VerificationError as error:
        raise _RefusedError(reason) from error
    if not isinstance(found, dict):
        raise _RefusedError(reason)
    return found


def _key_of(header: dict[str, JsonValue], keys: tuple[PinnedKey, ...]) -> PinnedKey | None:
    """The one key that must have signed it; None where it is not pinned, or none is."""
    if any(name in header for name in _LEADS_ELSEWHERE):
        raise _RefusedError("header")
    kind = header.get("typ")
    if kind is not None and not (isinstance(kind, str) and len(kind) <= len("application/at+jwt")):
        raise _RefusedError("header")
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or not _ASYMMETRIC.fullmatch(algorithm):
        raise _RefusedError("algorithm")
    kid = header.get("kid")
    if "kid" in header and not (isinstance(kid, str) and re.fullmatch(KID, kid)):
        raise _RefusedError("kid")
    if not keys:
        return None
    found = [key for key in keys if key.kid == kid]
    if not found and kid is None and len(keys) == 1:
        found = list(keys)
    if not found:
        return None
    if found[0].algorithm != algorithm:
        raise _RefusedError("algorithm")
    return found[0]


def _check_signature(token: bytes, key: PinnedKey) -> None:
    judge_of_signatures = jwt.PyJWS(algorithms=[key.algorithm])
    try:
        judge_of_signatures.decode_complete(token, key.key, algorithms=[key.algorithm])
    except jwt.PyJWTError as error:
        raise _RefusedError("signature") from error


def _judge_claims(
    claims: dict[str, JsonValue], expected: Expected, now_s: int, doubt: Reason
) -> Verdict:
    """``doubt`` says why nobody can verify the signature; empty where it was verified."""
    expires_at = _time(claims, "exp", required=True)
    issued_at = _time(claims, "iat", required=not doubt)
    begins_at = _time(claims, "nbf", required=False)
    assert expires_at is not None  # noqa: S101 - it is required
    begin = issued_at if issued_at is not None else begins_at
    if begin is None:
        begin = now_s
        too_long = expires_at - begin > expected.max_life_s
    else:
        too_long = not 0 < expires_at - begin <= expected.max_life_s
    if too_long or (begins_at is not None and begins_at >= expires_at):
        raise _RefusedError("life")
    _check_names(claims, expected)
    verdict = Verdict(
        Standing.UNVERIFIABLE if doubt else Standing.VALID,
        doubt,
        issued_at,
        expires_at,
        begins_at,
    )
    if now_s >= expires_at:
        return replace(verdict, standing=Standing.EXPIRED, reason="exp")
    if doubt == "kid":
        return verdict  # its begin is nothing that one could wait for
    if issued_at is not None and issued_at > now_s + expected.leeway_s:
        return replace(verdict, standing=Standing.NOT_YET_VALID, reason="iat")
    if begins_at is not None and begins_at > now_s + expected.leeway_s:
        return replace(verdict, standing=Standing.NOT_YET_VALID, reason="nbf")
    return verdict


def _time(
    claims: dict[str, JsonValue], name: Literal["exp", "iat", "nbf"], *, required: bool
) -> int | None:
    if name not in claims and not required:
        return None
    value = claims.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not TIME_MIN <= value <= TIME_MAX:
        raise _RefusedError(name)
    return value


def _check_names(claims: dict[str, JsonValue], expected: Expected) -> None:
    issuer, audience, subject = (claims.get(name) for name in ("iss", "aud", "sub"))
    if "iss" in claims and not isinstance(issuer, str):
        raise _RefusedError("issuer")
    if expected.issuer is not None and issuer != expected.issuer:
        raise _RefusedError("issuer")
    named = [audience] if isinstance(audience, str) else audience
    if "aud" in claims and not (
        isinstance(named, list) and named and all(isinstance(name, str) for name in named)
    ):
        raise _RefusedError("audience")
    if expected.audience is not None and named != [expected.audience]:
        raise _RefusedError("audience")
    if "sub" in claims and not isinstance(subject, str):
        raise _RefusedError("binding")
    if "jti" in claims and not isinstance(claims["jti"], str):
        raise _RefusedError("claims")
    names_a_license = isinstance(subject, str) and _BINDING.fullmatch(subject)
    if names_a_license and expected.bindings and subject not in expected.bindings:
        raise _RefusedError("binding")
