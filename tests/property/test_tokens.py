"""Any bytes, any claims: a verdict and nothing else; and no second opinion is stricter than ours."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwk, jwt
from joserfc.errors import JoseError

from keys.errors import VerificationError
from keys.jwks import load_jwks
from keys.tokens import Standing, Verdict, judge
from tests.support.tokens import AUDIENCE, DAY_S, ED, ISSUER, NOW_S, VENDORS, claims, expected

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # by a newer name for it
PINNED, OPEN = expected(ED), expected()
NUMBERS = st.integers(NOW_S - 10 * DAY_S, NOW_S + 10 * DAY_S) | st.integers()
LEAVES = st.none() | st.booleans() | NUMBERS | st.floats() | st.text(max_size=20)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
NAMES = st.sampled_from(["exp", "iat", "nbf", "iss", "aud", "sub", "jti", "alg", "kid", "crit"])
CLAIMS = st.dictionaries(NAMES, VALUES | st.sampled_from([ISSUER, AUDIENCE, [AUDIENCE]]))


@given(st.binary(max_size=300))
def test_any_bytes_have_a_verdict_and_none_is_good(data: bytes) -> None:
    for what in (PINNED, OPEN):
        assert judge(data, what, NOW_S).standing is Standing.TAMPERED


@given(CLAIMS, NUMBERS)
def test_what_is_valid_has_its_times_in_order_whatever_it_claims(
    more: dict[str, Any], now_s: int
) -> None:
    found = judge(ED.sign(None, {**claims(), **more}).encode(), PINNED, now_s)
    assert isinstance(found, Verdict)
    if found.standing is Standing.VALID:
        assert found.expires_at is not None
        assert found.issued_at is not None
        assert found.issued_at - 300 <= now_s < found.expires_at
        assert found.expires_at - found.issued_at <= 400 * DAY_S
        assert type(more.get("exp", 1)) is int


@given(CLAIMS, st.sampled_from(VENDORS))
def test_joserfc_verifies_whatever_we_call_valid(more: dict[str, Any], vendor: Any) -> None:  # noqa: ANN401
    token = vendor.sign(None, {**claims(), **more})
    if judge(token.encode(), expected(vendor), NOW_S).standing is not Standing.VALID:
        return
    key = jwk.import_key(vendor.jwk())
    decoded = jwt.decode(token, key, algorithms=[vendor.algorithm])
    checks = jwt.JWTClaimsRegistry(
        now=NOW_S,
        leeway=300,
        exp={"essential": True},
        iss={"essential": True, "value": ISSUER},
        aud={"essential": True, "value": AUDIENCE},
    )
    checks.validate(decoded.claims)


@given(st.sampled_from(VENDORS), st.data())
def test_joserfc_and_we_agree_on_a_changed_token(vendor: Any, data: st.DataObject) -> None:  # noqa: ANN401
    token = bytearray(vendor.sign(None, claims()).encode())
    at = data.draw(st.integers(0, len(token) - 1))
    token[at] = data.draw(st.sampled_from(b"ABCDEFabcdef0123456789-_."))
    ours = judge(bytes(token), expected(vendor), NOW_S).standing
    try:
        jwt.decode(bytes(token).decode(), jwk.import_key(vendor.jwk()), [vendor.algorithm])
    except (JoseError, ValueError, KeyError, TypeError):
        assert ours is not Standing.VALID


@given(
    st.binary(max_size=200) | st.recursive(LEAVES, st.lists).map(lambda v: json.dumps(v).encode())
)
def test_any_set_of_keys_is_taken_or_refused(data: bytes) -> None:
    try:
        load_jwks(data)
    except VerificationError:
        return
    raise AssertionError(data)


@given(st.dictionaries(st.sampled_from(["kty", "crv", "x", "y", "n", "e", "kid", "alg"]), VALUES))
def test_any_key_is_taken_or_refused(more: dict[str, Any]) -> None:
    for vendor in VENDORS:
        try:
            found = load_jwks(json.dumps({"keys": [vendor.jwk(**more)]}).encode())
        except VerificationError:
            continue
        assert found[0].algorithm in ("EdDSA", "ES256", "RS256", "PS256")
