"""What a relay's own disk loses of another node's records is asked for again; the rest goes on."""

import json
from pathlib import Path

import pytest

from spool.lane import Lane
from tests.integration.test_courier import (
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

pytestmark = [pytest.mark.enable_socket, pytest.mark.timeout(300)]
__all__ = ["beacon", "inside", "paired", "relay", "stick"]


def _segment(node: Node, seq: int) -> Path:
    return node.folder / f"spool/inside/transactions/sealed/00000000/{seq:012d}.ndjson.zst"


def _problems(node: Node) -> dict[str, str]:
    said = json.loads(node.bridge("status", "--json").stdout)
    return {each["id"]: each["message"] for each in said["problems"]}


@pytest.mark.parametrize("damage", ["bit", "missing"])
def test_what_a_relay_lost_is_stepped_over_asked_for_and_sent_when_it_comes_again(
    paired: tuple[Node, Node], stick: Path, beacon: RunningBeacon, damage: str
) -> None:
    inside, relay = paired
    for each in "abc":
        append(inside, each)  # a segment each: who appends seals with the node's key
    (bundle,) = told(inside, "export", "--to", stick)["bundles"]
    told(relay, "import", bundle["path"])
    path = _segment(relay, 2)
    if damage == "bit":
        data = bytearray(path.read_bytes())
        data[20] ^= 1
        path.write_bytes(data)
    else:
        path.unlink()

    ended = relay.bridge("run", "--once")
    assert ended.returncode == 0, ended.stderr
    assert records(relay) == {"delivered": 2, "lost": 1}
    assert "the next receipt asks for what is missing" in _problems(relay)["spool.lost"]
    # That somebody has seen it changes nothing of what is asked for.
    told(relay, "replay", "--state", "lost", "--stream", "transactions", "--discard", "--note", "x")
    assert "spool.lost" not in _problems(relay)
    kept = list((relay.spool / "quarantine").rglob("*.ndjson.zst"))
    assert len(kept) == (damage == "bit")
    assert not (relay.spool / "inside/transactions/head").exists()  # nothing was sealed here

    (back,) = told(relay, "export", "--for", "inside", "--to", stick)["bundles"]
    (item,) = told(inside, "import", back["path"], code=3)["items"]
    assert (item["receipts"]["delivered"], item["receipts"]["missing"]) == (2, 1)
    (again,) = told(inside, "export", "--to", stick, "--resend", back["path"])["bundles"]
    (item,) = told(relay, "import", again["path"])["items"]
    assert item["segments"] == {"new": 1, "duplicate": 0, "refused": 0}
    assert relay.bridge("run", "--once").returncode == 0
    assert records(relay) == {"delivered": 3}
    assert "spool.lost" not in _problems(relay)
    assert beacon.received()["transactions"]["distinct"] == 3


def test_what_the_status_says_to_run_sees_the_loss_of_one_node_and_no_other(
    paired: tuple[Node, Node], stick: Path
) -> None:
    inside, relay = paired
    for each in "ab":
        append(inside, each)
        append(relay, f"own-{each}")
    (bundle,) = told(inside, "export", "--to", stick)["bundles"]
    told(relay, "import", bundle["path"])
    for path in (_segment(relay, 2), Lane(relay.spool, "relay-1", "transactions").segment(1)):
        path.unlink()
    assert relay.bridge("run", "--once").returncode == 0

    def hints() -> dict[str, str]:
        said = json.loads(relay.bridge("status", "--json").stdout)
        found = [each for each in said["problems"] if each["id"] == "spool.lost"]
        return {each["message"].split()[1]: each["hint"] for each in found}

    before = hints()
    assert set(before) == {"inside/transactions", "relay-1/transactions"}
    _, _, command = before["relay-1/transactions"].rpartition("bridge ")
    told(relay, *command.split()[:-1], "a disk")
    after = hints()
    assert set(after) == {"inside/transactions"}
    _, _, command = after["inside/transactions"].rpartition("bridge ")
    told(relay, *command.split()[:-1], "a disk")
    assert hints() == {}
    acts = told(relay, "audit")["seen"]
    assert [act["node"] for act in acts] == ["relay-1", "inside"]


def test_what_a_relay_gives_up_stays_refused_for_the_node_whose_it_is(
    paired: tuple[Node, Node], stick: Path, beacon: RunningBeacon
) -> None:
    inside, relay = paired
    append(inside, "a")
    (bundle,) = told(inside, "export", "--to", stick)["bundles"]
    told(relay, "import", bundle["path"])
    beacon.set_faults(
        {"path": "/v1/beacon/ingest-traces", "times": 1, "status": 422, "body": {"detail": "bad"}}
    )
    assert relay.bridge("run", "--once").returncode == 3
    give_up = ("--stream", "transactions", "--discard", "--note", "useless")
    told(relay, "replay", "--state", "quarantined", *give_up)
    assert records(relay) == {"lost": 1}
    assert "record.refused" not in _problems(relay)
    # Nothing was sealed in another node's lane.
    assert not (relay.spool / "inside/transactions/head").exists()
    assert [path.name for path in (relay.spool / "inside/transactions/sealed").rglob("*.zst")] == [
        _segment(relay, 1).name
    ]
    (back,) = told(relay, "export", "--for", "inside", "--to", stick)["bundles"]
    (item,) = told(inside, "import", back["path"])["items"]
    assert item["receipts"]["quarantined"] == 1
    assert records(inside) == {"quarantined": 1}
