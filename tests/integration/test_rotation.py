"""Changing a machine's key: by the command, told by the next bundle."""

from pathlib import Path

import pytest

from bridge.daemon.receiving import follow_rotations
from bridge.transfer.bundle import opened
from keys.truststore import TRUST_NAME, TrustStore
from tests.integration.test_courier import (  # noqa: F401 - fixtures
    append,
    beacon,
    inside,
    paired,
    records,
    relay,
    stick,
)
from tests.support.beacon import RunningBeacon
from tests.support.bridges import Node, told


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
def test_what_is_revoked_while_a_bundle_is_read_stays_revoked_when_a_rotation_is_followed(
    paired: tuple[Node, Node],  # noqa: F811
    stick: Path,  # noqa: F811
) -> None:
    inside, relay = paired  # noqa: F811
    old = told(inside, "keys", "show")["id"]
    told(inside, "keys", "rotate")
    append(inside, "a")
    (bundle,) = told(inside, "export", "--to", stick, "--plain")["bundles"]
    place = relay.folder / "keys" / TRUST_NAME
    trust = TrustStore.load(place)
    with opened(Path(bundle["path"]), trust.keys_for, None, None) as found:
        told(relay, "keys", "revoke", old)
        followed = follow_rotations(trust, found, place)
    assert followed == TrustStore.load(place)
    (listed,) = told(relay, "keys", "list")["keys"]
    assert (listed["id"], listed["revoked"]) == (old, {})


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
