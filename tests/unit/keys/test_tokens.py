"""Verdicts on tokens: one of four algorithms, strict header and claims, the vendor's own end."""

import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest

from keys.errors import VerificationError
from keys.tokens import TIME_MAX, TIME_MIN, TOKEN_MAX, Standing, Verdict, claims_of, judge
from tests.support.tokens import (
    AUDIENCE,
    DAY_S,
    EC,
    ED,
    ISSUER,
    NOW_S,
    OTHER,
    RS,
    VENDORS,
    Vendor,
    b64,
    claims,
    expected,
)

PINNED = expected(ED)
OPEN = expected()
LICENSE_DIGEST = hashlib.sha256(b"lcl_one").hexdigest()
OTHER_DIGEST = hashlib.sha256(b"lcl_two").hexdigest()


def _judge(token: str | bytes, now_s: int = NOW_S, what: Any = PINNED) -> Verdict:  # noqa: ANN401
    return judge(token.encode() if isinstance(token, str) else token, what, now_s)


def _is(verdict: Verdict, standing: Standing, reason: str) -> None:
    assert (verdict.standing, verdict.reason) == (standing, reason)


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.algorithm)
def test_a_good_token_is_valid_by_its_own_key_and_by_no_other(vendor: Vendor) -> None:
    token = vendor.sign(None, claims())
    found = _judge(token, what=expected(vendor))
    assert found == Verdict(Standing.VALID, "", NOW_S, NOW_S + DAY_S)
    for other in VENDORS:
        if other is not vendor:
            _is(_judge(token, what=expected(other)), Standing.UNVERIFIABLE, "kid")
    assert _judge(token, what=expected(*VENDORS)).standing is Standing.VALID


def test_it_ends_at_its_end_to_the_second_and_leeway_does_not_lengthen_it() -> None:
    token = ED.sign(None, claims())
    assert _judge(token, NOW_S + DAY_S - 1).standing is Standing.VALID
    _is(_judge(token, NOW_S + DAY_S), Standing.EXPIRED, "exp")
    generous = expected(ED, leeway_s=3600)
    assert _judge(token, NOW_S + DAY_S, generous).standing is Standing.EXPIRED


def test_without_a_pinned_key_a_token_is_never_valid() -> None:
    token = ED.sign(None, claims())
    _is(_judge(token, what=OPEN), Standing.UNVERIFIABLE, "unpinned")
    assert _judge(token, NOW_S + DAY_S, OPEN).standing is Standing.EXPIRED
    # Its own end is all that is asked of it then.
    assert _judge(ED.sign(None, claims(iat=None)), what=OPEN).standing is Standing.UNVERIFIABLE
    _is(_judge(ED.sign(None, claims(exp=None)), what=OPEN), Standing.TAMPERED, "exp")


@pytest.mark.parametrize("what", [PINNED, OPEN], ids=["pinned", "open"])
@pytest.mark.parametrize(
    "algorithm",
    ["none", "None", "NONE", "nOnE", "HS256", "HS512", "", None, 1, ["EdDSA"], {}],
    ids=repr,
)
def test_attack_134_an_algorithm_that_is_not_the_keys_is_tampering(
    algorithm: object,
    what: Any,  # noqa: ANN401
) -> None:
    header = {"alg": algorithm, "kid": ED.kid}
    _is(_judge(ED.sign(header, claims()), what=what), Standing.TAMPERED, "algorithm")
    unsigned = ED.sign(header, claims()).rpartition(".")[0]
    for token in (unsigned + ".", unsigned):
        _is(_judge(token, what=what), Standing.TAMPERED, "form")


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.algorithm)
def test_attack_134_hmac_with_the_public_key_as_secret_is_tampering(vendor: Vendor) -> None:
    head = b64(json.dumps({"alg": "HS256", "kid": vendor.kid}).encode())
    message = f"{head}.{b64(json.dumps(claims()).encode())}"
    for secret in (json.dumps(vendor.jwk()).encode(), str(vendor.jwk().get("x")).encode()):
        tag = hmac.digest(secret, message.encode(), "sha256")
        verdict = _judge(f"{message}.{b64(tag)}", what=expected(vendor))
        _is(verdict, Standing.TAMPERED, "algorithm")


def test_attack_134_an_rsa_key_verifies_by_its_one_algorithm() -> None:
    token = RS.sign({"alg": "PS256", "kid": RS.kid}, claims())
    _is(_judge(token, what=expected(RS)), Standing.TAMPERED, "algorithm")


@pytest.mark.parametrize(
    ("kid", "standing"),
    [
        ("another", Standing.UNVERIFIABLE),
        ("../../dev/null", Standing.UNVERIFIABLE),
        ("x'OR'1'='1", Standing.UNVERIFIABLE),
        ("' OR 1=1 --", Standing.TAMPERED),
        (7, Standing.TAMPERED),
        (None, Standing.TAMPERED),
        ([ED.kid], Standing.TAMPERED),
        ("", Standing.TAMPERED),
        ("k" * 10_240, Standing.TAMPERED),
        (ED.kid + "\0", Standing.TAMPERED),
        (ED.kid + "\n", Standing.TAMPERED),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_attack_135_a_kid_names_a_pinned_key_exactly(kid: object, standing: Standing) -> None:
    found = _judge(ED.sign({"alg": "EdDSA", "kid": kid}, claims()))
    _is(found, standing, "kid")
    assert not found.usable


def test_attack_135_by_a_key_that_is_not_pinned_its_times_are_told_and_it_is_not_usable() -> None:
    header = {"alg": "EdDSA", "kid": "the-vendors-next"}
    found = _judge(OTHER.sign(header, claims()))
    assert found == Verdict(Standing.UNVERIFIABLE, "kid", NOW_S, NOW_S + DAY_S)
    ahead = _judge(OTHER.sign(header, claims(iat=NOW_S + 3600)))
    for each in (found, ahead):
        _is(each, Standing.UNVERIFIABLE, "kid")
        assert not each.usable
    assert _judge(OTHER.sign(header, claims()), NOW_S + DAY_S).standing is Standing.EXPIRED
    _is(_judge(OTHER.sign(header, claims(exp="x"))), Standing.TAMPERED, "exp")
    assert _judge(OTHER.sign(header, claims(iat=None))).standing is Standing.UNVERIFIABLE


def test_a_token_that_names_no_key_is_judged_by_the_only_one() -> None:
    token = ED.sign({"alg": "EdDSA"}, claims())
    assert _judge(token).standing is Standing.VALID
    _is(_judge(token, what=expected(ED, EC)), Standing.UNVERIFIABLE, "kid")


@pytest.mark.parametrize(
    "more",
    [
        {"jku": "https://example.invalid/keys"},
        {"x5u": "https://example.invalid/cert"},
        {"x5c": ["MIIB"]},
        {"jwk": OTHER.jwk()},
        {"crit": ["exp"], "exp": 1},
        {"b64": False, "crit": ["b64"]},
        {"b64": False},
        {"zip": "DEF"},
        {"enc": "A256GCM"},
    ],
)
@pytest.mark.parametrize("what", [PINNED, OPEN], ids=["pinned", "open"])
def test_attack_136_a_header_that_leads_elsewhere_is_tampering(
    more: dict[str, object],
    what: Any,  # noqa: ANN401
) -> None:
    header = {"alg": "EdDSA", "kid": ED.kid, **more}
    for vendor in (ED, OTHER):
        _is(_judge(vendor.sign(header, claims()), what=what), Standing.TAMPERED, "header")


TIMES = ['"9999999999"', "true", "1e30", "1e999", "null", "[1]", "1.9e9", "1900000000.5"]
TIMES += ["-1", "0", "1" + "0" * 400, "1" + "0" * 30, "9007199254740993", "{}", '"x"', "Infinity"]
TIMES += ["NaN", "01900000000", "-0"]


@pytest.mark.parametrize("text", TIMES, ids=lambda text: text[:40])
@pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
def test_attack_137_a_time_that_is_no_integer_in_range_is_tampering(name: str, text: str) -> None:
    good = json.dumps(claims(**{name: 7_777}))
    token = ED.sign(None, good.replace("7777", text))
    for what in (PINNED, OPEN):
        found = _judge(token, what=what)
        assert found.standing is Standing.TAMPERED
        assert found.reason in (name, "claims")


def test_attack_137_a_missing_end_or_begin_is_tampering() -> None:
    _is(_judge(ED.sign(None, claims(exp=None))), Standing.TAMPERED, "exp")
    _is(_judge(ED.sign(None, claims(iat=None))), Standing.TAMPERED, "iat")


def test_a_claim_that_stands_there_twice_is_tampering() -> None:
    text = json.dumps(claims())[:-1] + f', "exp": {NOW_S + 100 * DAY_S}}}'
    _is(_judge(ED.sign(None, text)), Standing.TAMPERED, "claims")
    header = '{"alg":"EdDSA","alg":"none","kid":"ed-1"}'
    _is(_judge(ED.sign(header, claims())), Standing.TAMPERED, "header")


@pytest.mark.parametrize(
    "text", ["[]", '"x"', "7", "null", "", " ", "{", "{}x", "\ufeff{}"], ids=repr
)
def test_claims_and_header_are_objects(text: str) -> None:
    assert _judge(ED.sign(None, text)).standing is Standing.TAMPERED
    assert _judge(ED.sign(text, claims())).standing is Standing.TAMPERED


def test_attack_139_a_life_longer_than_allowed_is_tampering() -> None:
    longest = expected(ED, max_life_s=400 * DAY_S)
    token = ED.sign(None, claims(exp=NOW_S + 400 * DAY_S))
    assert _judge(token, what=longest).standing is Standing.VALID
    for more in ({"exp": NOW_S + 400 * DAY_S + 1}, {"exp": NOW_S + 3650 * DAY_S}):
        _is(_judge(ED.sign(None, claims(**more)), what=longest), Standing.TAMPERED, "life")
    for more in ({"exp": NOW_S}, {"exp": NOW_S - 1}, {"nbf": NOW_S + DAY_S}):
        _is(_judge(ED.sign(None, claims(**more)), what=longest), Standing.TAMPERED, "life")
    far = ED.sign(None, claims(iat=None, exp=NOW_S + 500 * DAY_S))
    _is(_judge(far, what=OPEN), Standing.TAMPERED, "life")


def test_attack_140_a_begin_ahead_of_the_clock_is_not_yet_valid_beyond_the_leeway() -> None:
    for name, late in (("iat", {"iat": NOW_S + DAY_S, "exp": NOW_S + 2 * DAY_S}), ("nbf", {})):
        found = _judge(ED.sign(None, claims(**(late or {"nbf": NOW_S + 3600}))))
        _is(found, Standing.NOT_YET_VALID, name)
        assert found.usable
    for more in ({"iat": NOW_S + 300}, {"nbf": NOW_S + 300}):
        assert _judge(ED.sign(None, claims(**more))).standing is Standing.VALID
    _is(_judge(ED.sign(None, claims(iat=NOW_S + 301))), Standing.NOT_YET_VALID, "iat")


@pytest.mark.parametrize(
    "issuer", [ISSUER + "/", ISSUER[:-1], ISSUER.upper(), [ISSUER], {}, 7, "", None], ids=repr
)
def test_attack_141_the_issuer_is_the_one_exactly(issuer: object) -> None:
    _is(_judge(ED.sign(None, claims(iss=issuer))), Standing.TAMPERED, "issuer")


@pytest.mark.parametrize(
    "audience",
    [[AUDIENCE, "x"], ["x"], [], AUDIENCE + "x", AUDIENCE[:-1], 7, [7], {}, None],
    ids=repr,
)
def test_attack_141_the_audience_is_the_one_alone(audience: object) -> None:
    _is(_judge(ED.sign(None, claims(aud=audience))), Standing.TAMPERED, "audience")


def test_an_audience_in_a_list_of_one_is_the_same_audience() -> None:
    assert _judge(ED.sign(None, claims(aud=[AUDIENCE]))).standing is Standing.VALID


def test_what_nobody_expects_is_left_open() -> None:
    anybody = expected(ED, issuer=None, audience=None)
    for more in ({"iss": None}, {"iss": "x"}, {"aud": None}, {"aud": ["x", "y"]}):
        assert _judge(ED.sign(None, claims(**more)), what=anybody).standing is Standing.VALID


def test_attack_142_a_token_of_another_license_is_tampering() -> None:
    bound = expected(ED, bindings=frozenset({LICENSE_DIGEST}))
    for good in (LICENSE_DIGEST, "customer 7", None):
        token = ED.sign(None, claims(sub=good))
        assert _judge(token, what=bound).standing is Standing.VALID
    for bad in (OTHER_DIGEST, 7, [LICENSE_DIGEST]):
        token = ED.sign(None, claims(sub=bad))
        _is(_judge(token, what=bound), Standing.TAMPERED, "binding")


def test_another_key_of_the_same_name_signs_nothing_that_counts() -> None:
    _is(_judge(OTHER.sign(None, claims())), Standing.TAMPERED, "signature")


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.algorithm)
def test_a_flipped_bit_anywhere_is_seen(vendor: Vendor) -> None:
    token = vendor.sign(None, claims()).encode()
    what = expected(vendor)
    for at in range(0, len(token), 7):
        flipped = token[:at] + bytes([token[at] ^ 1]) + token[at + 1 :]
        found = judge(flipped, what, NOW_S)
        assert found.standing is not Standing.VALID


CHANGES: tuple[Callable[[str], str], ...] = (
    lambda token: token + "=",
    lambda token: token + "\n",
    lambda token: " " + token,
    lambda token: token + ".x",
    lambda token: token.replace(".", "..", 1),
    lambda token: "Bearer " + token,
    lambda token: f'"{token}"',
    lambda token: token.replace("_", "/").replace("-", "+") + "+",
    lambda token: json.dumps({"token": token}),
    lambda token: "\u00e9" + token,
    lambda _: "",
    lambda _: "..",
    lambda _: "." * 1000,
)


def test_only_the_compact_form_is_a_token() -> None:
    for change in CHANGES:
        _is(_judge(change(ED.sign(None, claims()))), Standing.TAMPERED, "form")


def test_loose_bits_at_the_end_of_a_part_are_no_other_way_to_write_it() -> None:
    head, payload, signature = ED.sign(None, claims()).split(".")
    following = chr(ord(signature[-1]) + 1)  # of 64 bytes the last four bits stand alone
    _is(_judge(f"{head}.{payload}.{signature[:-1]}{following}"), Standing.TAMPERED, "form")


def test_what_is_too_large_is_not_even_taken_apart() -> None:
    token = ED.sign(None, claims(more="x" * TOKEN_MAX))
    _is(_judge(token), Standing.TAMPERED, "size")


def test_claims_can_be_shown_and_what_is_no_token_says_so() -> None:
    assert claims_of(ED.sign(None, claims()).encode())["exp"] == NOW_S + DAY_S
    with pytest.raises(VerificationError) as caught:
        claims_of(b"none")
    assert caught.value.id == "token.form"


def test_times_are_taken_up_to_both_bounds_and_not_beyond() -> None:
    # A token that lives for all of them lives too long: the next thing that is looked at.
    for more in ({"exp": TIME_MAX}, {"iat": TIME_MIN}):
        _is(_judge(ED.sign(None, claims(**more))), Standing.TAMPERED, "life")
    for name, beyond in (("exp", TIME_MAX + 1), ("iat", TIME_MIN - 1)):
        _is(_judge(ED.sign(None, claims(**{name: beyond}))), Standing.TAMPERED, name)


def test_a_life_of_a_second_is_one() -> None:
    assert _judge(ED.sign(None, claims(exp=NOW_S + 1))).standing is Standing.VALID


def test_without_an_issue_time_life_counts_from_the_begin_and_without_any_from_now() -> None:
    short = expected(max_life_s=10)
    begins = claims(iat=None, nbf=NOW_S, exp=NOW_S + 11)
    _is(_judge(ED.sign(None, begins), NOW_S + 5, short), Standing.TAMPERED, "life")
    timeless = ED.sign(None, claims(iat=None, exp=NOW_S + 10))
    _is(_judge(timeless, NOW_S, short), Standing.UNVERIFIABLE, "unpinned")
    _is(_judge(timeless, NOW_S - 1, short), Standing.TAMPERED, "life")


def test_a_verdict_tells_when_the_token_begins() -> None:
    assert _judge(ED.sign(None, claims(nbf=NOW_S + 7))).begins_at == NOW_S + 7


def test_a_name_that_is_no_text_is_tampering_also_where_nobody_expects_one() -> None:
    anybody = expected(ED, issuer=None, audience=None)
    for more, reason in (
        ({"iss": 7}, "issuer"),
        ({"aud": 7}, "audience"),
        ({"aud": []}, "audience"),
        ({"aud": ["x", 7]}, "audience"),
        ({"jti": 7}, "claims"),
    ):
        _is(_judge(ED.sign(None, claims(**more)), what=anybody), Standing.TAMPERED, reason)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("JWT", ""),
        ("application/at+jwt", ""),
        ("", ""),
        (None, ""),
        ("application/at+jwt ", "header"),
        (7, "header"),
        ([], "header"),
        ({}, "header"),
        ("x" * 4096, "header"),
    ],
)
def test_the_type_that_a_token_names_is_a_short_word(kind: object, reason: str) -> None:
    token = ED.sign({"alg": ED.algorithm, "kid": ED.kid, "typ": kind}, claims())
    _is(_judge(token), Standing.TAMPERED if reason else Standing.VALID, reason)


@pytest.mark.parametrize(("size", "reason"), [(TOKEN_MAX, "form"), (TOKEN_MAX + 1, "size")])
def test_a_token_is_too_large_from_one_byte_beyond_the_limit_on(size: int, reason: str) -> None:
    _is(_judge(b"." * size), Standing.TAMPERED, reason)


def test_a_header_or_claims_that_are_no_object_are_told_apart() -> None:
    _is(_judge(ED.sign("[]", claims())), Standing.TAMPERED, "header")
    _is(_judge(ED.sign(None, "[]")), Standing.TAMPERED, "claims")
