"""Replay, receipts, recipients (84 to 96): once is enough, for whom it is meant, and never back."""

import tarfile
from base64 import b64decode
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from tests.golden import bundles as golden
from tests.golden.build import CHAIN, SIGNER, STRANGER, compact
from tests.support import crossings
from tests.support.apart import begun_apart
from tests.support.attacks import Arena, Attack, Command, Home, each, ids
from tests.support.crossings import (
    IMPORT_GOOD,
    IMPORT_RETURN,
    NODE,
    RELAY,
    bundle_of,
    chain,
    importing,
    members_of,
)
from tests.support.faultserver import answer, fault_server, say

REFUSED, PARTLY = 4, 3
ONE, TWO, THREE = chain(3)


def returned(receipt: dict[str, Any], **changes: object) -> bytes:
    """The return bundle that carries this receipt, signed by the relay."""
    sealed = golden.envelope(compact(receipt), golden.RECEIPT, STRANGER)
    said = golden.return_manifest(sealed, **changes)
    outer = golden.envelope(said, golden.RETURN, STRANGER)
    return golden.ustar(golden.return_of(sealed, outer))


def span(last: int, digest: str, state: str = "delivered", chain: str = CHAIN) -> dict[str, Any]:
    return {"chain": chain, "first": 1, "last": last, "state": state, "digest": digest}


def told_of(*spans: dict[str, Any], **changes: object) -> dict[str, Any]:
    """A receipt with these spans, and nothing refused."""
    found = golden.receipt(**changes)
    found["lanes"][0] |= {"spans": list(spans), "refused": []}
    return found


def hearing(data: bytes) -> Callable[[Home], Command]:
    return importing(data, "b.agr")


def to_another(home: Home) -> Command:
    rest = members_of("good.agb")[1:]
    said = compact(golden.manifest(to="relay-2"))
    sealed = golden.envelope(said, golden.BUNDLE, SIGNER)
    return importing(golden.ustar([("manifest.dsse.json", sealed), *rest]))(home)


ON_A_RELAY = [
    Attack(87, "for-another-relay", to_another, "bundle.recipient", REFUSED, IMPORT_GOOD),
]


def refusing(*places: tuple[int, int]) -> Callable[[Home], Command]:
    """The golden receipt, with these records refused: by the relay's own key, which may be wrong."""
    receipt = golden.receipt()
    receipt["lanes"][0]["refused"] = [
        {"seq": seq, "line": line, "status": 422, "code": "refused", "text": ""}
        for seq, line in places
    ]
    return hearing(returned(receipt))


NEW_CHAIN = tuple(f"spool/prod-1/transactions/{name}" for name in ("head", "sealed/00000244"))
"""What a node writes that hears of its own numbers above its head: somebody else may give them out."""
ON_A_NODE = [
    Attack(
        89, "a-refused-record-that-there-is-not", refusing((2, 2)), "receipt.record", REFUSED,
        refusing((2, 0), (2, 1)),
    ),
    Attack(
        89, "more-refused-records-than-there-are", refusing(*((2, n) for n in range(7))),
        "receipt.record", REFUSED, refusing((1, 0), (2, 1)),
    ),
    Attack(
        88, "for-another-node", hearing(returned(golden.receipt(node="prod-2"), to="prod-2")),
        "bundle.recipient", REFUSED, IMPORT_RETURN,
    ),
    Attack(
        88, "its-receipt-for-another-node", hearing(returned(golden.receipt(node="prod-2"))),
        "bundle.receipt", REFUSED, IMPORT_RETURN,
    ),
    Attack(
        89, "another-digest", hearing(returned(told_of(span(2, "1" * 64)))), "receipt.foreign",
        PARTLY, hearing(returned(told_of(span(2, TWO.digest)))), ("ledger", "spool/license"),
    ),
    Attack(
        89, "another-chain", hearing(returned(told_of(span(2, TWO.digest, chain="ab" * 16)))),
        "receipt.foreign", PARTLY, hearing(returned(told_of(span(2, TWO.digest)))),
        ("ledger", "spool/license"),
    ),
    Attack(
        89, "a-number-that-there-is-not", hearing(returned(told_of(span(9, TWO.digest)))),
        "receipt.foreign", PARTLY, hearing(returned(told_of(span(2, TWO.digest)))),
        ("ledger", "spool/license", "spool/prod-1/transactions/chain.lock", *NEW_CHAIN),
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def relays(tmp_path_factory: pytest.TempPathFactory) -> Arena:
    return Arena(tmp_path_factory.mktemp("relays"), crossings.relay)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Arena:
    return Arena(tmp_path_factory.mktemp("nodes"), crossings.node)


@each(ON_A_RELAY)
def test_attack(relays: Arena, attack: Attack) -> None:
    relays.check(attack)


@each(ON_A_NODE)
def test_attack_on_a_node(nodes: Arena, attack: Attack) -> None:
    nodes.check(attack)


def records(home: Home) -> dict[str, int]:
    lanes = orjson.loads(home.run("status", "--json").out)["lanes"]
    (lane,) = (each for each in lanes if each["node"] == NODE)
    return {state: count for state, count in lane["records"].items() if count}


def test_attack_084_the_same_bundle_twice_changes_nothing(relays: Arena) -> None:
    home = relays.fresh()
    command = IMPORT_GOOD(home)
    assert home.run(*command).code == 0
    before = home.state()
    again = home.run(*command)
    assert (again.code, again.answer["items"][0]["segments"]["duplicate"]) == (0, 2)
    assert home.state() == before


def test_attack_084_two_processes_that_import_it_at_once_take_it_once(relays: Arena) -> None:
    home = relays.fresh()
    command = IMPORT_GOOD(home)
    with begun_apart(home, *command) as one, begun_apart(home, *command) as other:
        both = [one(), other()]
    assert [each.code for each in both] == [0, 0]
    told = [each.answer["items"][0]["segments"] for each in both]
    assert sum(each["new"] for each in told) == 2
    assert sum(each["duplicate"] for each in told) == 2
    assert records(home) == {"pending": 4}
    assert home.run("verify", home.spool).code == 0


@pytest.mark.enable_socket
def test_attack_084_what_came_twice_is_uploaded_once_and_receipted_as_before(
    relays: Arena,
) -> None:
    home = relays.fresh()
    data = crossings.golden_bundle("good.agb")
    assert home.run(*importing(data)(home)).code == 0
    with fault_server([say(answer(200, b'{"inserted_count":4}'))]) as beacon:
        home.config.write_text(
            f"node: {RELAY}\nlicenses: {{{NODE}: [license_key]}}\nbeacon: {{url: '{beacon.url}'}}\n"
        )
        assert home.run("run", "--once").code == 0
        before, told_once = records(home), receipt_of(home)
        again = home.run(*importing(data)(home))
        assert (again.code, again.answer["items"][0]["segments"]["duplicate"]) == (0, 2)
        assert home.run("run", "--once").code == 0
    assert len(beacon.requests) == 1
    assert before == records(home) == {"delivered": 4}
    assert receipt_of(home) == told_once


def receipt_of(home: Home) -> object:
    """What the relay would tell the node of its lanes now."""
    told = home.run("export", "--json", "--for", NODE, "--plain", "--to", home.stick)
    assert told.code == 0, told
    with tarfile.open(told.answer["bundles"][0]["path"]) as tar:
        (sealed,) = (tar.extractfile(each) for each in tar if each.name.startswith("receipt"))
        assert sealed is not None
        payload = orjson.loads(sealed.read())["payload"]
    return orjson.loads(b64decode(payload))["lanes"]


def test_attack_086_an_older_serial_with_segments_that_never_came_is_taken(relays: Arena) -> None:
    home = relays.fresh()
    assert home.run(*importing(bundle_of(ONE, TWO, serial=7))(home)).code == 0
    late = home.run(*importing(bundle_of(THREE, serial=6))(home))
    assert (late.code, late.answer["items"][0]["segments"]["new"]) == (0, 1)


def test_attack_090_an_older_receipt_moves_nothing_and_deletes_nothing(nodes: Arena) -> None:
    home = nodes.fresh()
    new = hearing(returned(told_of(span(2, TWO.digest), serial=4)))
    old = returned(told_of(span(1, ONE.digest, "pending"), serial=3), serial=3)
    assert home.run(*new(home)).code == 0
    assert records(home) == {"delivered": 4}
    before = home.state()
    for data in (old, returned(told_of(span(2, TWO.digest), serial=4))):
        told = home.run(*hearing(data)(home))
        assert (told.code, ids(told)) == (0, [])
        assert told.answer["items"][0]["receipts"]["delivered"] == 0
        assert records(home) == {"delivered": 4}
        assert home.changed_since(before, ("ledger", "spool/license", "spool/sender.lock")) == set()


def test_attack_092_a_receipt_for_some_of_the_segments_moves_just_those(nodes: Arena) -> None:
    home = nodes.fresh()
    before = home.state()
    assert home.run(*hearing(returned(told_of(span(1, ONE.digest))))(home)).code == 0
    assert records(home) == {"delivered": 2, "pending": 2}
    assert home.changed_since(before, ("ledger", "spool/license", "spool/sender.lock")) == set()
    # Its twin, for all of them.
    whole = returned(told_of(span(2, TWO.digest), serial=4), serial=4)
    assert home.run(*hearing(whole)(home)).code == 0
    assert records(home) == {"delivered": 4}
