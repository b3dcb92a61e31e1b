"""Whatever was acknowledged survives every legal state of the disk after a crash, at any moment."""

import errno
import itertools
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from keys.ed25519 import SigningKey
from spool.chain import begin_lane
from spool.clock import SYSTEM_CLOCK
from spool.durable import OS_DISK, Disk
from spool.errors import SpoolError
from spool.frames import FrameEncoder
from spool.group import Unit
from spool.lane import Lane
from spool.openfile import open_files
from spool.recovery import Recovery
from spool.sealing import Sealer
from spool.statement import Lost
from spool.tail import Tail
from spool.writer import Writer
from tests.support.books import lines, statements
from tests.support.simdisk import Crash, Keep, SimDisk

KEY = SigningKey.generate()
SEEDS = {Keep.NOTHING: [0], Keep.EVERYTHING: [0], Keep.SOME: [1, 2, 3]}


class Books:
    """What was handed over, and what was acknowledged."""

    def __init__(self) -> None:
        self.given: list[bytes] = []
        self.acknowledged: list[bytes] = []

    def new_lines(self, count: int) -> list[bytes]:
        made = [b'{"id":"%06d"}' % (len(self.given) + n) for n in range(count)]
        self.given += made
        return made


def _commit(tail: Tail, books: Books, count: int) -> None:
    made = books.new_lines(count)
    raw = b"\n".join(made) + b"\n"
    tail.commit([Unit(FrameEncoder().encode(raw), len(raw), compressed=True)], count)
    books.acknowledged += made


def _work(disk: Disk, lane: Lane, books: Books) -> None:
    """Three files: small frames (rewritten), one frame, and one that is left open; a loss record."""
    begin_lane(disk, lane)
    sealer = Sealer(disk, lane, KEY, SYSTEM_CLOCK)
    tail = Tail.begin(disk, lane, SYSTEM_CLOCK)
    _commit(tail, books, 2)
    _commit(tail, books, 1)
    other = Tail.begin(disk, lane, SYSTEM_CLOCK)
    _commit(other, books, 3)
    sealer.seal(tail.filled(), "size")
    sealer.declare_lost(Lost("", 1, None, "test"))
    sealer.seal(other.filled(), "age")
    left = Tail.begin(disk, lane, SYSTEM_CLOCK)
    _commit(left, books, 2)


def _recover(disk: Disk, lane: Lane) -> None:
    begin_lane(disk, lane)
    sealer = Sealer(disk, lane, KEY, SYSTEM_CLOCK)
    list(Recovery(disk, sealer, SYSTEM_CLOCK).recover())
    sealer.settle_head()


def _operations(work: Callable[[SimDisk], None], root: Path) -> int:
    root.mkdir()
    disk = SimDisk(root)
    work(disk)
    disk.settle(Keep.EVERYTHING, Random(0))
    return len(disk.operations)


def _check(lane: Lane, books: Books) -> None:
    found = lines(lane, KEY)
    assert sorted(found) == sorted(set(found)), "a record twice"
    assert set(books.acknowledged) <= set(found), "an acknowledged record is gone"
    assert set(found) <= set(books.given), "a record that nobody gave"
    assert not open_files(lane)


def _states() -> list[tuple[Keep, int]]:
    return [(keep, seed) for keep, seeds in SEEDS.items() for seed in seeds]


@pytest.mark.parametrize(("keep", "seed"), _states())
def test_acknowledged_records_survive_a_crash_at_every_operation(
    tmp_path: Path, keep: Keep, seed: int
) -> None:
    total = _operations(
        lambda disk: _work(disk, Lane(disk.root, "n", "logs"), Books()), tmp_path / "all"
    )
    for crash_at in range(total + 1):
        root = tmp_path / f"{crash_at}"
        root.mkdir()
        lane, books = Lane(root, "n", "logs"), Books()
        disk = SimDisk(root, crash_at=crash_at)
        try:
            _work(disk, lane, books)
        except Crash:
            pass
        else:
            assert crash_at == total
        disk.settle(keep, Random(seed * 1000 + crash_at))
        _recover(OS_DISK, lane)
        _check(lane, books)
        before = list(statements(lane, KEY))
        _recover(OS_DISK, lane)
        assert list(statements(lane, KEY)) == before, "recovery twice is not recovery once"


@pytest.mark.parametrize(("keep", "seed"), _states())
def test_a_crash_during_recovery_loses_nothing_either(
    tmp_path: Path, keep: Keep, seed: int
) -> None:
    total = _operations(
        lambda disk: _work(disk, Lane(disk.root, "n", "logs"), Books()), tmp_path / "all"
    )
    for crash_at in range(5, total, 6):
        for again_at in itertools.count():
            root = tmp_path / f"{crash_at}-{again_at}"
            root.mkdir()
            lane, books = Lane(root, "n", "logs"), Books()
            first = SimDisk(root, crash_at=crash_at)
            with pytest.raises(Crash):
                _work(first, lane, books)
            first.settle(keep, Random(seed * 1000 + crash_at))
            second = SimDisk(root, crash_at=again_at)
            try:
                _recover(second, lane)
                finished = True
            except Crash:
                finished = False
            second.settle(keep, Random(seed * 1000 + again_at))
            _recover(OS_DISK, lane)
            _check(lane, books)
            if finished:
                break


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_a_failed_operation_loses_nothing_that_was_acknowledged(tmp_path: Path, code: int) -> None:
    def work(disk: Disk, lane: Lane, books: Books) -> None:
        writer = Writer(lane.spool, "transactions", node="n", signer=KEY, disk=disk, seal_size=40)
        for _ in range(4):
            made = books.new_lines(2)
            with suppress(SpoolError):
                writer.append(made)
                books.acknowledged += made
        with suppress(SpoolError):
            writer.close()

    for fail_at in range(200):
        root = tmp_path / f"{fail_at}"
        root.mkdir()
        lane, books = Lane(root, "n", "transactions"), Books()
        disk = SimDisk(root, fail_at={fail_at: code})
        with suppress(SpoolError):
            work(disk, lane, books)
        disk.settle(Keep.NOTHING, Random(fail_at))
        _recover(OS_DISK, lane)
        found = lines(lane, KEY)
        assert set(books.acknowledged) <= set(found)
        assert set(found) <= set(books.given)
        if fail_at >= len(disk.operations):
            break
    assert len(books.acknowledged) == len(books.given)
