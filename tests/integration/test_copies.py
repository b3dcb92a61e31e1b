"""A ledger that vanishes, a spool from a backup, a spool that was cloned: duplicates at worst."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from spool.chain import NEW_CHAIN_STEP
from spool.discovery import said_by
from spool.head import read_head
from spool.lane import Lane
from spool.ledger_file import NAME as LEDGER
from tests.support.beacon import RunningBeacon, running_beacon
from tests.support.bridges import Node, node_for
from tests.support.spools import wait_until

pytestmark = pytest.mark.enable_socket


@pytest.fixture
def beacon(tmp_path: Path) -> Iterator[RunningBeacon]:
    with running_beacon(tmp_path / "beacon") as running:
        yield running


@pytest.fixture
def node(tmp_path: Path, beacon: RunningBeacon) -> Iterator[Node]:
    with node_for(tmp_path, beacon.url) as made:
        yield made


def append(node: Node, *ids: str) -> None:
    lines = "".join(json.dumps({"id": each}) + "\n" for each in ids)
    done = node.bridge("append", "transactions", stdin=lines.encode())
    assert done.returncode == 0, done.stderr


def drain(node: Node) -> None:
    done = node.bridge("run", "--once")
    assert done.returncode == 0, done.stderr


def arrived(beacon: RunningBeacon) -> set[str]:
    return {record.id or "" for record in beacon.records("transactions")}


def digests(lane: Lane) -> dict[int, bytes]:
    return {seq: lane.segment(seq).read_bytes() for seq in lane.sealed_numbers()}


def test_a_ledger_lost_under_a_running_daemon_costs_duplicates_at_worst(
    node: Node, beacon: RunningBeacon
) -> None:
    node.daemon.start()
    append(node, "a", "b")
    wait_until(lambda: arrived(beacon) == {"a", "b"})
    for path in node.spool.glob(f"{LEDGER}*"):
        path.unlink()
    # It notices, says so and ends; whoever supervises it starts it again.
    wait_until(lambda: "ledger.vanished" in node.log.read_text())
    node.daemon.stop()
    append(node, "c")
    node.daemon.start()
    append(node, "d")
    wait_until(lambda: arrived(beacon) == {"a", "b", "c", "d"})
    node.daemon.stop()
    (lane,) = (
        lane
        for lane in json.loads(node.bridge("status", "--json").stdout)["lanes"]
        if lane["stream"] == "transactions"
    )
    assert lane["records"]["delivered"] == 4
    assert lane["records"]["lost"] == lane["records"]["pending"] == 0
    assert node.bridge("verify", str(node.spool)).returncode == 0


def test_a_spool_restored_from_a_backup_begins_a_new_chain_and_reuses_no_number(
    node: Node, beacon: RunningBeacon, tmp_path: Path
) -> None:
    lane = Lane(node.spool, node.name, "transactions")
    append(node, "a")
    drain(node)
    backup = tmp_path / "backup"
    shutil.copytree(node.spool, backup)
    append(node, "b")
    drain(node)
    before = digests(lane)
    shutil.rmtree(node.spool)
    shutil.copytree(backup, node.spool)
    append(node, "c")
    drain(node)
    head = read_head(lane)
    assert head is not None
    assert head.seq >= NEW_CHAIN_STEP
    said = said_by(lane, NEW_CHAIN_STEP)
    assert said is not None
    assert said.follows is not None
    assert (said.follows.why, said.follows.seq) == ("moved", 1)
    after = digests(lane)
    assert all(after[seq] == before[seq] for seq in before.keys() & after.keys())
    assert arrived(beacon) == {"a", "b", "c"}


def test_a_cloned_spool_and_its_original_share_no_new_number(
    node: Node, beacon: RunningBeacon, tmp_path: Path
) -> None:
    append(node, "a")
    drain(node)
    shutil.copytree(node.folder, tmp_path / "clone")
    clone = Node(
        tmp_path / "clone",
        tmp_path / "clone" / "bridge.yaml",
        node.name,
        node.daemon,
        tmp_path / "clone.log",
    )
    for here, name in ((node, "original"), (clone, "clone"), (node, "original-2")):
        append(here, name)
        drain(here)
    assert arrived(beacon) == {"a", "original", "clone", "original-2"}
    ours = digests(Lane(node.spool, node.name, "transactions"))
    theirs = digests(Lane(clone.spool, node.name, "transactions"))
    shared = ours.keys() & theirs.keys()
    assert shared == {1}
    assert ours[1] == theirs[1]
    for here in (node, clone):
        assert here.bridge("verify", str(here.spool)).returncode == 0


def test_a_lane_that_was_set_back_below_its_ledger_reuses_no_number_and_loses_nothing(
    node: Node, beacon: RunningBeacon
) -> None:
    append(node, "a")
    drain(node)
    lane = Lane(node.spool, node.name, "transactions")
    saved = lane.head.read_bytes()
    append(node, "b")
    drain(node)
    # Somebody puts the lane's folder back as it was, in place, and leaves the ledger.
    head = read_head(lane)
    assert head is not None
    lane.segment(head.seq).unlink()
    lane.head.write_bytes(saved)
    node.daemon.start()
    append(node, "c")
    wait_until(lambda: arrived(beacon) == {"a", "b", "c"})
    node.daemon.stop()
    assert "chain.began" in node.log.read_text()
    numbers = list(lane.sealed_numbers())
    assert head.seq not in numbers
    assert max(numbers) > NEW_CHAIN_STEP
    assert node.bridge("verify", str(node.spool)).returncode == 0
