"""Changing a machine's key: by the command, told by the next bundle, finished after a kill."""

import errno
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import pytest

from keys.ed25519 import PublicKey, SigningKey
from keys.errors import ConfigError, VerificationError
from keys.keyfile import PRIVATE_NAME, PUBLIC_NAME, create_pair, read_public_key
from keys.ownkey import NEXT_NAME, own_public_keys, read_own_key, rotate
from keys.rotation import read_rotation, seal_rotation
from keys.truststore import TrustStore
from tests.integration.test_courier import (  # noqa: F401 - fixtures
    append,
    beacon,
    inside,
    paired,
    records,
    relay,
    stick,
    told,
)
from tests.support.beacon import RunningBeacon
from tests.support.bridges import Node

AT = "2026-11-24T00:00:00.000Z"
OLD, NEW, OTHER = (SigningKey(bytes([seed]) * 32) for seed in (1, 2, 3))


@pytest.mark.enable_socket
def test_after_a_rotation_bundles_go_both_ways_and_what_was_signed_before_stays_good(
    paired: tuple[Node, Node],  # noqa: F811
    stick: Path,  # noqa: F811
    beacon: RunningBeacon,  # noqa: F811
) -> None:
    inside, relay = paired  # noqa: F811
    append(inside, "a")
    first = told(inside, "keys", "rotate")
    told(relay, "keys", "rotate")
    append(inside, "b")
    second = told(inside, "keys", "rotate")
    assert second["old"] == first["id"]
    append(inside, "c")
    assert inside.bridge("verify", str(inside.spool)).returncode == 0
    (bundle,) = told(inside, "export", "--to", stick)["bundles"]
    assert (bundle["records"], bundle["segments"]) == (3, 3)
    assert told(relay, "inspect", bundle["path"])["key"] == second["id"]
    (item,) = told(relay, "import", bundle["path"])["items"]
    assert item["segments"] == {"new": 3, "duplicate": 0, "refused": 0}
    listed = {each["id"]: each for each in told(relay, "keys", "list")["keys"]}
    assert set(listed) == {first["old"], first["id"], second["id"]}
    assert listed[second["id"]]["age"] == told(inside, "keys", "show")["age"]
    assert relay.bridge("run", "--once").returncode == 0
    assert {record.id for record in beacon.records("transactions")} == {"a", "b", "c"}
    (back,) = told(relay, "export", "--for", "inside", "--to", stick)["bundles"]
    (item,) = told(inside, "import", back["path"])["items"]
    assert item["receipts"]["delivered"] == 3
    assert records(inside) == {"delivered": 3}


@pytest.mark.enable_socket
def test_a_revoked_key_appoints_nobody(
    paired: tuple[Node, Node],  # noqa: F811
    stick: Path,  # noqa: F811
) -> None:
    inside, relay = paired  # noqa: F811
    old = told(inside, "keys", "show")["id"]
    told(relay, "keys", "revoke", old)
    told(inside, "keys", "rotate")
    append(inside, "a")
    (bundle,) = told(inside, "export", "--to", stick)["bundles"]
    answer = told(relay, "import", bundle["path"], code=4)
    assert answer["items"][0]["problem"]["id"] == "key.untrusted"
    assert len(told(relay, "keys", "list")["keys"]) == 1


@pytest.mark.enable_socket
def test_a_key_is_not_changed_under_a_daemon_or_an_open_writer(inside: Node) -> None:  # noqa: F811
    before = told(inside, "keys", "show")["id"]
    inside.daemon.start()
    assert told(inside, "keys", "rotate", code=5)["error"]["id"] == "spool.locked"
    inside.daemon.stop()
    assert told(inside, "keys", "show")["id"] == before


class _KilledError(Exception):
    pass


@pytest.mark.parametrize("call", ["open", "link", "replace", "fsync"])
@pytest.mark.parametrize("number", range(12))
def test_a_rotation_killed_at_any_call_is_finished_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    first = create_pair(tmp_path)
    left = number
    real = getattr(os, call)

    def killed(*arguments: object, **more: object) -> object:
        nonlocal left
        left -= 1
        if left < 0:
            raise _KilledError
        return real(*arguments, **more)

    with monkeypatch.context() as patched:
        patched.setattr(os, call, killed)
        with suppress(_KilledError):
            rotate(tmp_path, "prod-1", AT)
    assert first.public.id in read_own_key(tmp_path).own_keys
    done = rotate(tmp_path, "prod-1", AT) if left < 0 else None
    now = read_own_key(tmp_path)
    assert not (tmp_path / NEXT_NAME).exists()
    assert read_public_key(tmp_path / PUBLIC_NAME) == now.public
    assert done is None or done.new == now.public
    assert first.public in now.took_over_from
    assert own_public_keys(tmp_path) == now.own_keys
    told_by = [read_rotation(each) for each in now.rotations]
    assert [each.number for each in told_by] == list(range(1, len(told_by) + 1))
    assert (tmp_path / PRIVATE_NAME).read_bytes() != first.pem()


def test_a_disk_without_room_leaves_the_old_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = create_pair(tmp_path)

    def full(_: int) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        rotate(tmp_path, "prod-1", AT)
    assert read_own_key(tmp_path).public == first.public


def test_statements_that_do_not_lead_to_the_key_are_refused(tmp_path: Path) -> None:
    create_pair(tmp_path)
    rotate(tmp_path, "prod-1", AT)
    rotate(tmp_path, "prod-1", AT)
    statement = tmp_path / "rotations" / "000002.dsse.json"
    whole = statement.read_bytes()
    for bad in (None, whole[:-1], seal_rotation(2, "prod-1", AT, OLD, NEW)):
        statement.unlink(missing_ok=True)
        if bad is not None:
            statement.write_bytes(bad)
        with pytest.raises(ConfigError) as refused:
            read_own_key(tmp_path)
        assert refused.value.id == "key.rotations"


def _trusting(key: PublicKey) -> TrustStore:
    return TrustStore().with_key("node", "prod-1", key, key.id)


def test_a_key_that_was_rotated_to_two_keys_raises_an_alarm() -> None:
    honest = read_rotation(seal_rotation(1, "prod-1", AT, OLD, NEW))
    thief = read_rotation(seal_rotation(1, "prod-1", AT, OLD, OTHER))
    store = _trusting(OLD.public).rotated("prod-1", [honest])
    assert store.rotated("prod-1", [honest]) == store
    with pytest.raises(VerificationError) as refused:
        store.rotated("prod-1", [thief])
    assert refused.value.id == "rotation.fork"


def test_a_chain_of_rotations_is_followed_from_any_key_of_it() -> None:
    chain = [
        read_rotation(seal_rotation(1, "prod-1", AT, OLD, NEW)),
        read_rotation(seal_rotation(2, "prod-1", AT, NEW, OTHER)),
    ]
    for known in (OLD, NEW, OTHER):
        assert OTHER.public.id in _trusting(known.public).keys_for("node", "prod-1", chain)
    assert OTHER.public.id not in _trusting(OLD.public).keys_for("node", "prod-1", chain[1:])


def test_a_store_from_before_there_were_rotations_is_read(tmp_path: Path) -> None:
    path = tmp_path / "trust.json"
    _trusting(OLD.public).save(path)
    said = json.loads(path.read_bytes())
    del said["keys"][0]["successor"]
    path.write_text(json.dumps(said))
    assert TrustStore.load(path) == _trusting(OLD.public)
