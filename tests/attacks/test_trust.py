"""Trust: rotation by both keys, revocation by number, one role and one name a key."""

from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from tests.golden import build
from tests.golden.build import compact, envelope, seal, signature, statement
from tests.support import crossings
from tests.support.attacks import Arena, Attack, Command, Home, each
from tests.support.crossings import (
    IMPORT_GOOD,
    LANE,
    SIGNER,
    STRANGER,
    SUCCESSOR,
    Held,
    bundle_of,
    chain,
    golden_bundle,
    importing,
)

REFUSED, PARTLY = 4, 3
IMPORT_ROTATED = importing(golden_bundle("rotated.agb"))
ROTATIONS = {
    "rotated-by-old-alone": "rotation.keys",
    "rotated-by-new-alone": "rotation.keys",
    "rotated-for-another": "rotation.name",
    "rotated-from-a-stranger": "key.untrusted",
    "rotated-to-a-stranger": "rotation.keys",
    "rotation-missing": "bundle.members",
    "rotation-not-named": "bundle.members",
}


def followed() -> bytes:
    """The golden bundle, and after its two segments a third, by the key that took over."""
    first, second = chain(2)
    lines = first.lines + second.lines
    before = {"records": lines.count(b"\n"), "raw_size": len(lines)}
    said = compact(statement(b"", b"", seq=3, prev=second.digest, before=before))
    by_the_next = envelope(said, signatures=[signature(said, build.SUCCESSOR)])
    return bundle_of(first, second, Held(3, seal(by_the_next), b""))


def revoked(*firsts: str, bundle: bytes | None = None) -> Callable[[Home], Command]:
    """A bundle that a segment of a good key ends (or another), after the node's key was revoked."""

    def made(home: Home) -> Command:
        home.trust("node", "prod-1", SUCCESSOR.public)
        given = [word for first in firsts for word in ("--from", f"prod-1/transactions/{first}")]
        assert home.run("keys", "revoke", SIGNER.public.id, *given).code == 0
        return importing(bundle or followed())(home)

    return made


def trusting(fingerprint: str, role: str = "node") -> Callable[[Home], Command]:
    return lambda home: (
        "keys", "trust", "--json", home.put("key.pem", SUCCESSOR.public.pem()), "--role", role,
        "--name", "other", "--fingerprint", fingerprint, "--dry-run",
    )  # fmt: skip


def only_as(role: str, name: str) -> Callable[[Home], Command]:
    """The golden bundle, where the node's key is trusted in this role and for this name alone."""

    def made(home: Home) -> Command:
        (home.keys / "trust.json").unlink()
        home.trust(role, name, SIGNER.public)
        return IMPORT_GOOD(home)

    return made


def relay_only_as(role: str, name: str) -> Callable[[Home], Command]:
    """The golden return bundle, where the relay's key is trusted so alone."""

    def made(home: Home) -> Command:
        (home.keys / "trust.json").unlink()
        home.trust(role, name, STRANGER.public)
        return importing(golden_bundle("good.agr"), "b.agr")(home)

    return made


FINGERPRINT = SUCCESSOR.public.id
ATTACKS = [
    *(
        Attack(0, name, importing(golden_bundle(f"{name}.agb")), error, REFUSED, IMPORT_ROTATED)
        for name, error in ROTATIONS.items()
    ),
    Attack(
        0, "fingerprint-of-another", trusting(SIGNER.public.id), "trust.fingerprint", REFUSED,
        trusting(FINGERPRINT),
    ),
    Attack(
        0, "fingerprint-with-a-digit-less", trusting(FINGERPRINT[:-1]), "trust.fingerprint",
        REFUSED, trusting(FINGERPRINT),
    ),
    Attack(
        22, "revoked-at-all", revoked(bundle=golden_bundle("good.agb")), "key.revoked", REFUSED,
        revoked("3"),
    ),
    Attack(
        22, "revoked-from-1", revoked("1", bundle=golden_bundle("good.agb")), "key.revoked", REFUSED,
        revoked("3"),
    ),
    Attack(22, "revoked-from-2", revoked("2"), "key.revoked", PARTLY, revoked("3"), (LANE, "ledger")),
    Attack(
        22, "below-its-number-and-not-linked", revoked("3", bundle=golden_bundle("good.agb")),
        "key.revoked", REFUSED, revoked("3"),
    ),
    Attack(
        23, "a-nodes-bundle-by-a-relays-key", only_as("relay", "prod-1"), "key.untrusted", REFUSED,
        only_as("node", "prod-1"),
    ),
    Attack(
        23, "a-nodes-bundle-by-another-nodes-key", only_as("node", "prod-2"), "key.untrusted",
        REFUSED, only_as("node", "prod-1"),
    ),
]  # fmt: skip
ON_A_NODE = [
    Attack(
        23, "a-receipt-by-a-nodes-key", relay_only_as("node", "relay-1"), "key.untrusted", REFUSED,
        relay_only_as("relay", "relay-1"),
    ),
    Attack(
        23, "a-receipt-by-another-relays-key", relay_only_as("relay", "relay-2"), "key.untrusted",
        REFUSED, relay_only_as("relay", "relay-1"),
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def relays(tmp_path_factory: pytest.TempPathFactory) -> Arena:
    return Arena(tmp_path_factory.mktemp("relays"), crossings.relay)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Arena:
    return Arena(tmp_path_factory.mktemp("nodes"), crossings.node)


@each(ATTACKS)
def test_attack(relays: Arena, attack: Attack) -> None:
    told = relays.check(attack)
    if attack.code == PARTLY:
        (item,) = told.answer["items"]
        assert item["segments"] == {"new": 2, "duplicate": 0, "refused": 1}


@each(ON_A_NODE)
def test_attack_on_a_node(nodes: Arena, attack: Attack) -> None:
    nodes.check(attack)


def test_attack_a_deleted_ledger_is_rebuilt_all_is_pending_and_no_number_is_used_again(
    tmp_path: Path,
) -> None:
    home = crossings.node(tmp_path / "node")
    for path in home.spool.glob("ledger.db*"):
        path.unlink()
    told = home.run("append", "transactions", home.put("one.ndjson", b'{"id":"new"}\n'))
    assert told.code == 0, told.err
    (lane,) = orjson.loads(home.run("status", "--json").out)["lanes"]
    assert lane["segments"] == {
        "pending": 3, "exported": 0, "delivered": 0, "quarantined": 0, "lost": 0,
    }  # fmt: skip
    assert lane["head"] == 3
    assert home.run("verify", home.spool).code == 0
