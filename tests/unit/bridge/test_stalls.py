"""Who is late is looked at twice: a process that was stopped for a while finds all its threads late."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.daemon.stalls import AGAIN_S, LATE_S, MAIN, Stalls
from bridge.daemon.supervision import Supervision
from bridge.egress.event import Event
from bridge.operate.notify import ServiceManager
from spool.beat import Pulse
from spool.durable import OS_DISK
from spool.stalledfile import read_stalled
from tests.support.served import Jumping
from tests.support.spools import wait_until


class Told:
    """Stalls of a spool, and what they told."""

    def __init__(self, spool: Path) -> None:
        self.clock = Jumping()
        self.main = Pulse(self.clock.monotonic)
        self.events: list[str] = []
        self.stalls = Stalls(spool, self.main, disk=OS_DISK, clock=self.clock, tell=self._tell)
        self.stalls.watch_main()

    def _tell(self, event: Event) -> None:
        self.events.append(event.name)

    def supervision(self, stalled: Callable[[], str | None]) -> Supervision:
        return Supervision(
            ServiceManager.of({}, 1),
            Path(),
            stalled=stalled,
            stalls=self.stalls,
            counts=list,
            clock=self.clock,
            tell=self._tell,
        )


@pytest.fixture
def told(tmp_path: Path) -> Told:
    found = Told(tmp_path)
    found.main.turn(4)
    found.clock.ahead_s += LATE_S + 5
    return found


def _second_looks() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]


def test_a_main_thread_that_goes_on_with_the_others_is_not_called_stalled(told: Told) -> None:
    told.stalls.look()
    told.main.turn(4)
    for second in _second_looks():
        second.join()
    assert (told.events, told.stalls.part) == ([], None)


def test_a_main_thread_that_stays_late_is_told_of_once(told: Told, tmp_path: Path) -> None:
    told.stalls.look()
    told.stalls.look()
    assert told.events == []
    wait_until(lambda: told.stalls.part == MAIN, AGAIN_S + 10)
    wait_until(lambda: read_stalled(tmp_path) is not None)
    told.stalls.look()
    for second in _second_looks():
        second.join()
    assert told.events == ["daemon.stalled"]


def test_a_part_is_stalled_once_it_is_found_twice_in_a_row(told: Told) -> None:
    found = iter(["intake", None, "intake", "intake", None])
    supervision = told.supervision(lambda: next(found))
    seen = []
    for _ in range(5):
        supervision.feed()
        seen.append(told.stalls.part)
    assert seen == [None, None, None, "intake", None]
    assert told.events == ["daemon.stalled", "daemon.moves"]
