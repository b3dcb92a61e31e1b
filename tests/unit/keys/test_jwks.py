"""A set of keys is taken whole or not at all (facts: attack 144)."""

import json

import pytest

from keys.errors import VerificationError
from keys.jwks import KEYS_MAX, b64url, load_jwks
from tests.support.tokens import EC, ED, PS, RS, VENDORS, b64, jwks


def test_each_key_has_one_algorithm_and_its_name() -> None:
    found = load_jwks(jwks(*(vendor.jwk() for vendor in VENDORS)))
    assert [(key.kid, key.algorithm) for key in found] == [
        (vendor.kid, vendor.algorithm) for vendor in VENDORS
    ]


def test_without_alg_the_type_of_the_key_decides() -> None:
    for vendor, algorithm in ((ED, "EdDSA"), (EC, "ES256"), (RS, "RS256"), (PS, "RS256")):
        jwk = vendor.jwk()
        del jwk["alg"]
        assert load_jwks(jwks(jwk))[0].algorithm == algorithm


def test_a_single_key_needs_no_name() -> None:
    jwk = ED.jwk()
    del jwk["kid"]
    assert load_jwks(jwks(jwk))[0].kid is None
    with pytest.raises(VerificationError, match="a name"):
        load_jwks(jwks(jwk, EC.jwk()))


WEAK_MODULUS = b64((2**1023 + 1).to_bytes(128, "big"))
SMALL_ORDER = b64(bytes([1]) + bytes(31))
BAD = {
    "duplicate-kid": (jwks(ED.jwk(), EC.jwk(kid=ED.kid)), "jwks.kid"),
    "oct": (jwks({"kty": "oct", "k": "AAAA", "kid": "s"}), "jwks.private"),
    "oct-without-k": (jwks({"kty": "oct", "kid": "s"}), "jwks.type"),
    "use-enc": (jwks(ED.jwk(use="enc")), "jwks.use"),
    "key-ops": (jwks(ED.jwk(key_ops=["sign"])), "jwks.use"),
    "rsa-1024": (jwks(RS.jwk(n=WEAK_MODULUS)), "jwks.weak"),
    "rsa-exponent-1": (jwks(RS.jwk(e="AQ")), "jwks.weak"),
    "rsa-even": (jwks(RS.jwk(n=b64(bytes([255]) * 255 + bytes([254])))), "jwks.weak"),
    "private-d": (jwks(ED.jwk(d="AAAA")), "jwks.private"),
    "private-p": (jwks(RS.jwk(p="AAAA")), "jwks.private"),
    "hmac-on-rsa": (jwks(RS.jwk(alg="HS256")), "jwks.algorithm"),
    "none": (jwks(ED.jwk(alg="none")), "jwks.algorithm"),
    "alg-of-another-type": (jwks(ED.jwk(alg="ES256")), "jwks.algorithm"),
    "alg-list": (jwks(ED.jwk(alg=["EdDSA"])), "document.field"),
    "ed448": (jwks(ED.jwk(crv="Ed448")), "jwks.curve"),
    "x25519": (jwks(ED.jwk(crv="X25519")), "jwks.curve"),
    "p-384": (jwks(EC.jwk(crv="P-384")), "jwks.curve"),
    "not-on-the-curve": (jwks(EC.jwk(x=b64(bytes(31) + b"\1"))), "jwks.curve"),
    "coordinate-short": (jwks(EC.jwk(x=b64(bytes(31)))), "jwks.curve"),
    "small-order": (jwks(ED.jwk(x=SMALL_ORDER)), "key.small_order"),
    "x-short": (jwks(ED.jwk(x=b64(bytes(31)))), "key.encoding"),
    "x-with-padding": (jwks(ED.jwk(x=b64(bytes(32)) + "=")), "document.field"),
    "x-with-loose-bits": (jwks(ED.jwk(x=b64(bytes(32))[:-1] + "B")), "jwks.base64"),
    "kid-a-number": (jwks(ED.jwk(kid=7)), "document.field"),
    "kid-empty": (jwks(ED.jwk(kid="")), "document.field"),
    "kid-of-10-kib": (jwks(ED.jwk(kid="k" * 10_240)), "document.field"),
    "leads-elsewhere": (jwks(ED.jwk(x5u="https://example.invalid")), "document.unknown_key"),
    "no-keys": (jwks(), "document.field"),
    "too-many": (jwks(*(ED.jwk(kid=str(n)) for n in range(KEYS_MAX + 1))), "document.field"),
    "a-list": (b"[]", "document.form"),
    "key-twice": (b'{"keys":[],"keys":[]}', "json.duplicate_key"),
    "one-jwk": (json.dumps(ED.jwk()).encode(), "document.field"),
    "too-large": (b'{"keys":[' + b" " * 70_000 + b"]}", "json.too_large"),
}


@pytest.mark.parametrize("name", BAD)
def test_attack_144_a_set_that_is_not_in_order_is_refused_at_load(name: str) -> None:
    data, error = BAD[name]
    with pytest.raises(VerificationError) as caught:
        load_jwks(data)
    assert caught.value.id == error


RSA_2048 = b64((2**2047 + 1).to_bytes(256, "big"))
RSA_8192 = b64((2**8191 + 1).to_bytes(1024, "big"))


@pytest.mark.parametrize(
    "members",
    [
        {"n": RSA_2048},
        {"n": RSA_8192},
        {"e": b64(b"\3")},
        {"e": b64((2**32 - 1).to_bytes(4, "big"))},
        {"use": "sig"},
    ],
)
def test_an_rsa_key_at_the_bounds_of_what_is_used_is_taken(members: dict[str, str]) -> None:
    assert load_jwks(jwks(RS.jwk(**members)))[0].kid == RS.kid


@pytest.mark.parametrize(
    "members",
    [
        {"n": b64((2**2047 - 1).to_bytes(256, "big"))},
        {"n": b64((2**8192 + 1).to_bytes(1025, "big"))},
        {"e": b64(b"\2")},
        {"e": b64(b"\4")},
        {"e": b64((2**32 + 1).to_bytes(5, "big"))},
    ],
)
def test_an_rsa_key_just_beyond_what_is_used_is_refused(members: dict[str, str]) -> None:
    with pytest.raises(VerificationError) as caught:
        load_jwks(jwks(RS.jwk(**members)))
    assert caught.value.id == "jwks.weak"


@pytest.mark.parametrize("member", ["d", "p", "q", "dp", "dq", "qi", "oth", "k"])
def test_a_key_with_any_secret_member_is_refused(member: str) -> None:
    with pytest.raises(VerificationError) as caught:
        load_jwks(jwks(RS.jwk(**{member: "AAAA"})))
    assert caught.value.id == "jwks.private"


@pytest.mark.parametrize("member", ["x", "y"])
def test_a_coordinate_with_a_zero_before_it_or_without_its_first_byte_is_refused(
    member: str,
) -> None:
    jwk = EC.jwk()
    whole = b64url(str(jwk[member]))
    for wrong in (b"\0" + whole, whole[1:]):
        with pytest.raises(VerificationError) as caught:
            load_jwks(jwks(jwk | {member: b64(wrong)}))
        assert caught.value.id == "jwks.curve"


def test_the_key_that_is_loaded_is_the_public_half_of_the_vendors() -> None:
    for vendor in VENDORS:
        (found,) = load_jwks(jwks(vendor.jwk()))
        assert found.key == vendor.private.public_key()


def test_a_set_of_the_most_keys_is_taken() -> None:
    assert len(load_jwks(jwks(*(ED.jwk(kid=str(n)) for n in range(KEYS_MAX))))) == KEYS_MAX


def test_names_of_1_and_of_128_characters_are_taken_and_a_space_is_refused() -> None:
    for kid in ("!", "~" * 128):
        assert load_jwks(jwks(ED.jwk(kid=kid)))[0].kid == kid
    for kid in ("a b", "k" * 129, "\u00e9"):
        with pytest.raises(VerificationError):
            load_jwks(jwks(ED.jwk(kid=kid)))
