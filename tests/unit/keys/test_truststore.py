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
from keys.truststore import TrustedKey, TrustStore, encode, parse
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
