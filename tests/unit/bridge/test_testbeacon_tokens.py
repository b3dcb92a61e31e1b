"""The beacon's tokens, judged by a stranger: pyjwt."""

import jwt
import orjson

from bridge.testbeacon.tokens import ISSUER, TokenMint, license_digest
from keys.ed25519 import SigningKey

NOW_S = 4_000_000_000


def test_pyjwt_accepts_a_token_with_the_published_key() -> None:
    mint = TokenMint(SigningKey.generate(), life_s=60, audience="us", new_id=lambda: "one")
    token = mint.token("lcl_x", NOW_S)
    (key,) = jwt.PyJWKSet.from_json(orjson.dumps(mint.jwks()).decode()).keys
    options: jwt.types.Options = {"verify_iat": False}
    claims = jwt.decode(token, key, ["EdDSA"], options=options, issuer=ISSUER, audience="us")
    assert claims == {
        "iss": ISSUER,
        "sub": license_digest("lcl_x"),
        "aud": "us",
        "iat": NOW_S,
        "exp": NOW_S + 60,
        "jti": "one",
    }
    assert jwt.get_unverified_header(token)["kid"] == key.key_id


def test_two_tokens_are_never_the_same() -> None:
    mint = TokenMint(SigningKey.generate())
    assert mint.token("lcl_x", NOW_S) != mint.token("lcl_x", NOW_S)
