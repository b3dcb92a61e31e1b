"""A node and a relay on disks that forget, fail and fill up, in any order: nothing is lost in silence.

Writers, sealing, recovery, mending, retention, export, import and receipts run over two simulated
disks. Any step can meet a power cut, an error, a disk that is broken for a while or full; the next
process recovers, and can be cut short in that too. Between steps bits flip, files vanish, old copies
are put back, heads and ledgers are lost.

The ledgers are SQLite, which syncs every commit before it returns: they lie on the real file system,
and a crash leaves just what was committed. So the ledger can be ahead of every unsynced change in the
spool beside it, never behind one that it was told of. Sticks are real files; an export is cut short
where it reports progress.

Whatever was acknowledged is readable in the spool, at the relay or at the beacon, or declared lost by
a signed record, or somebody spoiled it; nothing is there that nobody gave; what is called delivered
is at the beacon; no number of a lane ever has two contents; recovering twice is recovering once.
"""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bridge.egress.mending import Mender
from bridge.transfer.gaps import wanting
from keys.errors import VerificationError
from spool.chain import begin_lane
from spool.delivered import note_delivered
from spool.discovery import discover
from spool.errors import SpoolError
from spool.frames import FrameDecoder
from spool.head import read_head
from spool.lane import SEQ_MAX, Lane
from spool.ledger import Ledger, State
from spool.openfile import open_files
from spool.pruning import Pruner
from spool.ranges import Range, parse_ranges
from spool.recovery import Recovery
from spool.rewriting import examine, good_lines
from spool.sealing import Sealer
from spool.segment import Segment
from spool.writer import Writer
from tests.support.bundles import Machine
from tests.support.filesystems import in_memory
from tests.support.simdisk import Crash, Keep, SimDisk

STREAMS = ("transactions", "logs")
LINES = {
    "transactions": b'{"id":"%04d-%06d"}',
    "logs": b'{"resourceLogs":[{"id":"%04d-%06d"}]}',
}
STREAM = st.sampled_from(STREAMS)
PICK = st.integers(0, 10**6)


class Trouble(NamedTuple):
    """What a step meets after so many operations of its disk, and what a crash keeps."""

    kind: str = "none"
    after: int = 0
    keep: Keep = Keep.EVERYTHING
    seed: int = 0


TROUBLE = st.one_of(
    st.just(Trouble()),
    st.builds(
        Trouble,
        st.sampled_from(["crash", "crash", "eio", "enospc", "broken", "full"]),
        st.integers(0, 25),
        st.sampled_from(list(Keep)),
        st.integers(0, 2**20),
    ),
)


class Site:
    """A machine, its disk, and the writers of the process that runs there."""

    def __init__(self, folder: Path, name: str, seed: int) -> None:
        self.machine = Machine(folder / name, name, seed)
        self.random = Random(seed)
        self.writers: dict[str, tuple[int, Writer]] = {}
        self.disk = SimDisk(self.machine.spool)
        self.machine.disk = self.disk

    def sealer(self, stream: str) -> Sealer:
        machine = self.machine
        return Sealer(self.disk, machine.lane(stream), machine.key, machine.clock)

    def recover(self) -> None:
        """What a daemon does when it starts, but for its own heartbeats."""
        for stream in STREAMS:
            sealer = self.sealer(stream)
            begin_lane(self.disk, sealer.lane)
            last = self.machine.ledger.last(sealer.lane)
            sealer.settle_head(0 if last is None else last.seq)
            list(Recovery(self.disk, sealer, self.machine.clock).recover())
            discover(self.machine.ledger, sealer.lane)

    def end(self, keep: Keep, random: Random) -> None:
        """The power is cut."""
        self.disk.settle(keep, random)
        for _, writer in self.writers.values():
            with suppress(Crash, SpoolError):
                writer.close()  # its threads; the disk is dead to them
        self.writers.clear()
        self.machine.ledger.close()

    def begin(self) -> None:
        """The next process."""
        self.disk = SimDisk(self.machine.spool)
        self.machine.disk = self.disk
        self.machine.ledger = Ledger.open(self.machine.spool, clock=self.machine.clock)

    def restart(self, keep: Keep, random: Random, *, node: bool) -> None:
        """A crash, perhaps more of them while the next processes recover, and one that lives."""
        self.end(keep, random)
        for _ in range(random.randrange(3) if node else 0):
            self.begin()
            self.disk.crash_after(random.randrange(40))
            with suppress(Crash):
                self.recover()
            self.end(random.choice(list(Keep)), random)
        self.begin()
        if node:
            self.recover()


class Forgetful(RuleBasedStateMachine):
    """The world: a node, a courier, a relay, a beacon, and what is known of every record."""

    @initialize()
    def begin(self) -> None:
        self.held = ExitStack()
        disk = self.held.enter_context(tempfile.TemporaryDirectory())
        # The ledgers sync really, and often.
        self.folder = self.held.enter_context(in_memory(Path(disk)))
        self.stick = self.folder / "stick"
        self.stick.mkdir()
        self.node = Site(self.folder, "n1", 1)
        self.relay = Site(self.folder, "relay-1", 9)
        self.node.machine.trusts(self.relay.machine, "relay")
        self.relay.machine.trusts(self.node.machine, "node")
        self.node.recover()
        for (
            stream
        ) in STREAMS:  # a copy of a lane without a head knows of nothing that it could follow
            self.node.sealer(stream).heartbeat()
        self.files = self.made = self.records = 0
        self.given: set[bytes] = set()
        self.acknowledged: set[bytes] = set()
        self.excused: set[bytes] = set()
        self.beacon: set[bytes] = set()
        self.digests: dict[tuple[str, int], str] = {}
        self.held_in: dict[tuple[str, str, int], set[bytes]] = {}
        self.sticks: list[Path] = []
        self.returns: list[Path] = []
        self.copy: tuple[Path, set[bytes]] | None = None

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            for site in (self.node, self.relay):
                site.end(Keep.EVERYTHING, Random(0))
            self.held.close()

    @contextmanager
    def _meeting(self, site: Site, trouble: Trouble) -> Iterator[None]:
        """A step of one process that meets ``trouble``; afterwards there is a process that lives."""
        disk = site.disk
        if trouble.kind == "crash":
            disk.crash_after(trouble.after)
        elif trouble.kind in ("eio", "enospc"):
            disk.fail_after(trouble.after, getattr(errno, trouble.kind.upper()))
        elif trouble.kind == "broken":
            disk.break_after(trouble.after, errno.EIO)
        elif trouble.kind == "full":
            disk.room = disk.used() + trouble.after * 512
        try:
            yield
        except Crash:
            disk.crash_after(0)  # one that an export was told of
            with suppress(Crash):
                disk.mkdir(self.folder)
        except (OSError, SpoolError):
            assert trouble.kind != "none"
        if disk.dead:
            site.restart(trouble.keep, Random(trouble.seed), node=site is self.node)
        else:
            disk.mend()

    def _lines(self, stream: str, file: int, count: int) -> list[bytes]:
        """Records that say which file they were meant for, and when."""
        made = [LINES[stream] % (file, self.records + n) for n in range(count)]
        self.records += count
        self.given |= set(made)
        return made

    @rule(stream=STREAM, count=st.integers(1, 3), trouble=TROUBLE)
    def append(self, stream: str, count: int, trouble: Trouble) -> None:
        site = self.node
        with self._meeting(site, trouble):
            if stream not in site.writers:
                machine = site.machine
                self.files += 1
                writer = Writer(
                    machine.spool, stream, node="n1", signer=machine.key, disk=site.disk,
                    clock=machine.clock,
                )  # fmt: skip
                site.writers[stream] = (self.files, writer)
            file, writer = site.writers[stream]
            made = self._lines(stream, file, count)
            writer.append(made)
            self.acknowledged |= set(made)

    @rule(stream=STREAM, trouble=TROUBLE)
    def seal(self, stream: str, trouble: Trouble) -> None:
        site = self.node
        with self._meeting(site, trouble):
            if stream in site.writers:
                _, writer = site.writers.pop(stream)
                writer.close()

    @rule(trouble=TROUBLE)
    def keep_house(self, trouble: Trouble) -> None:
        with self._meeting(self.node, trouble):
            self.node.recover()

    @rule(trouble=TROUBLE)
    def mend(self, trouble: Trouble) -> None:
        """What the sender does with each pending segment that it cannot send."""
        site = self.node
        with self._meeting(site, trouble):
            for stream in STREAMS:
                lane, ledger = site.machine.lane(stream), site.machine.ledger
                mender = Mender(site.disk, site.sealer(stream), ledger, site.machine.clock)
                pending = [
                    seq
                    for span in ledger.spans(lane, State.PENDING)
                    for seq in range(span.first, span.last + 1)
                ]
                for seq in pending:
                    still = ledger.spans(lane, State.PENDING)
                    if any(s.first <= seq <= s.last for s in still) and not self._good(lane, seq):
                        mender.mend(seq)
                discover(ledger, lane)

    @rule(stream=STREAM, trouble=TROUBLE, wanted=st.integers(1, 3))
    def make_room(self, stream: str, trouble: Trouble, wanted: int) -> None:
        site = self.node
        with self._meeting(site, trouble):
            pruner = Pruner(site.machine.ledger, lambda lane: site.sealer(lane.stream), site.disk)
            list(pruner.make_room([site.machine.lane(stream)], wanted * 400))
            discover(site.machine.ledger, site.machine.lane(stream))

    @rule(again=st.booleans(), trouble=TROUBLE)
    def export(self, again: bool, trouble: Trouble) -> None:  # noqa: FBT001 - drawn
        site = self.node
        with self._meeting(site, trouble):
            left = trouble.after if trouble.kind == "crash" else 10**9

            def progress(_: int) -> None:
                nonlocal left
                left -= 1
                if left < 0:
                    raise Crash("export")

            site.machine.look()
            states = (State.PENDING, State.EXPORTED) if again else (State.PENDING,)
            self.made += 1
            try:
                if not site.machine.chosen(states):
                    return  # what is there to leave has lost its files; whoever sends mends it
                done = site.machine.export(
                    self.relay.machine,
                    self.stick,
                    states=states,
                    name=f"{self.made:04d}.agb",
                    progress=progress,
                )
            except (VerificationError, SpoolError):
                return  # a segment that somebody spoiled; whoever sends mends it
            self.sticks.append(done.path)

    # A rule that has nothing to work on does nothing. Were it not there, what can be drawn would hang
    # on what a writer's threads had done by then, which no two runs of the same steps agree on.
    @rule(pick=PICK, at=PICK, whole=st.booleans())
    def spoil_a_stick(self, pick: int, at: int, whole: bool) -> None:  # noqa: FBT001 - drawn
        if not self.sticks:
            return
        path = self.sticks[pick % len(self.sticks)]
        if whole:
            self.sticks.remove(path)
            path.unlink()
        else:
            _flip(path, at)

    @rule(pick=PICK, trouble=TROUBLE)
    def bring_in(self, pick: int, trouble: Trouble) -> None:
        if not self.sticks:
            return
        with self._meeting(self.relay, trouble), suppress(VerificationError):
            self.relay.machine.take(self.sticks[pick % len(self.sticks)])

    @rule(stream=STREAM)
    def upload(self, stream: str) -> None:
        machine = self.relay.machine
        lane = machine.lane(stream, "n1")
        for span in machine.ledger.spans(lane, State.PENDING):
            for seq in range(span.first, span.last + 1):
                self.beacon |= set(_held(lane.segment(seq)))
        machine.answer("n1", stream)

    @rule()
    def give_back(self) -> None:
        machine = self.relay.machine
        if any(machine.lane(stream, "n1").imported.exists() for stream in STREAMS):
            self.returns.append(machine.give_back(self.node.machine, self.stick))

    @rule(pick=PICK, trouble=TROUBLE)
    def hear(self, pick: int, trouble: Trouble) -> None:
        site = self.node
        if not self.returns:
            return
        with self._meeting(site, trouble):
            site.machine.look()
            site.machine.hear(self.returns[pick % len(self.returns)])
            for stream in STREAMS:
                note_delivered(site.machine.ledger, site.machine.lane(stream), site.disk)

    @rule(trouble=TROUBLE)
    def crash(self, trouble: Trouble) -> None:
        self.node.restart(trouble.keep, Random(trouble.seed), node=True)
        self.relay.restart(trouble.keep, Random(trouble.seed), node=False)

    def _ended(self) -> Path:
        """The spool of the node, whose process has ended in good order."""
        self.node.end(Keep.EVERYTHING, Random(0))
        return self.node.machine.spool

    def _began(self) -> None:
        self.node.begin()
        self.node.recover()

    @rule(stream=STREAM, pick=PICK, at=PICK, whole=st.booleans())
    def spoil_a_segment(self, stream: str, pick: int, at: int, whole: bool) -> None:  # noqa: FBT001
        self._ended()
        lane = self.node.machine.lane(stream)
        if paths := [lane.segment(seq) for seq in lane.sealed_numbers()]:
            path = paths[pick % len(paths)]
            before, declared = set(_held(path)), self._declared(lane, stream)
            if whole:
                path.unlink()
            else:
                _flip(path, at)
            self.excused |= before - (set(_held(path)) if path.exists() else set())
            # A loss record declares nothing any more once somebody spoiled it.
            self.excused |= declared - self._declared(lane, stream)
        self._began()

    @rule(stream=STREAM)
    def lose_the_head(self, stream: str) -> None:
        self._ended()
        self.node.machine.lane(stream).head.unlink(missing_ok=True)
        self.copy = None  # two chains that begin after the same number are a fork, and known as one
        self._began()

    @rule()
    def lose_the_ledger(self) -> None:
        spool = self._ended()
        for path in spool.glob("ledger.db*"):
            path.unlink()
        self._began()

    @rule()
    def copy_the_spool(self) -> None:
        spool = self._ended()
        self.made += 1
        self.copy = (self.folder / f"copy-{self.made}", set(self.acknowledged))
        shutil.copytree(spool, self.copy[0])
        self._began()

    @rule()
    def restore_the_copy(self) -> None:
        if self.copy is None:
            return
        spool = self._ended()
        # Kept until the end: a folder that went would leave its inode number to the next one.
        self.made += 1
        shutil.move(spool, self.folder / f"gone-{self.made}")
        kept, known = self.copy
        shutil.move(kept, spool)
        self.copy = None  # a second time it would be a clone, and clones make forks
        self.excused |= self.acknowledged - known
        self._began()

    def _good(self, lane: Lane, seq: int) -> bool:
        try:
            with Segment.open(lane.segment(seq)) as segment:
                segment.check_place(lane.node, lane.stream, seq)
                segment.check_digest()
                segment.check_signature(self.node.machine.key.own_keys)
                list(segment.raw_frames(FrameDecoder()))
        except (FileNotFoundError, VerificationError):
            return False
        return True

    @invariant()
    def everything_is_accounted_for(self) -> None:
        if not hasattr(self, "folder"):
            return
        for stream in STREAMS:
            self._note(self.node.machine.lane(stream), stream)
        found = set(self.beacon)
        for site in (self.node, self.relay):
            for stream in STREAMS:
                lane = site.machine.lane(stream, "n1")
                # Open ones first: a writer's second thread may seal one meanwhile, and then it is
                # among the sealed ones.
                for path in open_files(lane):
                    with suppress(FileNotFoundError):
                        found |= set(_held(path))
                for seq in lane.sealed_numbers():
                    found |= set(_held(lane.segment(seq)))
        assert found <= self.given, "a record that nobody gave"
        missing = self.acknowledged - self.excused - found
        for stream in STREAMS:
            missing -= self._declared(self.node.machine.lane(stream), stream)
        assert not missing, "acknowledged, and nowhere"

    def _note(self, lane: Lane, stream: str) -> None:
        """What each number holds; it never holds anything else."""
        head = read_head(lane)
        for seq in lane.sealed_numbers():
            if head is None or seq > head.seq or not self._good(lane, seq):
                continue
            with Segment.open(lane.segment(seq)) as segment:
                digest, chain = segment.digest, segment.statement.chain
            assert self.digests.setdefault((stream, seq), digest) == digest, "a number used again"
            held = _held(lane.segment(seq))
            self.held_in[stream, chain, seq] = set(held)
            assert held == sorted(set(held)), "out of order"

    def _declared(self, lane: Lane, stream: str) -> set[bytes]:
        """The records of the numbers that signed loss records name."""
        numbers: set[int] = set()
        for seq in lane.sealed_numbers():
            if not self._good(lane, seq):
                continue
            with Segment.open(lane.segment(seq)) as segment:
                lost = segment.statement.lost
                if lost is not None and lost.ranges:
                    for each in parse_ranges(lost.ranges):
                        numbers |= set(range(each.first, each.last + 1))
        return {
            line
            for (of, _, seq), held in self.held_in.items()
            if of == stream and seq in numbers
            for line in held
        }

    @invariant()
    def what_is_called_delivered_is_at_the_beacon(self) -> None:
        if not hasattr(self, "folder"):
            return
        for stream in STREAMS:
            lane = self.node.machine.lane(stream)
            for span in self.node.machine.ledger.spans(lane, State.DELIVERED):
                for seq in range(span.first, span.last + 1):
                    held = self.held_in.get((stream, span.chain, seq), set())
                    assert held <= self.beacon

    @invariant()
    def what_the_relay_has_to_send_is_there_and_whole(self) -> None:
        if not hasattr(self, "folder"):
            return
        machine = self.relay.machine
        for stream in STREAMS:
            lane = machine.lane(stream, "n1")
            for span in machine.ledger.spans(lane, State.PENDING):
                for seq in range(span.first, span.last + 1):
                    assert self._good(lane, seq)

    @invariant()
    def nobody_is_asked_for_what_was_given_up(self) -> None:
        if not hasattr(self, "folder"):
            return
        machine = self.relay.machine
        for stream in STREAMS:
            lane = machine.lane(stream, "n1")
            asked = {
                seq
                for each in wanting(machine.ledger, lane, machine.trust)
                for seq in range(each.first, each.last + 1)
            }
            known = self.relay.machine.ledger.imported_digests(lane, Range(1, SEQ_MAX))
            for seq in lane.sealed_numbers():
                if seq in known and self._good(lane, seq):
                    with Segment.open(lane.segment(seq)) as segment:
                        given_up = segment.statement.gave_up
                    assert not asked & {n for r in given_up for n in range(r.first, r.last + 1)}

    @rule()
    def recovering_twice_is_recovering_once(self) -> None:
        self.node.recover()
        lanes = [self.node.machine.lane(stream) for stream in STREAMS]
        before = [(list(lane.sealed_numbers()), read_head(lane)) for lane in lanes]
        spans = [self.node.machine.ledger.spans(lane) for lane in lanes]
        self.node.recover()
        assert [(list(lane.sealed_numbers()), read_head(lane)) for lane in lanes] == before
        assert [self.node.machine.ledger.spans(lane) for lane in lanes] == spans


def _flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    if data:
        data[at % len(data)] ^= 1 << (at % 8)
        path.write_bytes(data)


def _held(path: Path) -> list[bytes]:
    """The lines of the good frames of a file, whatever else is wrong with it."""
    data = path.read_bytes()

    def read(offset: int, size: int) -> bytes:
        return data[offset : offset + size]

    return [line for raw in good_lines(read, examine(read, len(data))) for line in raw.splitlines()]


TestForgetful = pytest.mark.filterwarnings(
    # A power cut in a writer's second thread ends that thread; nothing of ours may catch it.
    "ignore::pytest.PytestUnhandledThreadExceptionWarning"
)(Forgetful.TestCase)
_LONG = int(os.environ.get("FORGETFUL_EXAMPLES", "0"))
Forgetful.TestCase.settings = settings(
    max_examples=_LONG or 25,
    stateful_step_count=50 if _LONG else 20,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@contextmanager
def _world() -> Iterator[Forgetful]:
    """For examples that were found once, step by step."""
    world = Forgetful()
    world.begin()
    try:
        yield world
        world.everything_is_accounted_for()
        world.what_is_called_delivered_is_at_the_beacon()
        world.what_the_relay_has_to_send_is_there_and_whole()
        world.nobody_is_asked_for_what_was_given_up()
    finally:
        world.teardown()


def test_a_head_lost_twice_with_the_newest_segment_deleted_between_uses_no_number_twice() -> None:
    with _world() as world:
        world.lose_the_head("logs")
        world.everything_is_accounted_for()
        world.spoil_a_segment("logs", pick=1, at=0, whole=True)
        world.lose_the_head("logs")
        newest = max(world.node.machine.lane("logs").sealed_numbers())
        assert newest == 2_000_000


def test_what_a_receipt_confirmed_makes_room_and_is_told_by_the_frontier() -> None:
    with _world() as world:
        world.append("transactions", 3, Trouble())
        world.seal("transactions", Trouble())
        world.append("transactions", 3, Trouble())
        world.seal("transactions", Trouble())
        world.export(again=False, trouble=Trouble())
        world.bring_in(0, Trouble())
        world.upload("transactions")
        world.give_back()
        world.node.machine.hear(world.returns[0])
        held = len(list(world.node.machine.lane("transactions").sealed_numbers()))
        world.make_room("transactions", Trouble(), wanted=1)
        assert len(list(world.node.machine.lane("transactions").sealed_numbers())) < held
        world.lose_the_ledger()  # what is gone is still known to be delivered


def test_what_a_spoiled_loss_record_declared_is_excused_as_what_a_spoiled_segment_held() -> None:
    with _world() as world:
        for _ in range(2):
            world.append("logs", 1, Trouble())
            world.seal("logs", Trouble())
            world.everything_is_accounted_for()
        world.make_room("logs", Trouble(), wanted=1)
        world.make_room("logs", Trouble(), wanted=1)
        world.everything_is_accounted_for()
        world.spoil_a_segment("logs", pick=1, at=0, whole=False)
        assert world.excused


def test_a_loss_record_of_which_only_the_key_id_was_spoiled_declares_nothing_either() -> None:
    with _world() as world:
        for _ in range(2):
            world.append("logs", 1, Trouble())
            world.seal("logs", Trouble())
            world.everything_is_accounted_for()
        world.make_room("logs", Trouble(), wanted=1)
        world.make_room("logs", Trouble(), wanted=1)
        world.everything_is_accounted_for()
        lane = world.node.machine.lane("logs")
        data = lane.segment(max(lane.sealed_numbers())).read_bytes()
        begin = data.index(b'"keyid":"') + 9
        # The last bit of a digit makes it another digit.
        at = next(n for n in range(begin, begin + 64) if n % 8 == 0 and data[n : n + 1].isdigit())
        world.spoil_a_segment("logs", pick=len(list(lane.sealed_numbers())) - 1, at=at, whole=False)
        assert world.excused
        world.mend(Trouble())


def test_what_gave_way_before_its_bundle_came_is_not_asked_for_once_its_loss_record_came() -> None:
    with _world() as world:
        for _ in range(2):
            world.append("logs", 1, Trouble())
            world.seal("logs", Trouble())
            world.everything_is_accounted_for()
        world.keep_house(Trouble())
        world.make_room("logs", Trouble(), wanted=1)
        world.export(again=False, trouble=Trouble())
        world.bring_in(0, Trouble())
        lane = world.relay.machine.lane("logs", "n1")
        assert world.relay.machine.ledger.given_up(lane)


def test_what_has_lost_all_its_files_makes_no_bundle() -> None:
    with _world() as world:
        for stream in STREAMS:
            world.spoil_a_segment(stream, pick=0, at=0, whole=True)
        world.export(again=False, trouble=Trouble())
        assert not world.sticks


def test_room_is_made_of_a_spoiled_segment_below_dropped_ones_in_a_chain_that_lost_its_head() -> (
    None
):
    with _world() as world:
        for _ in range(2):
            world.append("logs", 1, Trouble())
            world.seal("logs", Trouble())
            world.everything_is_accounted_for()
        world.lose_the_ledger()
        world.make_room("logs", Trouble(), wanted=1)
        world.make_room("logs", Trouble(), wanted=1)
        world.everything_is_accounted_for()
        world.spoil_a_segment("logs", pick=0, at=0, whole=False)
        world.lose_the_head("logs")
        # The nearest seal that can be read tells of the dropped ones, too.
        world.make_room("logs", Trouble(), wanted=2)
        assert 1 not in set(world.node.machine.lane("logs").sealed_numbers())
