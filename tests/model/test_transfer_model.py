"""Nodes, a courier and a relay, in any order: nothing is lost in silence, nothing counts twice.

Two nodes append, export and change their keys; sticks are lost, repeated, mixed up, damaged; the relay
imports, uploads and answers by receipts, which are lost and repeated too. Any of these steps may be
killed after any number of lines, and the spool of any machine be set back to an old copy. Whenever a
courier goes round once without trouble, everything that is still anywhere has arrived, and the books of
both sides agree. The rules go on until each has done something a hundred times.
"""

import os
import random
import shutil
import signal
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from bridge.transfer.bundle import Bundle, ReturnBundle, opened
from keys.errors import VerificationError
from keys.keyfile import create_pair
from keys.ownkey import read_own_key, rotate
from spool.clock import rfc3339
from spool.durable import OS_DISK
from spool.frames import FrameDecoder
from spool.ledger import Ledger, State
from spool.sealing import Sealer
from spool.segment import Segment
from tests.support.bundles import Machine

NAMES = ("n1", "n2")
NODES = st.sampled_from(NAMES)
ALL_NAMES = (*NAMES, "relay-1")
ALL = st.sampled_from(ALL_NAMES)
PICK = st.integers(0, 10**6)
OFTEN = 100
"""How often each rule has to do something."""
ROUNDS_MAX = 20
ROUNDS_MIN = int(os.environ.get("COURIER_ROUNDS", "0"))
"""For those who want to look longer: each round has another seed."""
MADE_MAX = 2000
"""Bundles of one example; more come of asking in vain alone."""
PROJECT = str(Path(__file__).parents[2])
FAST = Path("/dev/shm")  # noqa: S108 - a disk that needs no syncs, where there is one
DONE: Counter[str] = Counter()
"""How often each rule did something, in all examples."""
RULES = (
    "append", "export", "lose", "duplicate", "reorder", "corrupt", "import", "upload",
    "receipt", "hear", "rotate", "restore a node", "restore the relay", "kill",
)  # fmt: skip


class Crossing(RuleBasedStateMachine):
    """The world; ``beacon`` counts how often each record of each node came there."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=FAST if FAST.is_dir() else None))
        self.stick = self.folder / "stick"
        self.stick.mkdir()
        self.machines = {
            name: Machine(self.folder / name, name, number)
            for number, name in enumerate(ALL_NAMES, start=1)
        }
        for machine in self.machines.values():
            (machine.folder / "keys").mkdir()
            machine.key = create_pair(machine.folder / "keys")
        for node in self.nodes.values():
            node.trusts(self.relay, "relay")
            self.relay.trusts(node, "node")
        self.produced: Counter[str] = Counter()
        self.destroyed: set[str] = set()
        """Records that were on a disk alone that was set back."""
        self.beacon: Counter[str] = Counter()
        self.copies: dict[str, Path] = {}
        self.set_back: set[str] = set()
        self.returns: dict[str, list[Path]] = {name: [] for name in NAMES}
        self.made = 0
        for name in NAMES:
            self.append(name, 2)
            self.append(name, 1)
            self.export(name, again=False)
            self.append(name, 1)
            self.export(name, again=False)
        for name in ALL_NAMES:
            self.keep_a_copy(name)
        for path in self.sticks[1:]:  # one of each is still on its way
            _import(self.relay, path)
        for name in NAMES:
            self.give_back(name)

    @property
    def relay(self) -> Machine:
        return self.machines["relay-1"]

    @property
    def nodes(self) -> dict[str, Machine]:
        return {name: self.machines[name] for name in NAMES}

    @property
    def sticks(self) -> list[Path]:
        """What looks like a whole bundle, whoever left it."""
        return sorted(self.stick.glob("*.agb"))

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            for machine in self.machines.values():
                machine.ledger.close()
            shutil.rmtree(self.folder)

    def _name(self, ending: str) -> str:
        self.made += 1
        return f"{self.made:04d}{ending}"

    def _tick(self) -> None:
        for machine in self.machines.values():
            machine.clock.wall += 1000

    @rule(name=NODES, count=st.integers(1, 3))
    def append(self, name: str, count: int) -> None:
        begin = self.produced[name]
        self.nodes[name].append(*range(begin, begin + count))
        self.produced[name] += count
        DONE["append"] += 1

    @rule(name=NODES, again=st.booleans())
    def export(self, name: str, again: bool) -> None:  # noqa: FBT001 - drawn
        if _export(self.nodes[name], self.relay, self.stick, self._name(".agb"), again=again):
            DONE["export"] += 1

    @precondition(lambda self: any(n.ledger.missing(n.lane()) for n in self.nodes.values()))
    @rule(name=NODES)
    def resend(self, name: str) -> None:
        if _resend(self.nodes[name], self.relay, self.stick, self._name(".agb")):
            DONE["resend"] += 1

    @precondition(lambda self: self.sticks)
    @rule(pick=PICK)
    def lose_a_stick(self, pick: int) -> None:
        if sticks := self.sticks:
            sticks[pick % len(sticks)].unlink()
            DONE["lose"] += 1

    @precondition(lambda self: self.sticks)
    @rule(pick=PICK, at=PICK)
    def damage_a_stick(self, pick: int, at: int) -> None:
        if sticks := self.sticks:
            path = sticks[pick % len(sticks)]
            data = bytearray(path.read_bytes())
            data[at % len(data)] ^= 1 << (at % 8)
            path.write_bytes(data)
            DONE["corrupt"] += 1

    @precondition(lambda self: self.sticks)
    @rule(pick=PICK, twice=st.booleans())
    def bring_in(self, pick: int, twice: bool) -> None:  # noqa: FBT001 - drawn
        if sticks := self.sticks:
            for _ in range(1 + twice):
                _import(self.relay, sticks[pick % len(sticks)])
            DONE["duplicate" if twice else "import"] += 1

    @precondition(lambda self: self.sticks)
    @rule(mixed=st.randoms(use_true_random=False))
    def bring_all_in_any_order(self, mixed: random.Random) -> None:
        sticks = self.sticks
        mixed.shuffle(sticks)
        for path in sticks:
            _import(self.relay, path)
        DONE["import"] += len(sticks)
        DONE["reorder"] += len(sticks) > 1

    @precondition(lambda self: self.relay.ledger.pending_lanes(self.relay.spool))
    @rule(name=NODES, upto=st.integers(1, 4))
    def upload(self, name: str, upto: int) -> None:
        """What is pending goes to the beacon, record by record, up to some number."""
        main = self.relay.lane(node=name)
        for lane in (main, *main.fork_lanes()):
            spans = self.relay.ledger.spans(lane, State.PENDING)
            if not spans:
                continue
            last = spans[0].first + upto - 1
            for span in spans:
                for seq in range(span.first, min(span.last, last) + 1):
                    self.beacon.update(f"{name} {line}" for line in _lines(lane.segment(seq)))
            self.relay.answer(name, upto=last, fork=lane.fork)
            DONE["upload"] += 1

    @rule(name=NODES)
    def give_back(self, name: str) -> None:
        if self.relay.lane(node=name).imported.exists():
            self._tick()
            self.returns[name].append(self.relay.give_back(self.nodes[name], self._fresh()))
            DONE["receipt"] += 1

    @precondition(lambda self: any(self.returns.values()))
    @rule(name=NODES, pick=PICK)
    def hear(self, name: str, pick: int) -> None:
        """Any of the receipts, the oldest again after the newest."""
        if self.returns[name]:
            _hear(self.nodes[name], self.returns[name][pick % len(self.returns[name])])
            DONE["hear"] += 1

    @rule(name=ALL)
    def rotate(self, name: str) -> None:
        machine = self.machines[name]
        keys = machine.folder / "keys"
        rotate(keys, name, rfc3339(machine.clock.wall))
        machine.key = read_own_key(keys)
        DONE["rotate"] += 1

    @rule(name=ALL)
    def keep_a_copy(self, name: str) -> None:
        machine = self.machines[name]
        with _closed(machine):
            shutil.rmtree(self.folder / f"{name}.copy", ignore_errors=True)
            self.copies[name] = self.folder / f"{name}.copy"
            shutil.copytree(machine.spool, self.copies[name], symlinks=True)

    @precondition(lambda self: self.copies)
    @rule(name=ALL)
    def restore_a_copy(self, name: str) -> None:
        """The disk is gone; what nobody else had is destroyed, and everybody knows it."""
        if name not in self.copies:
            return
        machine = self.machines[name]
        before = {who: self._held(who) for who in NAMES}
        with _closed(machine):
            shutil.rmtree(machine.spool)
            shutil.copytree(self.copies[name], machine.spool, symlinks=True)
        if name in NAMES:  # as a daemon does when it starts
            Sealer(OS_DISK, machine.lane(), machine.key, machine.clock).settle_head()
        machine.look()
        self.set_back.add(name)
        for who in NAMES:
            self.destroyed |= before[who] - self._held(who) - set(self.beacon)
        DONE["restore the relay" if name == "relay-1" else "restore a node"] += 1

    @rule(
        name=NODES,
        what=st.sampled_from(["export", "import", "hear"]),
        at=st.floats(0, 4),
        pick=PICK,
    )
    def kill(self, name: str, what: str, at: float, pick: int) -> None:
        """One step in a process of its own, killed after some number of lines; 1 to 10,000."""
        self._tick()
        sticks, returns = self.sticks, self.returns[name]
        node, relay = self.nodes[name], self.relay
        if what == "import" and sticks:
            path = sticks[pick % len(sticks)]
            DONE["kill"] += _killed(relay, int(10**at), lambda: _import(relay, path))
        elif what == "hear" and returns:
            path = returns[pick % len(returns)]
            DONE["kill"] += _killed(node, int(10**at), lambda: _hear(node, path))
        elif what == "export" and self.produced[name]:
            new = self._name(".agb")
            DONE["kill"] += _killed(
                node, int(10**at), lambda: _export(node, relay, self.stick, new, again=True)
            )

    def _fresh(self) -> Path:
        folder = self.folder / self._name(".back")
        folder.mkdir()
        return folder

    def _held(self, name: str) -> set[str]:
        """The records of a node that are on its disk or on the relay's."""
        there = self.relay.lane(node=name)
        lanes = (self.nodes[name].lane(), there, *there.fork_lanes())
        return {
            f"{name} {line}"
            for lane in lanes
            for seq in lane.sealed_numbers()
            for line in _lines(lane.segment(seq))
        }

    @invariant()
    def books_balance(self) -> None:
        if not hasattr(self, "folder"):
            return
        for name, node in self.nodes.items():
            there = sum(1 for key in self.beacon if key.startswith(f"{name} "))
            assert node.records().get(State.DELIVERED, 0) <= there
            if name not in self.set_back:
                assert sum(node.records().values()) == self.produced[name]
        # A relay that was set back has forgotten what it sent; the beacon knows records by their id.
        if "relay-1" not in self.set_back:
            assert all(count == 1 for count in self.beacon.values())

    @rule()
    def one_good_courier(self) -> None:
        """Everything goes round without trouble: then all that is anywhere has arrived."""
        for name, node in self.nodes.items():
            if not self.produced[name]:
                continue
            held = self._held(name)
            self._go_round(name)
            # What a relay that was set back asks for can show it a gap before that.
            while _resend(node, self.relay, self.stick, again := self._name(".agb")):
                assert self.made < MADE_MAX
                assert _import(self.relay, self.stick / again)
                self._go_round(name)
                DONE["resend"] += 1
            # Asked for in vain is what was destroyed alone: it is told of for ever.
            assert not _asked_and_held(node), (
                node.ledger.missing(node.lane()),
                node.ledger.spans(node.lane()),
                self.relay.ledger.spans(self.relay.lane(node=name)),
                self.relay.ledger.forks(self.relay.lane(node=name)),
            )
            assert held <= set(self.beacon)
            assert set(node.records()) <= {State.DELIVERED}, (
                node.ledger.spans(node.lane()),
                self.relay.ledger.spans(self.relay.lane(node=name)),
                self.relay.ledger.forks(self.relay.lane(node=name)),
            )
            assert set(self.relay.records(name)) <= {State.DELIVERED}
            if not self.set_back:
                assert node.records() == self.relay.records(name)
                assert node.records() == {State.DELIVERED: self.produced[name]}
            arrived = sum(1 for key in self.beacon if key.startswith(f"{name} "))
            gone = sum(1 for key in self.destroyed - set(self.beacon) if key.startswith(name))
            assert arrived + gone == self.produced[name]

    def _go_round(self, name: str) -> None:
        node, path = self.nodes[name], self._name(".agb")
        if _export(node, self.relay, self.stick, path, again=True):
            assert _import(self.relay, self.stick / path)
        while self.relay.records(name).get(State.PENDING):
            self.upload(name, 4)
        if self.relay.lane(node=name).imported.exists():
            self._tick()
            _hear(node, self.relay.give_back(node, self._fresh()))


def _export(node: Machine, relay: Machine, stick: Path, name: str, *, again: bool) -> bool:
    states = (State.PENDING, State.EXPORTED) if again else (State.PENDING,)
    if not any(node.records().get(state) for state in states):
        return False
    node.export(relay, stick, states=states, name=name)
    return True


def _asked_and_held(node: Machine) -> bool:
    held = list(node.lane().sealed_numbers())
    missing = node.ledger.missing(node.lane())
    return any(each.first <= seq <= each.last for each in missing for seq in held)


def _resend(node: Machine, relay: Machine, stick: Path, name: str) -> bool:
    if not _asked_and_held(node):
        return False
    missing = node.ledger.missing(node.lane())
    node.export(relay, stick, numbers={"transactions": missing}, name=name)
    return True


def _import(relay: Machine, path: Path) -> bool:
    """As the command does: what took over from a trusted key is trusted first; whether all is good."""
    try:
        with opened(path, relay.trust.keys_for, relay.identity, relay.spool) as found:
            assert isinstance(found, Bundle)
            relay.trust = relay.trust.rotated(found.manifest.sender, found.rotations)
        return not relay.take(path).refused
    except VerificationError:
        return False


def _hear(node: Machine, path: Path) -> None:
    with opened(path, node.trust.keys_for, node.identity, node.spool) as found:
        assert isinstance(found, ReturnBundle)
        node.trust = node.trust.rotated(found.manifest.sender, found.rotations)
    node.look()
    for _ in node.hear(path).forked:
        Sealer(OS_DISK, node.lane(), node.key, node.clock).leave_fork()
    node.look()


def _lines(path: Path) -> Iterator[str]:
    with Segment.open(path) as segment:
        for raw, _ in segment.raw_frames(FrameDecoder()):
            yield from raw.decode().splitlines()


@contextmanager
def _closed(machine: Machine) -> Iterator[None]:
    """While nobody has its ledger open."""
    machine.ledger.close()
    try:
        yield
    finally:
        machine.ledger = Ledger.open(machine.spool, clock=machine.clock)


def _killed(machine: Machine, lines: int, work: Callable[[], object]) -> bool:
    """Do ``work`` in a process that dies after so many lines of ours; whether it was killed."""
    with _closed(machine):
        child = os.fork()
        if not child:
            _die_after(lines, machine, work)
        _, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL)
    machine.look()
    return status == signal.SIGKILL


def _die_after(lines: int, machine: Machine, work: Callable[[], object]) -> None:
    left = lines

    def trace(frame: FrameType, event: str, _: object) -> Any:  # noqa: ANN401 - as sys wants it
        nonlocal left
        if not frame.f_code.co_filename.startswith(PROJECT):
            return None
        if event == "line":
            left -= 1
            if left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    try:
        machine.ledger = Ledger.open(machine.spool, clock=machine.clock)
        threading.settrace(trace)
        sys.settrace(trace)
        work()
        os._exit(0)
    finally:
        os._exit(1)


# Its processes are traced line by line: minutes on a busy machine, and hours who looks longer.
@pytest.mark.slow
@pytest.mark.timeout(36_000 if ROUNDS_MIN else 600)
def test_whatever_happens_on_the_way_nothing_is_lost_in_silence_or_counted_twice() -> None:
    DONE.clear()
    for round_ in range(max(ROUNDS_MAX, ROUNDS_MIN)):
        if round_ >= ROUNDS_MIN and all(DONE[each] >= OFTEN for each in RULES):
            break
        run_state_machine_as_test(
            seed(round_)(Crossing),
            settings=settings(
                max_examples=10,
                stateful_step_count=100,
                phases=(Phase.generate,),  # its kills do not shrink
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    assert {each: DONE[each] for each in RULES if DONE[each] < OFTEN} == {}
