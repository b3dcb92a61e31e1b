"""What is told of egress: it is settled, so that it may get calm, once the last word is written."""

import threading
from pathlib import Path
from random import Random

from bridge.egress.announcing import IDLE_AFTER_S, EgressTeller
from bridge.egress.backoff import Backoff
from bridge.egress.circuits import Circuits
from bridge.egress.lanes import Lanes
from bridge.egress.ramp import Ramp
from bridge.egress.windows import Windows
from spool.egressfile import read_egress_state
from tests.support.disks import GateDisk
from tests.support.spools import HandClock


def said(spool: Path) -> str:
    state = read_egress_state(spool)
    assert state is not None
    return state.state


def test_it_is_settled_once_the_word_that_it_is_idle_is_written_and_no_sooner(
    tmp_path: Path,
) -> None:
    clock = HandClock()
    idle = threading.Event()
    disk = GateDisk(lambda _: idle.is_set())
    circuits = Circuits(clock.monotonic, lambda: Backoff(Random(1)))
    teller = EgressTeller(
        tmp_path,
        Lanes(circuits, Ramp(clock.monotonic), (), clock.monotonic),
        circuits,
        Windows((), clock.wall_ms),
        threading.Condition(),
        disk=disk,
        clock=clock,
        tell=lambda _: None,
    )
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
