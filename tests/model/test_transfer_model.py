"""Nodes, a courier and a relay, in any order: nothing is lost in silence, nothing counts twice.

Two nodes append and export; sticks are lost, repeated, mixed up, damaged; the relay imports, uploads
and answers by receipts, which are lost and repeated too. Whenever a courier goes round once without
trouble, every record has arrived once, and the books of both sides agree.
"""

import shutil
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from keys.errors import VerificationError
from spool.frames import FrameDecoder
from spool.ledger import State
from spool.segment import Segment
from tests.support.bundles import Machine

NODES = st.sampled_from(["n1", "n2"])
PICK = st.integers(0, 10**6)


class Crossing(RuleBasedStateMachine):
    """The world; ``beacon`` counts how often each record of each node came there."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.stick = self.folder / "stick"
        self.stick.mkdir()
        self.relay = Machine(self.folder / "relay", "relay-1", 9)
        self.nodes = {
            name: Machine(self.folder / name, name, number)
            for number, name in enumerate(("n1", "n2"), start=1)
        }
        for node in self.nodes.values():
            node.trusts(self.relay, "relay")
            self.relay.trusts(node, "node")
        self.produced: Counter[str] = Counter()
        self.beacon: Counter[str] = Counter()
        self.sticks: list[Path] = []
        self.returns: dict[str, list[Path]] = {"n1": [], "n2": []}
        self.made = 0

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            for machine in (self.relay, *self.nodes.values()):
                machine.ledger.close()
            shutil.rmtree(self.folder)

    def _name(self, ending: str) -> str:
        self.made += 1
        return f"{self.made:04d}{ending}"

    @rule(name=NODES, count=st.integers(1, 3))
    def append(self, name: str, count: int) -> None:
        begin = self.produced[name]
        self.nodes[name].append(*range(begin, begin + count))
        self.produced[name] += count

    @rule(name=NODES, again=st.booleans())
    def export(self, name: str, again: bool) -> None:  # noqa: FBT001 - drawn
        node = self.nodes[name]
        states = (State.PENDING, State.EXPORTED) if again else (State.PENDING,)
        if any(node.records().get(state) for state in states):
            done = node.export(self.relay, self.stick, states=states, name=self._name(".agb"))
            self.sticks.append(done.path)

    @rule(name=NODES)
    def resend(self, name: str) -> None:
        node = self.nodes[name]
        missing = node.ledger.missing(node.lane())
        if missing:
            asked = {"transactions": missing}
            done = node.export(self.relay, self.stick, numbers=asked, name=self._name(".agb"))
            self.sticks.append(done.path)

    @rule(pick=PICK)
    def lose_a_stick(self, pick: int) -> None:
        if self.sticks:
            self.sticks.pop(pick % len(self.sticks)).unlink()

    @rule(pick=PICK, at=PICK)
    def damage_a_stick(self, pick: int, at: int) -> None:
        if self.sticks:
            path = self.sticks[pick % len(self.sticks)]
            data = bytearray(path.read_bytes())
            data[at % len(data)] ^= 1 << (at % 8)
            path.write_bytes(data)

    @rule(pick=PICK)
    def bring_in(self, pick: int) -> None:
        """In any order, the same one again and again."""
        if self.sticks:
            try:
                self.relay.take(self.sticks[pick % len(self.sticks)])
            except VerificationError:
                return

    @rule(name=NODES, upto=st.integers(1, 4))
    def upload(self, name: str, upto: int) -> None:
        """What is pending goes to the beacon, record by record, up to some number."""
        lane = self.relay.lane(node=name)
        spans = self.relay.ledger.spans(lane, State.PENDING)
        if not spans:
            return
        last = spans[0].first + upto - 1
        for span in spans:
            for seq in range(span.first, min(span.last, last) + 1):
                with Segment.open(lane.segment(seq)) as segment:
                    for raw, _ in segment.raw_frames(FrameDecoder()):
                        self.beacon.update(f"{name} {line.decode()}" for line in raw.splitlines())
        self.relay.answer(name, upto=last)

    @rule(name=NODES)
    def give_back(self, name: str) -> None:
        if self.relay.lane(node=name).imported.exists():
            path = self.relay.give_back(self.nodes[name], self.stick)
            self.returns[name].append(path)

    @rule(name=NODES, pick=PICK)
    def hear(self, name: str, pick: int) -> None:
        """Any of the receipts, the oldest again after the newest."""
        if self.returns[name]:
            self.nodes[name].hear(self.returns[name][pick % len(self.returns[name])])

    @rule(name=NODES)
    def restart(self, name: str) -> None:
        """A process that ends and comes back knows what it knew."""
        node = self.nodes[name]
        node.ledger.close()
        self.nodes[name] = Machine(node.folder, name, node.seed, node.trust, node.clock)

    @invariant()
    def books_balance(self) -> None:
        if not hasattr(self, "folder"):
            return
        for name, node in self.nodes.items():
            assert sum(node.records().values()) == self.produced[name]
            delivered = node.records().get(State.DELIVERED, 0)
            at_the_beacon = sum(n for key, n in self.beacon.items() if key.startswith(name))
            assert delivered <= at_the_beacon
        assert all(count == 1 for count in self.beacon.values())

    @invariant()
    def what_a_node_calls_delivered_the_relay_calls_so_too(self) -> None:
        if not hasattr(self, "folder"):
            return
        for name, node in self.nodes.items():
            there = self.relay.records(name).get(State.DELIVERED, 0)
            assert node.records().get(State.DELIVERED, 0) <= there

    @rule()
    def one_good_courier(self) -> None:
        """Everything goes round once without trouble: then all of it has arrived, once."""
        for name, node in self.nodes.items():
            if not self.produced[name]:
                continue
            open_states = (State.PENDING, State.EXPORTED)
            if any(node.records().get(state) for state in open_states):
                done = node.export(
                    self.relay, self.stick, states=open_states, name=self._name(".agb")
                )
                assert self.relay.take(done.path).refused == []
            while self.relay.records(name).get(State.PENDING):
                self.upload(name, 4)
            applied = node.hear(self.relay.give_back(node, self.stick))
            assert (applied.missing, applied.foreign) == (0, [])
            assert node.records() == {State.DELIVERED: self.produced[name]}
            assert self.relay.records(name) == {State.DELIVERED: self.produced[name]}


TestCrossing = Crossing.TestCase
TestCrossing.settings = settings(
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
