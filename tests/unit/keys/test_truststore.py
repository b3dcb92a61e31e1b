"""A key is trusted for one role and one name, with its own fingerprint, or not at all."""

import base64
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from keys import dsse
from keys.ed25519 import SigningKey
from keys.errors import BridgeError
from keys.trustedkey import TRUST_MAX, TrustedKey, encode, parse
from keys.truststore import TrustStore
from tests.unit.keys.points import small_order_encodings

KEY = SigningKey(b"\x03" * 32).public
OTHER = SigningKey(b"\x04" * 32).public
SMALL = "MCowBQYDK2VwAyEAAQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="


def test_a_store_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "trust.json"
    store = TrustStore().with_key("node", "a", KEY, KEY.id).with_key("relay", "r", OTHER, OTHER.id)
    store.save(path)
    assert TrustStore.load(path).keys == store.keys
    assert [found.name for found in tmp_path.iterdir()] == ["trust.json"]


def test_no_file_is_an_empty_store(tmp_path: Path) -> None:
    assert TrustStore.load(tmp_path / "trust.json").keys == ()


def test_a_key_speaks_in_its_role_and_for_its_name_alone() -> None:
    store = TrustStore((TrustedKey("node", "a", KEY),))
    assert store.keys_for("node", "a") == {KEY.id: KEY}
    assert store.keys_for("relay", "a") == {}
    assert store.keys_for("node", "b") == {}


def test_a_fingerprint_that_is_not_the_keys_own_is_refused() -> None:
    with pytest.raises(BridgeError) as caught:
        TrustStore().with_key("node", "a", KEY, OTHER.id)
    assert caught.value.id == "trust.fingerprint"


def entry(**members: object) -> bytes:
    (found,) = orjson.loads(encode((TrustedKey("node", "a", KEY),)))["keys"]
    return orjson.dumps({"v": 1, "keys": [found | members]})


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (entry(id=OTHER.id), "trust.fingerprint"),
        (entry(public=SMALL), "key.small_order"),
        (entry(public="AAAA"), "key.encoding"),
        (entry(role="vendor"), "document.field"),
        (entry(name="../x"), "document.field"),
        (entry(more=1), "document.unknown_key"),
        (encode((TrustedKey("node", "a", KEY), TrustedKey("relay", "b", KEY))), "trust.repeated"),
        (b'{"v":2,"keys":[]}', "document.field"),
        (b"{}", "document.field"),
        (b"", "json.form"),
    ],
)
def test_a_store_with_anything_wrong_in_it_is_refused(data: bytes, error: str) -> None:
    with pytest.raises(BridgeError) as caught:
        parse(data)
    assert caught.value.id == error


def test_a_store_that_others_may_write_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "trust.json"
    TrustStore().save(path)
    path.chmod(0o666)
    with pytest.raises(BridgeError) as caught:
        TrustStore.load(path)
    assert caught.value.id == "trust.file"


@pytest.mark.parametrize(
    ("role", "name"),
    [
        ("vendor", "a"),
        ("", "a"),
        ("node", ""),
        ("node", "../x"),
        ("node", "A"),
        ("node", "-a"),
        ("node", "a\n"),
        ("node", "a" * 64),
    ],
)
def test_a_key_with_a_role_or_name_that_no_store_may_hold_is_not_added(
    role: str, name: str
) -> None:
    with pytest.raises(BridgeError) as caught:
        TrustStore().with_key(role, name, KEY, KEY.id)
    assert caught.value.id == "document.field"


def test_a_key_is_not_added_twice() -> None:
    with pytest.raises(BridgeError) as caught:
        TrustStore().with_key("node", "a", KEY, KEY.id).with_key("relay", "b", KEY, KEY.id)
    assert caught.value.id == "trust.repeated"


@pytest.mark.parametrize("given", ["", KEY.id[:16], KEY.id.upper(), KEY.id + " "])
def test_a_fingerprint_in_part_or_in_another_form_is_refused(given: str) -> None:
    with pytest.raises(BridgeError) as caught:
        TrustStore().with_key("node", "a", KEY, given)
    assert caught.value.id == "trust.fingerprint"


@pytest.mark.parametrize(("role", "other"), [("node", "relay"), ("relay", "node")])
def test_attack_023_what_a_key_of_one_role_signed_does_not_count_for_the_other(
    role: str, other: str
) -> None:
    signer = SigningKey(b"\x03" * 32)
    store = TrustStore().with_key(role, "a", signer.public, signer.public.id)
    envelope = dsse.parse(dsse.seal("application/x-test", b"{}", [signer]), limit=4096)
    assert envelope.verify(store.keys_for(role, "a")) == signer.public
    with pytest.raises(BridgeError) as caught:
        envelope.verify(store.keys_for(other, "a"))
    assert caught.value.id == "key.untrusted"


def test_attack_020_every_encoding_of_a_small_order_point_is_refused_at_trust_load() -> None:
    encodings = small_order_encodings()
    assert len(encodings) == 14
    for raw in encodings:
        der = KEY.spki_der()[:-32] + raw
        with pytest.raises(BridgeError) as caught:
            parse(entry(id=hashlib.sha256(der).hexdigest(), public=base64.b64encode(der).decode()))
        assert caught.value.id == "key.small_order"


def test_a_link_is_not_followed_and_a_fifo_not_waited_for(tmp_path: Path) -> None:
    TrustStore().save(tmp_path / "real.json")
    (tmp_path / "link.json").symlink_to("real.json")
    with pytest.raises(OSError, match="symbolic"):
        TrustStore.load(tmp_path / "link.json")
    os.mkfifo(tmp_path / "fifo.json", 0o600)
    with pytest.raises(BridgeError) as caught:
        TrustStore.load(tmp_path / "fifo.json")
    assert caught.value.id == "trust.file"


@pytest.mark.parametrize("taken", [0, 1, 100])
def test_a_store_that_the_disk_takes_a_part_of_leaves_the_old_one(
    tmp_path: Path, taken: int
) -> None:
    path = tmp_path / "trust.json"
    store = TrustStore().with_key("node", "a", KEY, KEY.id)
    store.save(path)
    # A limit on the size of files cuts a write short, as a disk that fills up does; a process of
    # its own, because the limit is the process's.
    program = (
        "import resource, sys; from pathlib import Path; from keys.truststore import TrustStore\n"
        "path = Path(sys.argv[1]); store = TrustStore.load(path)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({taken}, {taken}))\n"
        "try: store.save(path)\n"
        "except OSError: sys.exit(9)\n"
    )
    done = subprocess.run([sys.executable, "-B", "-c", program, str(path)], check=False)
    assert done.returncode == 9
    assert TrustStore.load(path) == store
    assert [found.name for found in tmp_path.iterdir()] == ["trust.json"]


def test_a_revoked_key_may_count_below_its_number_in_the_lanes_that_are_named_and_nowhere_else() -> (
    None
):
    store = TrustStore().with_key("node", "a", KEY, KEY.id)
    before = store.find(KEY.id)
    assert before is not None
    assert before.may_speak("a/logs", 10**12 - 1)
    after = store.revoke(KEY.id, {"a/logs": 7}).find(KEY.id)
    assert after is not None
    assert [after.may_speak("a/logs", seq) for seq in (1, 6, 7, 8)] == [True, True, False, False]
    assert not after.may_speak("a/metrics", 1)


def test_a_key_revoked_without_a_number_counts_for_nothing() -> None:
    found = TrustStore().with_key("node", "a", KEY, KEY.id).revoke(KEY.id, {}).find(KEY.id)
    assert found is not None
    assert found.revoked == {}
    assert not found.may_speak("a/logs", 1)


def test_a_second_revocation_adds_its_lanes_to_the_first() -> None:
    store = TrustStore().with_key("node", "a", KEY, KEY.id).with_key("node", "b", OTHER, OTHER.id)
    twice = store.revoke(KEY.id, {"a/logs": 7, "a/traces": 1}).revoke(KEY.id, {"a/logs": 5})
    found = twice.find(KEY.id)
    assert found is not None
    assert found.revoked == {"a/logs": 5, "a/traces": 1}
    assert twice.find(OTHER.id) == store.find(OTHER.id)


def test_a_revocation_without_a_number_ends_what_an_earlier_one_let_count() -> None:
    store = TrustStore().with_key("node", "a", KEY, KEY.id)
    found = store.revoke(KEY.id, {"a/logs": 7}).revoke(KEY.id, {}).find(KEY.id)
    assert found is not None
    assert not found.may_speak("a/logs", 1)


def test_whose_keys_are_all_revoked_is_not_present_any_more() -> None:
    store = TrustStore().with_key("relay", "r", KEY, KEY.id).with_key("relay", "s", OTHER, OTHER.id)
    gone = store.revoke(KEY.id, {})
    assert (gone.names("relay"), gone.present("relay")) == (["r", "s"], ["s"])
    assert store.present("node") == []


def test_a_key_that_is_not_there_cannot_be_revoked() -> None:
    with pytest.raises(BridgeError) as caught:
        TrustStore().with_key("node", "a", KEY, KEY.id).revoke(OTHER.id, {})
    assert caught.value.id == "trust.unknown"


@pytest.mark.parametrize(
    ("lane", "seq"),
    [
        ("a/logs", 0),
        ("a/logs", -1),
        ("a/logs", 10**12),
        ("a/logs", True),
        ("a", 1),
        ("a/", 1),
        ("/logs", 1),
        ("A/logs", 1),
        ("a/Logs", 1),
        ("a/logs/1", 1),
        ("a/logs\n", 1),
    ],
)
def test_a_lane_or_a_number_that_there_cannot_be_is_not_revoked(lane: str, seq: int) -> None:
    store = TrustStore().with_key("node", "a", KEY, KEY.id)
    with pytest.raises(BridgeError) as caught:
        store.revoke(KEY.id, {lane: seq})
    assert caught.value.id == "document.field"


@pytest.mark.parametrize("seq", [1, 10**12 - 1])
def test_the_first_and_the_last_number_can_be_revoked(seq: int) -> None:
    found = TrustStore().with_key("node", "a", KEY, KEY.id).revoke(KEY.id, {"a/logs": seq})
    assert found.keys[0].revoked == {"a/logs": seq}


def test_none_of_a_revoked_relays_word_counts() -> None:
    store = TrustStore().with_key("relay", "r", KEY, KEY.id).with_key("node", "r", OTHER, OTHER.id)
    gone = store.revoke(KEY.id, {"a/logs": 7}).revoke(OTHER.id, {"r/logs": 7})
    assert gone.keys_for("relay", "r") == {}
    assert gone.keys_for("node", "r") == {OTHER.id: OTHER}


def test_keys_are_found_by_role_and_name_the_newest_last_and_names_told_once() -> None:
    third = SigningKey(b"\x05" * 32).public
    store = (
        TrustStore()
        .with_key("node", "b", KEY, KEY.id)
        .with_key("node", "a", OTHER, OTHER.id)
        .with_key("node", "b", third, third.id)
    )
    assert [key.public for key in store.named("node", "b")] == [KEY, third]
    assert store.named("relay", "b") == []
    assert (store.names("node"), store.names("relay")) == (["b", "a"], [])
    assert store.find("0" * 64) is None


def test_a_store_keeps_revocations_and_recipients_in_its_file_which_all_may_read(
    tmp_path: Path,
) -> None:
    path = tmp_path / "trust.json"
    recipient = "age1x9dzxegvwzq0fy8huwca0g5jgsg8n8d8a3tk6n3w2lp5cy8rne6sx0k59h"
    store = TrustStore().with_key("relay", "r", KEY, KEY.id, recipient).revoke(KEY.id, {})
    (tmp_path / "trust.json.tmp").write_bytes(b"left by a kill")
    store.save(path)
    assert TrustStore.load(path) == store
    assert store.keys[0].age == recipient
    assert path.stat().st_mode & 0o7777 == 0o644


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_a_store_that_the_group_or_the_others_may_write_is_refused(
    tmp_path: Path, mode: int
) -> None:
    path = tmp_path / "trust.json"
    TrustStore().save(path)
    path.chmod(mode)
    with pytest.raises(BridgeError) as caught:
        TrustStore.load(path)
    assert caught.value.id == "trust.file"


@pytest.mark.parametrize(
    ("members", "error"),
    [
        ({"successor": "f" * 63}, "document.field"),
        ({"successor": 1}, "document.field"),
        ({"age": "age1"}, "recipient.form"),
        ({"age": 1}, "document.field"),
        ({"revoked": []}, "document.field"),
        ({"revoked": {"a/logs": "1"}}, "document.field"),
        ({"public": ""}, "document.field"),
        ({"public": "*"}, "document.field"),
        ({"public": "A"}, "key.encoding"),
        ({"id": "0" * 63}, "document.field"),
    ],
)
def test_an_entry_with_a_member_of_another_form_is_refused(
    members: dict[str, object], error: str
) -> None:
    with pytest.raises(BridgeError) as caught:
        parse(entry(**members))
    assert caught.value.id == error


def test_an_empty_store_survives_its_file(tmp_path: Path) -> None:
    TrustStore().save(tmp_path / "trust.json")
    assert TrustStore.load(tmp_path / "trust.json") == TrustStore()


def test_a_key_in_a_second_spelling_is_refused() -> None:
    text = base64.b64encode(KEY.spki_der()).decode()
    # The last character before the padding has bits that are not used.
    bits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    twin = text[:-2] + bits[bits.index(text[-2]) + 1] + "="
    assert base64.b64decode(twin) == KEY.spki_der()
    with pytest.raises(BridgeError) as caught:
        parse(entry(public=twin))
    assert caught.value.id == "key.encoding"


def test_a_file_of_a_byte_more_than_a_store_may_have_is_too_large(tmp_path: Path) -> None:
    path = tmp_path / "trust.json"
    for size, error in ((TRUST_MAX, "json.form"), (TRUST_MAX + 1, "json.too_large")):
        path.write_bytes(b" " * size)
        with pytest.raises(BridgeError) as caught:
            TrustStore.load(path)
        assert caught.value.id == error
    os.truncate(path, 2**40)  # a hole: no memory holds it
    with pytest.raises(BridgeError) as caught:
        TrustStore.load(path)
    assert caught.value.id == "json.too_large"


def test_what_took_over_from_a_key_is_the_id_of_one_or_nothing() -> None:
    for successor in (None, "0123456789abcdef" * 4):
        (found,) = parse(entry(successor=successor))
        assert found.successor == successor
        assert parse(encode((found,))) == (found,)
    bad: tuple[object, ...] = ("a" * 63, "a" * 65, "A" * 64, "", 7, [])
    for wrong in bad:
        with pytest.raises(BridgeError) as caught:
            parse(entry(successor=wrong))
        assert caught.value.id == "document.field"
