"""A rotation statement is what both keys signed, in one form; a trust store follows it."""

import base64
import json
from itertools import pairwise
from pathlib import Path

import orjson
import pytest

from keys import dsse
from keys.ed25519 import PublicKey, SigningKey
from keys.errors import VerificationError
from keys.rotation import (
    PAYLOAD_TYPE,
    ROTATIONS_MAX,
    Rotation,
    read_rotation,
    seal_rotation,
)
from keys.truststore import TrustStore

AT = "2026-11-24T00:00:00.000Z"
OLD, NEW, OTHER = (SigningKey(bytes([seed]) * 32) for seed in (1, 2, 3))


def spki(key: SigningKey) -> str:
    return base64.b64encode(key.public.spki_der()).decode()


SAID: dict[str, object] = {
    "v": 1,
    "number": 1,
    "name": "prod-1",
    "made_at": AT,
    "old": spki(OLD),
    "new": spki(NEW),
}


def sealed(*signers: SigningKey, **members: object) -> bytes:
    return dsse.seal(PAYLOAD_TYPE, orjson.dumps(SAID | members), list(signers or (OLD, NEW)))


def error_of(data: bytes) -> str:
    with pytest.raises(VerificationError) as refused:
        read_rotation(data)
    return refused.value.id


def test_a_statement_is_these_members_signed_by_the_old_key_and_then_the_new() -> None:
    assert seal_rotation(1, "prod-1", AT, OLD, NEW) == sealed(OLD, NEW)
    assert read_rotation(sealed()) == Rotation(1, "prod-1", AT, OLD.public, NEW.public)


def test_the_63rd_rotation_of_the_longest_name_is_read() -> None:
    statement = read_rotation(seal_rotation(63, "a" * 63, AT, OLD, NEW))
    assert (statement.number, statement.name) == (63, "a" * 63)


@pytest.mark.parametrize(
    ("members", "error"),
    [
        ({"v": 0}, "document.field"),
        ({"v": 2}, "document.field"),
        ({"number": 0}, "document.field"),
        ({"number": 64}, "document.field"),
        ({"name": "Prod"}, "document.field"),
        ({"name": "a" * 64}, "document.field"),
        ({"made_at": "2026-11-24T00:00:00Z"}, "document.field"),
        ({"old": "*"}, "document.field"),
        ({"old": ""}, "document.field"),
        ({"new": "AAAA"}, "key.encoding"),
        ({"new": "A"}, "key.encoding"),
        ({"new": spki(NEW).rstrip("=")}, "key.encoding"),
        ({"new": spki(OLD)}, "rotation.keys"),
        ({"new": spki(OTHER)}, "rotation.keys"),
        ({"old": spki(OTHER)}, "rotation.keys"),
        ({"more": 1}, "document.unknown_key"),
    ],
)
def test_a_statement_that_says_anything_else_is_refused_though_both_signed(
    members: dict[str, object], error: str
) -> None:
    assert error_of(sealed(**members)) == error


def test_a_key_in_a_second_spelling_is_refused() -> None:
    # The last character before the padding has bits that are not used.
    text = spki(NEW)
    bits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    twin = text[:-2] + bits[bits.index(text[-2]) + 1] + "="
    assert base64.b64decode(twin) == base64.b64decode(text)
    assert error_of(sealed(new=twin)) == "rotation.keys"


@pytest.mark.parametrize("signers", [(NEW, OLD), (OLD,), (NEW,), (OLD, OTHER)])
def test_a_statement_that_not_exactly_its_two_keys_signed_is_refused(
    signers: tuple[SigningKey, ...],
) -> None:
    assert error_of(sealed(*signers)) == "rotation.keys"


@pytest.mark.parametrize("number", [0, 1])
def test_a_statement_with_one_signature_over_something_else_is_refused(number: int) -> None:
    said = json.loads(sealed())
    said["signatures"][number]["sig"] = json.loads(sealed(number=2))["signatures"][number]["sig"]
    assert error_of(orjson.dumps(said)) == "signature.bad"


def test_a_document_of_another_type_is_refused() -> None:
    other = "application/vnd.airgap-bridge.segment.v1+json"
    assert error_of(dsse.seal(other, orjson.dumps(SAID), [OLD, NEW])) == "envelope.type"


def test_more_than_4096_bytes_are_refused_before_they_are_read() -> None:
    assert error_of(b" " * 4097) == "json.too_large"
    assert error_of(b" " * 4096) != "json.too_large"


def trusting(key: PublicKey) -> TrustStore:
    return TrustStore().with_key("node", "prod-1", key, key.id)


def test_a_key_that_was_rotated_to_two_keys_raises_an_alarm() -> None:
    honest = read_rotation(seal_rotation(1, "prod-1", AT, OLD, NEW))
    thief = read_rotation(seal_rotation(1, "prod-1", AT, OLD, OTHER))
    store = trusting(OLD.public).rotated("prod-1", [honest])
    assert store.rotated("prod-1", [honest]) == store
    with pytest.raises(VerificationError) as refused:
        store.rotated("prod-1", [thief])
    assert refused.value.id == "rotation.fork"


def test_a_statement_about_another_machine_is_refused() -> None:
    of_another = read_rotation(seal_rotation(1, "prod-2", AT, OLD, NEW))
    with pytest.raises(VerificationError) as refused:
        trusting(OLD.public).rotated("prod-1", [of_another])
    assert refused.value.id == "rotation.name"


def test_a_statement_by_a_key_that_is_revoked_or_of_another_name_adds_nobody() -> None:
    change = read_rotation(seal_rotation(1, "prod-1", AT, OLD, NEW))
    revoked = trusting(OLD.public).revoke(OLD.public.id, {})
    assert revoked.rotated("prod-1", [change]) == revoked
    elsewhere = TrustStore().with_key("node", "prod-2", OLD.public, OLD.public.id)
    assert elsewhere.rotated("prod-1", [change]) == elsewhere


def test_a_successor_has_the_role_and_the_recipient_of_the_key_before_it() -> None:
    change = read_rotation(seal_rotation(1, "hub", AT, OLD, NEW))
    recipient = "age1x9dzxegvwzq0fy8huwca0g5jgsg8n8d8a3tk6n3w2lp5cy8rne6sx0k59h"
    store = TrustStore().with_key("relay", "hub", OLD.public, OLD.public.id, recipient)
    old, new = store.rotated("hub", [change]).keys
    assert (old.public, old.successor) == (OLD.public, NEW.public.id)
    assert (new.role, new.name, new.public, new.age) == ("relay", "hub", NEW.public, recipient)
    assert new.successor is None


def test_one_machine_does_not_fill_the_store_with_its_keys() -> None:
    """Each statement is signed by both keys; a thief makes as many as it takes."""
    keys = [SigningKey(bytes([7, n]) * 16) for n in range(ROTATIONS_MAX + 2)]
    chain = [read_rotation(seal_rotation(1, "prod-1", AT, old, new)) for old, new in pairwise(keys)]
    full = trusting(keys[0].public).rotated("prod-1", chain[:ROTATIONS_MAX])
    assert len(full.keys) == ROTATIONS_MAX + 1
    assert full.rotated("prod-1", chain[:ROTATIONS_MAX]) == full
    with pytest.raises(VerificationError) as refused:
        full.rotated("prod-1", chain)
    assert refused.value.id == "rotation.many"
    other = SigningKey(b"\x09" * 32).public
    assert len(full.with_key("node", "prod-2", other, other.id).keys) == ROTATIONS_MAX + 2


def test_a_chain_of_rotations_is_followed_from_any_key_of_it() -> None:
    chain = [
        read_rotation(seal_rotation(1, "prod-1", AT, OLD, NEW)),
        read_rotation(seal_rotation(2, "prod-1", AT, NEW, OTHER)),
    ]
    for known in (OLD, NEW, OTHER):
        assert OTHER.public.id in trusting(known.public).keys_for("node", "prod-1", chain)
    assert OTHER.public.id not in trusting(OLD.public).keys_for("node", "prod-1", chain[1:])


def test_a_store_from_before_there_were_rotations_is_read(tmp_path: Path) -> None:
    path = tmp_path / "trust.json"
    trusting(OLD.public).save(path)
    said = json.loads(path.read_bytes())
    del said["keys"][0]["successor"]
    path.write_text(json.dumps(said))
    assert TrustStore.load(path) == trusting(OLD.public)
