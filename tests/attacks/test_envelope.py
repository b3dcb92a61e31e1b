"""Envelopes and signatures (1 to 25): of segments, of manifests, and of receipts."""

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.transfer.manifest import MANIFEST_MAX
from spool.segment import SEAL_MAGIC
from tests.attacks.segments import golden_segments
from tests.golden import bundles as golden
from tests.golden.build import LINES, SIGNER, STRANGER, SUCCESSOR, Key, compact, frame, signature
from tests.support import crossings
from tests.support.attacks import Arena, Attack, Command, Home, each
from tests.support.crossings import (
    IMPORT_GOOD,
    IMPORT_ONE,
    IMPORT_RETURN,
    Held,
    bundle_of,
    importing,
)
from tests.unit.keys.points import small_order_encodings

REFUSED = 4

SEGMENTS = list(
    golden_segments(
        {
            1: ["payload-changed-after-signing", "signature-bit-flipped", "data-bit-flipped"],
            2: ["payload-type-exchanged"],
            4: ["payload-type-of-a-receipt"],
            6: ["signed-by-a-stranger", "signed-under-another-key-id"],
            7: ["no-signature"],
            8: ["seventeen-signatures", "two-signatures"],
            11: ["signature-of-63-bytes", "signature-of-65-bytes", "signature-empty"],
            14: ["envelope-key-twice", "key-twice", "inner-key-twice"],
            15: ["envelope-unknown-key", "key-unknown", "inner-key-unknown"],
            17: ["statement-too-large"],
            19: [
                "number-with-a-point", "number-with-an-exponent", "number-minus-zero",
                "number-is-true", "number-is-text", "number-2-53", "number-2-64",
                "number-not-finite", "number-leading-zero",
            ],
        }
    )
)  # fmt: skip


def envelopes(payload: bytes, kind: str, other: str, signer: Key) -> Iterator[tuple[Any, ...]]:
    """(number, name, error, envelope) of every defect that an envelope of this kind can have."""
    good: dict[str, Any] = json.loads(golden.envelope(payload, kind, signer))
    (own,) = good["signatures"]
    raw = base64.b64decode(own["sig"])

    def sig(data: bytes) -> dict[str, Any]:
        return good | {"signatures": [own | {"sig": base64.b64encode(data).decode()}]}

    text = compact(good)
    foreign = signature(payload, signer, other)
    yield 1, "a-bit-of-the-signature", "signature.bad", compact(sig(bytes([raw[0] ^ 1]) + raw[1:]))
    yield 2, "another-type", "envelope.type", compact(good | {"payloadType": other})
    yield 3, "signature-of-another-kind", "signature.bad", compact(good | {"signatures": [foreign]})
    yield 4, "signed-as-another-kind", "envelope.type", golden.envelope(payload, other, signer)
    yield 6, "by-a-key-of-nobody", "key.untrusted", golden.envelope(payload, kind, SUCCESSOR)
    yield 7, "no-signature", "document.field", compact(good | {"signatures": []})
    yield 8, "seventeen-signatures", "document.field", compact(good | {"signatures": [own] * 17})
    for size in (0, 63, 65):
        yield 11, f"signature-of-{size}", "envelope.signatures", compact(sig((raw + b"x")[:size]))
    twice = text.replace(b'{"payload":', b'{"payload":"e30=","payload":', 1)
    yield 14, "payload-twice", "json.duplicate_key", twice
    yield 15, "a-member-more", "document.unknown_key", compact(good | {"more": 1})
    yield 15, "trailing", "json.trailing", text + b" {}"


NUMBERS = {
    "float": (b"7.0", "json.number"),
    "exponent": (b"1e3", "json.number"),
    "minus-zero": (b"-0", "json.number"),
    "true": (b"true", "document.field"),
    "text": (b'"42"', "document.field"),
    "2-53": (b"9007199254740993", "json.number"),
    "2-64": (b"18446744073709551616", "json.number"),
}


def manifests() -> Iterator[Attack]:
    """Each defect in the manifest of the golden bundle."""
    payload = compact(golden.manifest())
    rest = crossings.members_of("good.agb")[1:]

    def attack(number: int, name: str, error: str, data: bytes) -> Attack:
        made = importing(golden.ustar([("manifest.dsse.json", data), *rest]))
        return Attack(number, f"manifest-{name}", made, error, REFUSED, IMPORT_GOOD)

    for row in envelopes(payload, golden.BUNDLE, golden.RECEIPT, SIGNER):
        yield attack(*row)
    for name, (text, error) in NUMBERS.items():
        said = payload.replace(b'"serial":7', b'"serial":' + text)
        yield attack(19, name, error, golden.envelope(said, golden.BUNDLE, SIGNER))
    yield attack(17, "too-large", "bundle.manifest", bytes(MANIFEST_MAX + 1))
    for by, name in ((STRANGER, "by-a-relay"), (SUCCESSOR, "by-another-relay")):
        yield attack(23, name, "key.untrusted", golden.envelope(payload, golden.BUNDLE, by))


def receipts() -> Iterator[Attack]:
    """Each defect in the receipt of the golden return bundle, and in its manifest."""

    def returned(receipt: bytes, outer: bytes = b"") -> bytes:
        said = golden.return_manifest(receipt)
        outer = outer or golden.envelope(said, golden.RETURN, STRANGER)
        return golden.ustar(golden.return_of(receipt, outer))

    def attack(number: int, name: str, error: str, data: bytes) -> Attack:
        return Attack(number, name, importing(data, "b.agr"), error, REFUSED, IMPORT_RETURN)

    payload = compact(golden.receipt())
    good = golden.envelope(payload, golden.RECEIPT, STRANGER)
    for number, name, error, data in envelopes(payload, golden.RECEIPT, golden.BUNDLE, STRANGER):
        yield attack(number, f"receipt-{name}", error, returned(data))
    for name, (text, error) in NUMBERS.items():
        said = payload.replace(b'"serial":3', b'"serial":' + text)
        made = golden.envelope(said, golden.RECEIPT, STRANGER)
        yield attack(19, f"receipt-{name}", error, returned(made))
    outer = golden.return_manifest(good)
    for number, name, error, data in envelopes(outer, golden.RETURN, golden.RECEIPT, STRANGER):
        if number not in (2, 4):  # then it is no return bundle, but a bundle or nothing
            yield attack(number, f"return-{name}", error, returned(good, data))
    node = crossings.golden_bundle("receipt-by-a-node.agr")
    yield attack(93, "receipt-by-a-node", "key.untrusted", node)
    yield attack(93, "return-by-a-node", "key.untrusted", crossings.golden_bundle("by-a-node.agr"))


@pytest.fixture(scope="module")
def relays(tmp_path_factory: pytest.TempPathFactory) -> Arena:
    def home(folder: Path) -> Home:
        made = crossings.relay(folder)
        made.trust("relay", "relay-2", crossings.SUCCESSOR.public)
        return made

    return Arena(tmp_path_factory.mktemp("relays"), home)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Arena:
    return Arena(tmp_path_factory.mktemp("nodes"), crossings.node)


@each([*SEGMENTS, *manifests()])
def test_attack(relays: Arena, attack: Attack) -> None:
    relays.check(attack)


@each(list(receipts()))
def test_attack_on_a_node(nodes: Arena, attack: Attack) -> None:
    nodes.check(attack)


def two_mebibytes(home: Home) -> Command:
    inside = b'{"payload":"' + b"A" * 2**21 + b'"}'
    total = (len(inside) + 12).to_bytes(4, "little")
    seal = SEAL_MAGIC + (len(inside) + 4).to_bytes(4, "little") + inside + total
    return importing(bundle_of(Held(1, frame(LINES) + seal, LINES)))(home)


def test_attack_017_an_envelope_of_two_mebibytes_is_refused_before_it_is_parsed(
    relays: Arena,
) -> None:
    attack = Attack(17, "seal", two_mebibytes, "segment.no_seal", REFUSED, IMPORT_ONE)
    relays.check(attack)


def trusting(raw: bytes) -> Callable[[Home], Command]:
    """To trust the public key of these bytes, under its right fingerprint."""
    der = crossings.spki(raw)
    text = base64.b64encode(der)
    pem = b"-----BEGIN PUBLIC KEY-----\n%b\n-----END PUBLIC KEY-----\n" % text
    return lambda home: (
        "keys", "trust", "--json", home.put("key.pem", pem), "--role", "node", "--name", "other",
        "--fingerprint", hashlib.sha256(der).hexdigest(), "--dry-run",
    )  # fmt: skip


def in_the_store(raw: bytes) -> Callable[[Home], Command]:
    """The store with this key in the place of the one that it had, put there by hand."""

    def made(home: Home) -> Command:
        path = home.keys / "trust.json"
        said = json.loads(path.read_bytes())
        der = crossings.spki(raw)
        said["keys"][0] |= {
            "public": base64.b64encode(der).decode(),
            "id": hashlib.sha256(der).hexdigest(),
        }
        path.write_bytes(compact(said))
        return ("keys", "list", "--json")

    return made


OTHER = SUCCESSOR.private.public_key().public_bytes_raw()
TRUSTED, STORED = trusting(OTHER), in_the_store(OTHER)


@pytest.mark.parametrize("number", range(14))
def test_attack_020_a_key_of_small_order_is_trusted_in_no_encoding(
    nodes: Arena, number: int
) -> None:
    raw = small_order_encodings()[number]
    nodes.check(Attack(20, "typed", trusting(raw), "key.small_order", 78, TRUSTED))
    nodes.check(Attack(20, "stored", in_the_store(raw), "key.small_order", REFUSED, STORED))
