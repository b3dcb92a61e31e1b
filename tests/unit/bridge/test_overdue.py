"""A billing lane of another node that stands still is told of at the relay, until something comes."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.operate.overdue import BEHIND_MS, overdue
from spool.chain import begin_lane
from spool.clock import MS, SYSTEM_CLOCK
from spool.lane import lanes
from spool.sealing import HEARTBEAT_MS, Sealer
from tests.support.bundles import Machine
from tests.support.spools import FAST

DAY_MS = HEARTBEAT_MS
SILENT_AFTER_MS = 14 * DAY_MS
SLACK_MS = 60_000
"""What a test may take."""


class Pair:
    """A node and its relay; ``passed`` makes what came so far older."""

    def __init__(self, folder: Path) -> None:
        self.stick = folder / "stick"
        self.stick.mkdir()
        self.node = Machine(folder / "node", "n", 1)
        self.relay = Machine(folder / "relay", "r", 2)
        self.node.trusts(self.relay, "relay")
        self.relay.trusts(self.node, "node")

    def carry(self) -> None:
        self.node.look()
        assert not self.relay.take(self.node.export(self.relay, self.stick).path).gaps

    def passed(self, ms: int) -> None:
        for lane in lanes(self.relay.spool):
            when = lane.imported.stat().st_mtime_ns // 1_000_000 - ms
            os.utime(lane.imported, (when / MS, when / MS))

    def heartbeat(self, stream: str = "transactions") -> None:
        lane = self.node.lane(stream)
        begin_lane(FAST, lane)
        Sealer(FAST, lane, self.node.key, SYSTEM_CLOCK).heartbeat()

    def told(self) -> list[str]:
        at = SYSTEM_CLOCK.wall_ms()
        found = list(overdue(lanes(self.relay.spool), at, SILENT_AFTER_MS))
        assert {problem.id for problem in found} <= {"heartbeat.overdue"}
        return [problem.message.split()[3] for problem in found]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    made = Pair(tmp_path)
    yield made
    made.node.ledger.close()
    made.relay.ledger.close()


def test_a_billing_lane_two_heartbeats_behind_its_nodes_other_lanes_is_overdue(pair: Pair) -> None:
    pair.node.append(1)
    pair.node.append(2, stream="logs")
    pair.carry()
    pair.passed(BEHIND_MS - SLACK_MS)
    pair.node.append(3, stream="logs")
    pair.carry()
    assert pair.told() == []
    pair.passed(2 * SLACK_MS)
    pair.node.append(4, stream="logs")
    pair.carry()
    assert pair.told() == ["n/transactions"]


def test_a_heartbeat_that_comes_ends_it(pair: Pair) -> None:
    pair.node.append(1)
    pair.node.append(2, stream="logs")
    pair.carry()
    pair.passed(BEHIND_MS + SLACK_MS)
    pair.node.append(3, stream="logs")
    pair.carry()
    assert pair.told() == ["n/transactions"]
    pair.heartbeat()
    pair.carry()
    assert pair.told() == []


def test_a_node_that_sends_nothing_is_overdue_after_the_time_for_couriers(pair: Pair) -> None:
    pair.node.append(1)
    pair.heartbeat("langgraph")
    pair.node.append(2, stream="logs")
    pair.carry()
    pair.passed(SILENT_AFTER_MS - SLACK_MS)
    assert pair.told() == []
    pair.passed(2 * SLACK_MS)
    assert pair.told() == ["n/langgraph", "n/transactions"]


def test_telemetry_may_be_quiet_and_a_nodes_own_lanes_are_not_judged(pair: Pair) -> None:
    pair.node.append(1)
    pair.node.append(2, stream="logs")
    pair.carry()
    pair.passed(BEHIND_MS + SLACK_MS)
    pair.heartbeat()
    pair.carry()
    assert pair.told() == []
    at = SYSTEM_CLOCK.wall_ms() + 100 * DAY_MS
    assert not list(overdue(lanes(pair.node.spool), at, SILENT_AFTER_MS))


def test_what_comes_twice_is_nothing_new(pair: Pair) -> None:
    pair.node.append(1)
    path = pair.node.export(pair.relay, pair.stick).path
    pair.relay.take(path)
    pair.passed(SILENT_AFTER_MS + SLACK_MS)
    pair.relay.take(path)
    assert pair.told() == ["n/transactions"]
