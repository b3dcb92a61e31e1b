"""The vendor's license token: signed by the vendor with any header and claims, or any bytes at all."""

import json
from contextlib import suppress

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keys.tokens import Standing, judge
from tests.fuzz.harness import Harness
from tests.support.tokens import AUDIENCE, DAY_S, ISSUER, NOW_S, Vendor, claims, expected

VENDOR = Vendor("ed-1", "EdDSA", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
HEADER = {"alg": "EdDSA", "kid": "ed-1", "typ": "JWT"}
EXPECTED = expected(VENDOR)
GOOD = VENDOR.sign(None, claims()).encode()
SPLIT = b"\n\n"


def tried(data: bytes) -> bool:
    """Header and claims with an empty line between are signed by the vendor first."""
    header, split, said = data.partition(SPLIT)
    token = data
    if split:
        with suppress(UnicodeDecodeError):
            token = VENDOR.sign(header.decode(), said.decode()).encode()
    verdict = judge(token, EXPECTED, NOW_S)
    if verdict.standing is not Standing.VALID:
        return False
    assert split or token == GOOD
    told = json.loads(said if split else json.dumps(claims()))
    assert json.loads(header if split else json.dumps(HEADER))["alg"] == "EdDSA"
    assert type(told["exp"]) is int
    assert type(told["iat"]) is int
    assert told["iat"] - 300 <= NOW_S < told["exp"] <= told["iat"] + 400 * DAY_S
    assert told["iss"] == ISSUER
    assert told["aud"] in (AUDIENCE, [AUDIENCE])
    return True


def seeds() -> list[bytes]:
    """A good one in both forms, and claims that are not."""
    head = json.dumps(HEADER).encode()
    other = [claims(exp="9999999999"), claims(iat=None), claims(aud=[AUDIENCE, "x"]), claims(nbf=1)]
    return [GOOD, *(head + SPLIT + json.dumps(each).encode() for each in (claims(), *other))]


HARNESS = Harness(
    "token",
    "A token is valid only if the vendor signed these bytes and its claims have one good reading.",
    tried,
    seeds,
    (SPLIT, b'"exp":', b'"iat":', b'"nbf":', b'"crit":["exp"]', b'"alg":"none"', b'"kid":', b"1e9",
     b"1900000001", b'"aud":["langsmith"]', b"null", b"true", b"."),
    rounds=6000,
)  # fmt: skip
