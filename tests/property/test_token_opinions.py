"""Three judges of the same tokens: ours, joserfc and npm's jose; no other is stricter than ours.

Where ours refuses and another does not, the reason is one of :data:`STRICTER`: rules that are ours on
purpose. About signatures, algorithms, issuers and the second of the end, all three are of one mind.
"""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest
from joserfc import jwk, jwt
from joserfc.errors import JoseError

from keys.tokens import Standing, judge
from tests.support.tokens import (
    AUDIENCE,
    DAY_S,
    ED,
    ISSUER,
    NOW_S,
    OTHER,
    VENDORS,
    Vendor,
    b64,
    claims,
    expected,
)

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # by a newer name for it
JUDGE = Path(__file__).parents[1] / "support" / "clients" / "js" / "judge.mjs"
STRICTER = {
    "form": "base64url has one form here, and nothing stands around a token",
    "header": "nothing in a header leads elsewhere, and no name stands there twice",
    "kid": "a token names its key, exactly",
    "claims": "claims have one reading: no name twice, no float, no number beyond 2^53",
    "iat": "a begin is an integer in range, and not ahead of the clock",
    "nbf": "the same",
    "life": "a life is bounded",
    "audience": "for one audience alone",
    "binding": "a subject is a text",
}
"""Reasons for which ours alone may refuse."""
RANDOM_TOKENS = 400


@dataclass(frozen=True, slots=True)
class Case:
    """A token, who is said to have signed it, and when it is judged."""

    token: str
    vendor: Vendor = ED
    now_s: int = NOW_S


def _header(vendor: Vendor, **more: object) -> dict[str, object]:
    return {"alg": vendor.algorithm, "kid": vendor.kid, "typ": "JWT", **more}


def _headers() -> Iterator[dict[str, object]]:
    for algorithm in ("none", "None", "HS256", "HS512", "", None, 1, ["EdDSA"], "ES256", "RS256"):
        yield {"alg": algorithm}
    for kid in ("another", "../../dev/null", "' OR 1=1 --", 7, None, [ED.kid], "", "k" * 9_000):
        yield {"kid": kid}
    yield {"jku": "https://example.invalid/keys"}
    yield {"x5u": "https://example.invalid/cert"}
    yield {"jwk": OTHER.jwk()}
    yield {"crit": ["exp"], "exp": 1}
    yield {"b64": False, "crit": ["b64"]}
    yield {"zip": "DEF"}
    yield {"typ": ["JWT"]}


def _times() -> Iterator[str]:
    yield from ('"9999999999"', "true", "1e30", "1e999", "null", "[1]", "1.9e9", "1900000000.5")
    yield from ("-1", "0", "1" + "0" * 400, "9007199254740993", "{}", "NaN", "Infinity", "-0")


def _claims(random: Random) -> dict[str, object]:
    """Some claims in order, some not."""
    iat = NOW_S - random.randrange(0, 3 * DAY_S)
    made: dict[str, object] = claims(
        iat=iat, exp=iat + random.choice([DAY_S, 4 * DAY_S, 30 * DAY_S, 399 * DAY_S, 401 * DAY_S])
    )
    wrong: list[object] = [None, 7, "x", [], {}, [ISSUER], [AUDIENCE], [AUDIENCE, "x"], True, -1]
    for name in random.sample(["iss", "aud", "exp", "iat", "nbf", "sub", "jti"], 2):
        if random.random() < 0.4:
            made[name] = random.choice([*wrong, NOW_S + random.randrange(-DAY_S, DAY_S)])
    return made


def _cases() -> Iterator[Case]:
    random = Random(134)
    for vendor in VENDORS:
        good = vendor.sign(None, claims())
        yield Case(good, vendor)
        for now_s in (NOW_S - 3600, NOW_S + DAY_S - 1, NOW_S + DAY_S, NOW_S + DAY_S + 1):
            yield Case(good, vendor, now_s)
        for at in range(0, len(good), 11):
            yield Case(good[:at] + chr(ord(good[at]) ^ 1) + good[at + 1 :], vendor)
        for more in _headers():
            yield Case(vendor.sign(_header(vendor, **more), claims()), vendor)
            yield Case(OTHER.sign(_header(vendor, **more), claims()), vendor)
        for name in ("exp", "iat", "nbf"):
            text = json.dumps(claims(**{name: 7_777}))
            for time in _times():
                yield Case(vendor.sign(None, text.replace("7777", time)), vendor)
        unsigned = ".".join((b64(b'{"alg":"none"}'), good.split(".")[1]))
        for token in (unsigned, unsigned + ".", good + "=", " " + good, good + "\n", "", ".."):
            yield Case(token, vendor)
        twice = json.dumps(claims())[:-1] + f', "exp": {NOW_S + 9 * DAY_S}}}'
        yield Case(vendor.sign(None, twice), vendor)
        yield Case(vendor.sign(None, claims(exp=NOW_S + 3650 * DAY_S)), vendor)
    for number in range(RANDOM_TOKENS):
        vendor = VENDORS[number % len(VENDORS)]
        yield Case(vendor.sign(None, _claims(random)), vendor)


def _by_joserfc(case: Case) -> str | None:
    checks = jwt.JWTClaimsRegistry(
        now=case.now_s,
        exp={"essential": True},
        iat={"essential": True},
        iss={"essential": True, "value": ISSUER},
        aud={"essential": True, "value": AUDIENCE},
    )
    try:
        known: Any = case.vendor.jwk()
        decoded = jwt.decode(case.token, jwk.import_key(known), [case.vendor.algorithm])
        checks.validate(decoded.claims)
    except (JoseError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        return type(error).__name__
    return None


def _by_jose(cases: list[Case]) -> list[str | None]:
    asked = [
        {
            "token": case.token,
            "jwk": case.vendor.jwk(),
            "algorithm": case.vendor.algorithm,
            "issuer": ISSUER,
            "audience": AUDIENCE,
            "now": case.now_s,
        }
        for case in cases
    ]
    text = "".join(json.dumps(each) + "\n" for each in asked)
    done = subprocess.run(
        ["node", str(JUDGE)], input=text, capture_output=True, text=True, check=True, timeout=60
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_no_other_judge_is_stricter_and_ours_is_stricter_for_named_reasons_alone() -> None:
    cases = list(_cases())
    verdicts = [
        judge(case.token.encode(), expected(case.vendor, leeway_s=0), case.now_s) for case in cases
    ]
    by_jose = _by_jose(cases)
    by_joserfc = [_by_joserfc(case) for case in cases]
    taken = 0
    alone = set[str]()
    for case, ours, jose, joserfc in zip(cases, verdicts, by_jose, by_joserfc, strict=True):
        if ours.standing is Standing.VALID:
            assert (jose, joserfc) == (None, None), case
            taken += 1
        elif jose is None or joserfc is None:
            alone.add(ours.reason)
    assert taken > 50
    assert by_jose.count(None) < len(cases) / 2
    assert alone == set(STRICTER)
