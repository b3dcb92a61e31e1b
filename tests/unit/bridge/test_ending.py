"""A part whose disk hangs holds up no stop of the daemon, and the log says which it was."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.daemon.retaining import Retaining, Rules
from bridge.daemon.roomwatch import RoomWatch
from bridge.intake.room import Room
from spool.clock import SYSTEM_CLOCK
from spool.durable import OS_DISK
from spool.ledger import Ledger

ROOMY = Room(used=0, max_size=1 << 40, free=1 << 40, min_free=0)
RULES = Rules(0, {"billing": 1, "usage": 1, "operational": 1}, 1)


class HungDisk:
    """Holds whoever asks it, until it is mended."""

    def __init__(self) -> None:
        self._asked, self._mended = threading.Event(), threading.Event()

    def ask(self) -> None:
        self._asked.set()
        assert self._mended.wait(60)

    def wait_until_asked(self) -> None:
        assert self._asked.wait(20)

    def mend(self) -> None:
        self._mended.set()
        for thread in threading.enumerate():
            if thread.name in ("room", "retention"):
                thread.join(20)
                assert not thread.is_alive()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[HungDisk]:
    monkeypatch.setattr("bridge.daemon.ending.STOP_S", 0.05)
    found = HungDisk()
    yield found
    found.mend()


def _left(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.__dict__["fields"]["part"]
        for record in caplog.records
        if record.__dict__.get("event") == "daemon.left"
    ]


def test_a_room_that_cannot_be_read_to_an_end_holds_up_no_stop(
    disk: HungDisk,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    watch = RoomWatch(tmp_path, max_size=1, min_free=0)
    statvfs = os.statvfs

    def hangs(path: Path) -> os.statvfs_result:
        disk.ask()
        return statvfs(path)

    monkeypatch.setattr("bridge.daemon.roomwatch.FIRST_WALK_S", 0.0)
    monkeypatch.setattr("os.statvfs", hangs)
    watch.start()
    disk.wait_until_asked()
    watch.stop()
    assert _left(caplog) == ["room"]


def test_a_round_of_retention_that_hangs_holds_up_no_stop(
    disk: HungDisk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def hangs() -> Room:
        disk.ask()
        return ROOMY

    with Ledger.open(tmp_path, clock=SYSTEM_CLOCK) as ledger:
        retaining = Retaining(
            tmp_path,
            ledger,
            lambda _: None,
            RULES,
            hangs,
            lambda _: None,
            disk=OS_DISK,
            clock=SYSTEM_CLOCK,
            tell=lambda _: None,
        )
        retaining.start()
        disk.wait_until_asked()
        retaining.stop()
        assert _left(caplog) == ["retention"]
        disk.mend()


def test_who_stops_in_time_is_not_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    watch = RoomWatch(tmp_path, max_size=1, min_free=0)
    watch.start()
    watch.stop()
    assert _left(caplog) == []
