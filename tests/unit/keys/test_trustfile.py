"""What two processes change of the trust store, it holds both."""

import threading
from pathlib import Path

import pytest

from keys.ed25519 import SigningKey
from keys.errors import VerificationError
from keys.trustfile import change_store
from keys.truststore import TrustStore

KEY = SigningKey(b"\x03" * 32).public
OTHER = SigningKey(b"\x04" * 32).public


def test_who_changes_the_store_waits_for_who_is_at_it_and_takes_up_what_came_of_that(
    tmp_path: Path,
) -> None:
    path = tmp_path / "trust.json"
    change_store(path, lambda store: store.with_key("node", "a", KEY, KEY.id))
    second = threading.Thread(
        target=change_store, args=(path, lambda store: store.revoke(KEY.id, {}))
    )

    def slowly(store: TrustStore) -> TrustStore:
        second.start()
        second.join(0.2)  # it would be done by then, if it did not wait
        return store.with_key("relay", "r", OTHER, OTHER.id)

    change_store(path, slowly)
    second.join()
    revoked, added = TrustStore.load(path).keys
    assert (revoked.revoked, added.name) == ({}, "r")


def test_a_change_that_is_refused_leaves_the_store_as_it_was_and_nobody_waiting(
    tmp_path: Path,
) -> None:
    path = tmp_path / "trust.json"
    with pytest.raises(VerificationError):
        change_store(path, lambda store: store.revoke(KEY.id, {}))
    assert list(tmp_path.iterdir()) == []
    change_store(path, lambda store: store.with_key("node", "a", KEY, KEY.id))
    assert len(TrustStore.load(path).keys) == 1
