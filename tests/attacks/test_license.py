"""License tokens (134 to 144): by ``license import``; what is kept stays as it was."""

import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from keys.ed25519 import SigningKey
from tests.support.attacks import Arena, Attack, Command, Home, each, make_home
from tests.support.faultserver import answer, fault_server, say
from tests.support.tokens import AUDIENCE, DAY_S, ED, ISSUER, OTHER, Vendor, b64, claims, jwks

REFUSED, CONFIG = 4, 78
UNREACHABLE, REFUSED_BY_BEACON = 6, 7
NOW_S = int(time.time())
KEY_SET = jwks(ED.jwk())


def good(**more: object) -> dict[str, object]:
    return claims(**{"iat": NOW_S - 60, "exp": NOW_S + 30 * DAY_S, **more})


def importing(token: str) -> Callable[[Home], Command]:
    return lambda home: ("license", "import", home.put("token.jwt", token.encode()), "--json")


def under(header: Mapping[str, Any], by: Vendor = ED) -> str:
    return by.sign(header, good())


def claiming(name: str, text: str) -> str:
    """The claim in these very words."""
    return ED.sign(None, json.dumps(good(**{name: 7_777})).replace("7777", text))


def hmac_by(secret: bytes) -> str:
    head = b64(json.dumps({"alg": "HS256", "kid": ED.kid}).encode())
    message = f"{head}.{b64(json.dumps(good()).encode())}"
    return f"{message}.{b64(hmac.digest(secret, message.encode(), 'sha256'))}"


HEAD = {"alg": "EdDSA", "kid": ED.kid}
TOKENS: dict[tuple[int, str], str] = {
    **{
        (134, f"alg-{name}"): under({"alg": algorithm, "kid": ED.kid})
        for name, algorithm in (
            ("none", "none"), ("None", "None"), ("hs256", "HS256"), ("list", ["EdDSA"]), ("null", None),
        )
    },
    (134, "unsigned"): under({"alg": "none"}).rpartition(".")[0] + ".",
    (134, "hmac-with-the-public-key"): hmac_by(json.dumps(ED.jwk()).encode()),
    (134, "hmac-with-its-x"): hmac_by(str(ED.jwk()["x"]).encode()),
    **{
        (135, f"kid-{name}"): under({"alg": "EdDSA", "kid": kid})
        for name, kid in (
            ("unknown", "another"), ("number", 7), ("path", "../../dev/null"),
            ("sql", "x' OR '1'='1"), ("10-kb", "k" * 10_240),
        )
    },
    **{
        (136, name): under({**HEAD, **more}, by)
        for name, more, by in (
            ("jku", {"jku": "https://example.invalid/keys"}, OTHER),
            ("x5u", {"x5u": "https://example.invalid/cert"}, OTHER),
            ("jwk", {"jwk": OTHER.jwk()}, OTHER), ("crit", {"crit": ["exp"]}, ED),
            ("b64", {"b64": False, "crit": ["b64"]}, ED),
        )
    },
    (137, "no-exp"): ED.sign(None, good(exp=None)),
    **{
        (137, f"exp-{number}"): claiming("exp", text)
        for number, text in enumerate(
            ('"9999999999"', "true", "1e30", "1e999", "null", "[1]", "1.9e9", "1" + "0" * 400)
        )
    },
    (139, "ten-years"): ED.sign(None, good(exp=NOW_S + 3650 * DAY_S)),
    **{
        (141, f"issuer-{number}"): ED.sign(None, good(iss=issuer))
        for number, issuer in enumerate((ISSUER + "/", ISSUER[:-1], [ISSUER], None))
    },
    **{
        (141, f"audience-{number}"): ED.sign(None, good(aud=audience))
        for number, audience in enumerate(([AUDIENCE, "x"], AUDIENCE + "x", [], None))
    },
    (142, "of-another-license"): ED.sign(None, good(sub=hashlib.sha256(b"lcl_two").hexdigest())),
    (1, "by-another-key-of-that-name"): OTHER.sign(None, good()),
    (137, "expired"): ED.sign(None, good(iat=NOW_S - 3 * DAY_S, exp=NOW_S - DAY_S)),
}  # fmt: skip
TWIN = importing(ED.sign(None, good()))
ATTACKS = [
    Attack(n, name, importing(token), "license.token", REFUSED, TWIN, ("spool/license",))
    for (n, name), token in TOKENS.items()
]


def pinning(key_set: bytes) -> Callable[[Home], Command]:
    def made(home: Home) -> Command:
        (home.folder / "jwks.json").write_bytes(key_set)
        return (*TWIN(home), "--dry-run")

    return made


RSA_1024 = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - that is the attack
SETS = {
    "a-kid-twice": jwks(ED.jwk(), OTHER.jwk()),
    "oct": jwks({"kty": "oct", "kid": "k", "k": "c2VjcmV0", "alg": "HS256"}),
    "for-encryption": jwks(ED.jwk(use="enc")),
    "private": jwks(ED.jwk(d="AAAA")),
    "rsa-1024": jwks(Vendor("rs-1", "RS256", RSA_1024).jwk()),
}


def pinned_home(folder: Path) -> Home:
    """A node that knows the vendor's keys, and has no token yet."""
    pinned = f"{{jwks_file: jwks.json, issuer: '{ISSUER}', audience: {AUDIENCE}}}"
    made = make_home(folder, "n", SigningKey(bytes(32)), f"license: {pinned}\n")
    (folder / "jwks.json").write_bytes(KEY_SET)
    return made


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Arena:
    return Arena(tmp_path_factory.mktemp("nodes"), pinned_home)


@each(ATTACKS)
def test_attack(nodes: Arena, attack: Attack) -> None:
    told = nodes.check(attack)
    assert b"eyJ" not in told.out


def test_attack_134_a_refused_token_takes_no_place(nodes: Arena) -> None:
    home = nodes.fresh()
    assert home.run(*TWIN(home)).code == 0
    shown = home.run("license", "show", "--token", "--json").answer["token"]
    for token in TOKENS.values():
        assert home.run(*importing(token)(home)).code == REFUSED
    assert home.run("license", "show", "--token", "--json").answer["token"] == shown


@pytest.mark.parametrize("name", list(SETS))
def test_attack_144_a_set_of_keys_that_is_not_in_order_is_refused_at_load(
    nodes: Arena, name: str
) -> None:
    attack = Attack(144, name, pinning(SETS[name]), "license.jwks_file", CONFIG, pinning(KEY_SET))
    nodes.check(attack)


def test_attack_140_a_token_of_tomorrow_is_kept_and_not_served(nodes: Arena) -> None:
    home = nodes.fresh()
    before = home.state()
    later = good(iat=NOW_S + DAY_S, exp=NOW_S + 2 * DAY_S)
    told = home.run(*importing(ED.sign(None, later))(home))
    assert (told.code, told.answer["standing"], told.answer["served"]) == (
        3,
        "NOT_YET_VALID",
        False,
    )
    assert home.changed_since(before, ("spool/license",)) == set()


def anchors_changed(home: Home, change: Callable[[bytes], bytes | None], *names: str) -> None:
    """What ``change`` makes of these; None: nothing is left."""
    for name in names:
        path = home.spool / "license" / name
        made = change(path.read_bytes())
        path.unlink()
        if made is not None:
            path.write_bytes(made)


DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "gone": lambda _: None,
    "empty": lambda _: b"",
    "cut": lambda data: data[: len(data) // 2],
    "a-bit": lambda data: data[:60] + bytes([data[60] ^ 1]) + data[61:],
}


@pytest.mark.parametrize("damage", list(DAMAGES))
@pytest.mark.parametrize("names", [("anchors",), ("anchors.twin",), ("anchors", "anchors.twin")])
def test_attack_147_damaged_anchors_are_told_where_no_twin_is_left_and_lengthen_nothing(
    nodes: Arena, damage: str, names: tuple[str, ...]
) -> None:
    home = nodes.fresh()
    assert home.run(*TWIN(home)).code == 0
    whole = home.run("license", "status", "--json").answer
    anchors_changed(home, DAMAGES[damage], *names)
    before = home.state()
    told = home.run("license", "status", "--json")
    assert told.code == 0
    assert told.answer == whole | {"anchors_lost": len(names) > 1}
    assert home.state() == before


@pytest.mark.parametrize("older", ["anchors", "anchors.twin"])
def test_attack_147_of_two_copies_of_another_age_the_younger_counts(
    nodes: Arena, older: str
) -> None:
    home = nodes.fresh()
    old = ED.sign(None, good(iat=NOW_S - 20 * DAY_S, exp=NOW_S + 10 * DAY_S))
    assert home.run(*importing(old)(home)).code == 0
    kept = (home.spool / "license" / older).read_bytes()
    assert home.run(*TWIN(home)).code == 0
    whole = home.run("license", "status", "--json").answer
    anchors_changed(home, lambda _: kept, older)
    before = home.state()
    told = home.run("license", "status", "--json")
    assert (told.code, told.answer) == (0, whole)
    assert home.state() == before


REFUSAL = b'{"error":"license.unknown","message":"x"}'
PAGE = b"<html>Please log in</html>"
ANSWERS: dict[str, tuple[bytes, int, str]] = {
    "a-page": (answer(403, PAGE, content_type="text/html"), UNREACHABLE, "VALID"),
    "a-page-called-json": (answer(403, PAGE), UNREACHABLE, "VALID"),
    "a-page-in-success": (answer(200, PAGE, content_type="text/html"), UNREACHABLE, "VALID"),
    "a-token": (answer(200, b'{"token":"%b"}' % ED.sign(None, good()).encode()), 0, "VALID"),
    "a-refusal": (answer(403, REFUSAL), REFUSED_BY_BEACON, "DENIED"),
}


@pytest.mark.enable_socket
@pytest.mark.parametrize("name", list(ANSWERS))
def test_attack_150_a_403_ends_a_token_only_in_the_beacons_own_shape(
    nodes: Arena, name: str
) -> None:
    said, code, state = ANSWERS[name]
    home = nodes.fresh()
    assert home.run(*TWIN(home)).code == 0
    with fault_server([say(said)]) as server:
        text = home.config.read_text()
        home.config.write_text(
            text.replace("http://127.0.0.1:1", server.url).replace("offline", "online")
        )
        before = home.state()
        told = home.run("license", "refresh", "--json")
    assert told.code == code, told
    assert server.requests
    shown = home.run("license", "status", "--json").answer
    assert shown["state"] == state
    served = home.run("license", "show", "--token", "--json")
    assert (served.code == 0) == (state == "VALID"), served
    assert home.changed_since(before, ("spool/license", "ledger", "spool/sender.lock")) == set()
