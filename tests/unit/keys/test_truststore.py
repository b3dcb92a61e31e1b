"""A key is trusted for one role and one name, with its own fingerprint, or not at all."""

from pathlib import Path

import orjson
import pytest

from keys.ed25519 import SigningKey
from keys.errors import BridgeError
from keys.truststore import TrustedKey, TrustStore, encode, parse

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
