"""A keeper's sealing leaves the processor to others, unless somebody waits for it."""

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from resource import RUSAGE_THREAD, getrusage

import pytest

from spool.asking import ask, ask_and_wait
from spool.frames import FrameDecoder
from spool.keeper import REWRITING_S
from spool.lane import Lane
from spool.segment import Segment
from spool.writer import Writer
from tests.support.disks import FastDisk
from tests.support.spools import KEY, records, wait_until

SIZE = 1_500_000
"""Bytes that become six full frames of two thousand small ones."""


class Watching(FastDisk):
    """Counts how often the keeper let go of the processor between the full frames that it wrote."""

    def __init__(self, asked: Lane | None = None) -> None:
        self.waits: list[int] = []
        self._asked = asked

    def write(self, fd: int, pieces: Sequence[bytes], at: int) -> None:
        super().write(fd, pieces, at)
        if threading.current_thread().name == "keeper":
            if self._asked is not None:
                ask(self._asked)
                self._asked = None
            self.waits.append(getrusage(RUSAGE_THREAD).ru_nvcsw)


class Slow(FastDisk):
    """Takes its time for each full frame of a file that is rewritten."""

    def __init__(self) -> None:
        self.rewritten: set[int] = set()

    def create(self, path: Path) -> int:
        fd = super().create(path)
        if path.suffix == ".tmp":
            self.rewritten.add(fd)
        return fd

    def write(self, fd: int, pieces: Sequence[bytes], at: int) -> None:
        if fd in self.rewritten:
            time.sleep(REWRITING_S / 2)
        super().write(fd, pieces, at)

    def close(self, fd: int) -> None:
        self.rewritten.discard(fd)
        super().close(fd)


def fill(writer: Writer, size: int) -> None:
    for record in records(size // 700, filler=710):
        writer.append([record])


@pytest.mark.parametrize("asked", [True, False])
def test_it_pauses_until_somebody_asks_for_what_is_open(tmp_path: Path, *, asked: bool) -> None:
    lane = Lane(tmp_path, "n", "transactions")
    disk = Watching(lane if asked else None)
    with Writer(
        tmp_path, "transactions", node="n", signer=KEY, seal_size=SIZE, disk=disk
    ) as writer:
        fill(writer, SIZE)
        deadline = time.monotonic() + 20
        while not list(lane.sealed_numbers()):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        waits = disk.waits[-1] - disk.waits[0]
        assert len(disk.waits) >= 5
        # Each frame takes longer than is worked without a pause, on any machine.
        assert waits < 10 if asked else waits >= len(disk.waits) - 1


def test_what_somebody_asked_for_is_sealed_without_a_pause(tmp_path: Path) -> None:
    disk = Watching()
    with Writer(tmp_path, "transactions", node="n", signer=KEY, disk=disk) as writer:
        fill(writer, SIZE)
        assert ask_and_wait([writer.lane], lambda: None) == []
        assert len(disk.waits) >= 5
        assert disk.waits[-1] - disk.waits[0] < 10


@pytest.mark.parametrize("begun", ["by the keeper", "by the close"])
def test_a_close_gives_up_a_rewriting_that_takes_long_and_loses_nothing(
    tmp_path: Path, begun: str
) -> None:
    lane = Lane(tmp_path, "n", "transactions")
    size = SIZE if begun == "by the keeper" else 2 * SIZE
    with Writer(
        tmp_path, "transactions", node="n", signer=KEY, seal_size=size, disk=Slow()
    ) as writer:
        fill(writer, SIZE)
        if begun == "by the keeper":
            wait_until(lambda: any(lane.open.glob("*.tmp")))
    assert not any(lane.open.iterdir())
    sealed = [Segment.open(lane.segment(seq)) for seq in lane.sealed_numbers()]
    assert sum(segment.statement.records for segment in sealed) == SIZE // 700
    # Six full frames would take three times as long as there is.
    assert sum(len(list(segment.stored_frames())) for segment in sealed) == SIZE // 700
    for segment in sealed:
        segment.check_digest()
        segment.check_frames(FrameDecoder())
        segment.close()
