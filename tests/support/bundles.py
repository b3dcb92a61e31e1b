"""Two machines that trust each other, and bundles between them, in one process."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bridge.transfer.agefile import make_identity, read_identity, recipient_of
from bridge.transfer.applying import Applied, apply
from bridge.transfer.bundle import Bundle, ReturnBundle, opened
from bridge.transfer.exporting import Chosen, Exported, Exporter, Order, chosen
from bridge.transfer.importing import Importer, Outcome
from bridge.transfer.returning import receipt_for, write_return
from keys.ed25519 import PublicKey, SigningKey
from keys.truststore import TrustStore
from spool.discovery import discover, said_by
from spool.durable import OS_DISK, Disk
from spool.lane import Lane, lanes
from spool.ledger import By, Ledger, State
from spool.pruning import Pruner
from spool.ranges import Range
from spool.sealing import Sealer
from spool.writer import Writer
from tests.support.sending import ONE
from tests.support.spools import HandClock

SIZE_MAX = 4_000_000_000


@dataclass
class Machine:
    """A node or a relay: its name, key, spool, ledger and whom it trusts."""

    folder: Path
    name: str
    seed: int
    trust: TrustStore = field(default_factory=TrustStore)
    clock: HandClock = field(default_factory=HandClock)
    disk: Disk = OS_DISK

    def __post_init__(self) -> None:
        self.spool.mkdir(parents=True, exist_ok=True)
        self.key = SigningKey(bytes([self.seed]) * 32)
        self.identity = read_identity(make_identity(self.folder))
        self.ledger = Ledger.open(self.spool, clock=self.clock)

    @property
    def spool(self) -> Path:
        return self.folder / "spool"

    @property
    def age(self) -> str:
        return recipient_of(self.identity)

    def trusts(self, other: "Machine", role: str) -> None:
        public = other.key.public
        self.trust = self.trust.with_key(role, other.name, public, public.id, other.age)

    def lane(self, stream: str = "transactions", node: str | None = None) -> Lane:
        return Lane(self.spool, node or self.name, stream)

    def append(self, *numbers: int, stream: str = "transactions") -> None:
        """One more segment with these records."""
        with Writer(self.spool, stream, node=self.name, signer=self.key, disk=self.disk) as writer:
            writer.append([ONE[stream] % n for n in numbers])
        self.look()

    def drop(self, stream: str) -> None:
        """Give up its oldest segment for want of room, and say so by a loss record."""
        lane = self.lane(stream)
        pruner = Pruner(
            self.ledger, lambda of: Sealer(self.disk, of, self.key, self.clock), self.disk
        )
        (dropped,) = pruner.make_room([lane], 1)
        assert dropped.state is State.PENDING
        self.look()

    def look(self) -> None:
        for lane in lanes(self.spool):
            discover(self.ledger, lane)

    def chosen(
        self, states: Sequence[State], numbers: Mapping[str, Sequence[Range]] | None = None
    ) -> list[Chosen]:
        """The segments that there are of all numbers in ``states``, or of ``numbers`` by stream."""
        found: list[Chosen] = []
        for lane in sorted(lanes(self.spool), key=lambda each: each.stream):
            wanted = (
                [Range(s.first, s.last) for s in self.ledger.spans(lane, *states)]
                if numbers is None
                else numbers.get(lane.stream, ())
            )
            found += chosen(lane, wanted)
        return found

    def export(
        self,
        to: "Machine",
        folder: Path,
        *,
        age: Sequence[str] = (),
        states: Sequence[State] = (State.PENDING,),
        numbers: Mapping[str, Sequence[Range]] | None = None,
        note: str = "",
        name: str | None = None,
        progress: Callable[[int], None] = lambda _: None,
    ) -> Exported:
        """One bundle of all that is in ``states``, or of ``numbers`` by stream."""
        found = self.chosen(states, numbers)
        order = Order(self.name, to.name, folder, name, SIZE_MAX, age, note)
        return Exporter(self.ledger, self.key, self.clock).export(found, order, progress)

    def opened(self, path: Path) -> Bundle | ReturnBundle:
        """What the file is, by this machine's trust; closed again."""
        with opened(path, self.trust.keys_for, self.identity, None) as found:
            return found

    def take(self, path: Path, *, dry_run: bool = False, disk: Disk | None = None) -> Outcome:
        """Import a bundle."""
        with opened(path, self.trust.keys_for, self.identity, self.spool) as found:
            assert isinstance(found, Bundle)
            importer = Importer(self.spool, self.ledger, self.trust, self.name, disk or self.disk)
            return importer.take(found, dry_run=dry_run)

    def give_back(self, node: "Machine", folder: Path, *, age: Sequence[str] = ()) -> Path:
        """A return bundle."""
        receipt, _ = receipt_for(
            self.ledger, self.trust, self.spool, self.name, node.name, self.clock
        )
        path, _, _ = write_return(
            folder, None, receipt, None, signer=self.key, age=age, clock=self.clock
        )
        return path

    def hear(self, path: Path) -> Applied:
        """Import a return bundle."""
        with opened(path, self.trust.keys_for, self.identity, self.spool) as found:
            assert isinstance(found, ReturnBundle)
            return apply(self.ledger, self.spool, self.name, found, self.clock, dry_run=False)

    def records(self, node: str | None = None, stream: str = "transactions") -> dict[State, int]:
        for counts in self.ledger.counts():
            if (counts.node, counts.stream) == (node or self.name, stream):
                return {state: count for state, count in counts.records.items() if count}
        return {}

    def answer(
        self,
        node: str,
        stream: str = "transactions",
        upto: int | None = None,
        fork: str = "",
    ) -> None:
        """As if the beacon had taken what is pending of ``node`` (up to a number)."""
        lane = replace(self.lane(stream, node), fork=fork)
        for span in self.ledger.spans(lane, State.PENDING):
            last = span.last if upto is None else min(span.last, upto)
            if last < span.first:
                continue
            after = span.after
            if last < span.last:
                said = said_by(lane, last)
                assert said is not None
                after = said.after
            self.ledger.move(
                lane, span.first, last,
                source=State.PENDING, target=State.DELIVERED, by=By.ANSWER,
                before_first=span.before, after_last=after,
            )  # fmt: skip

    def public(self) -> PublicKey:
        return self.key.public


def pair(folder: Path, node: str = "inside", relay: str = "relay-1") -> tuple[Machine, Machine]:
    """A node and a relay that trust each other."""
    inside, outside = Machine(folder / node, node, 1), Machine(folder / relay, relay, 2)
    inside.trusts(outside, "relay")
    outside.trusts(inside, "node")
    return inside, outside
