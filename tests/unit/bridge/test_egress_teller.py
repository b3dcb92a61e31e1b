"""What is told of egress: it is settled, so that it may get calm, once the last word is written."""

import errno
import threading
from pathlib import Path
from random import Random

from bridge.egress.announcing import IDLE_AFTER_S, EgressTeller
from bridge.egress.backoff import Backoff
from bridge.egress.circuits import EVERYTHING, Circuits
from bridge.egress.event import Event
from bridge.egress.lanes import Lanes
from bridge.egress.ramp import Ramp
from bridge.egress.windows import Windows
from spool.durable import Disk
from spool.egressfile import read_egress_state
from tests.support.disks import FastDisk, GateDisk
from tests.support.spools import HandClock


def said(spool: Path) -> str:
    state = read_egress_state(spool)
    assert state is not None
    return state.state


def teller_of(
    spool: Path, disk: Disk, clock: HandClock, events: list[Event]
) -> tuple[EgressTeller, Circuits]:
    circuits = Circuits(clock.monotonic, lambda: Backoff(Random(1)))
    teller = EgressTeller(
        spool,
        Lanes(circuits, Ramp(clock.monotonic), (), clock.monotonic),
        circuits,
        Windows((), clock.wall_ms),
        threading.Condition(),
        disk=disk,
        clock=clock,
        tell=events.append,
    )
    return teller, circuits


def test_it_is_settled_once_the_word_that_it_is_idle_is_written_and_no_sooner(
    tmp_path: Path,
) -> None:
    clock = HandClock()
    idle = threading.Event()
    disk = GateDisk(lambda _: idle.is_set())
    teller, _ = teller_of(tmp_path, disk, clock, [])
    teller.say()
    assert said(tmp_path) == "up"
    assert not teller.is_settled
    clock.seconds += IDLE_AFTER_S + 1
    assert teller.is_due()
    idle.set()
    saying = threading.Thread(target=teller.say)
    saying.start()
    try:
        assert disk.arrived.wait(60)
        assert said(tmp_path) == "up"
        assert not teller.is_settled
    finally:
        disk.gate.set()
        saying.join()
    assert said(tmp_path) == "idle"
    assert teller.is_settled


class _Full(FastDisk):
    full = False

    def create(self, path: Path) -> int:
        if self.full:
            raise OSError(errno.ENOSPC, "no room", str(path))
        return super().create(path)


def test_what_could_not_be_written_is_written_when_there_is_room_and_said_once(
    tmp_path: Path,
) -> None:
    events: list[Event] = []
    disk = _Full()
    teller, circuits = teller_of(tmp_path, disk, HandClock(), events)
    teller.say()
    circuits.trip(EVERYTHING, "connection refused", None)
    disk.full = True
    for _ in range(3):
        teller.say()
    assert said(tmp_path) == "up"
    assert [event.name for event in events] == ["egress.state", "egress.down"]
    disk.full = False
    teller.say()
    assert said(tmp_path) == "down"
    assert len(events) == 2
