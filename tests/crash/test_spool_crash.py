"""Whatever was acknowledged survives every legal state of the disk after a crash, at any moment."""

import errno
import itertools
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from spool.chain import begin_lane
from spool.clock import SYSTEM_CLOCK
from spool.durable import Disk
from spool.egressfile import read_egress_state, write_egress_state
from spool.errors import SpoolError
from spool.frames import FrameEncoder
from spool.frontier import Frontier, read_frontier, write_frontier
from spool.group import Framed
from spool.head import Head, read_head, write_head
from spool.lane import Lane
from spool.openfile import open_files
from spool.ranges import ChainRanges, Range
from spool.recovery import Recovery
from spool.sealing import Sealer
from spool.statement import Lost
from spool.tail import Tail
from spool.totals import Totals
from spool.writer import Writer
from tests.support.books import lines, statements
from tests.support.simdisk import Crash, Keep, SimDisk
from tests.support.spools import KEY, rescue_bad

SEEDS = {Keep.NOTHING: [0], Keep.EVERYTHING: [0], Keep.SOME: [1, 2]}


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
    tail.commit([Framed(FrameEncoder().encode(raw), len(raw))], count)
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
        _recover(SimDisk(lane.spool), lane)
        _check(lane, books)
        before = list(statements(lane, KEY))
        _recover(SimDisk(lane.spool), lane)
        assert list(statements(lane, KEY)) == before, "recovery twice is not recovery once"


@pytest.mark.parametrize(("keep", "seed"), _states())
def test_a_crash_during_recovery_loses_nothing_either(
    tmp_path: Path, keep: Keep, seed: int
) -> None:
    total = _operations(
        lambda disk: _work(disk, Lane(disk.root, "n", "logs"), Books()), tmp_path / "all"
    )
    for crash_at in range(5, total, 12):
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
            _recover(SimDisk(lane.spool), lane)
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
        _recover(SimDisk(lane.spool), lane)
        found = lines(lane, KEY)
        assert set(books.acknowledged) <= set(found)
        assert set(found) <= set(books.given)
        if fail_at >= len(disk.operations):
            break
    assert len(books.acknowledged) == len(books.given)


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_a_failed_operation_of_a_sealing_loses_nothing_and_doubles_nothing(
    tmp_path: Path, code: int
) -> None:
    for fail_at in itertools.count():
        root = tmp_path / f"{fail_at}"
        root.mkdir()
        lane, books = Lane(root, "n", "logs"), Books()
        disk = SimDisk(root, fail_at={fail_at: code})
        with suppress(OSError):
            _work(disk, lane, books)
        if fail_at >= len(disk.operations):
            break
        for fd in disk.open_descriptors():
            disk.close(fd)
        # The process goes on, and so does the disk: what was left is recovered at once.
        _recover(disk, lane)
        _check(lane, books)
        disk.settle(Keep.NOTHING, Random(fail_at))
        # Of a file whose sync failed, the next process reads bytes that no later sync makes durable.
        # What was acknowledged is: the segment is found bad, and its good frames are rescued.
        rescue_bad(lane)
        _recover(SimDisk(root), lane)
        _check(lane, books)


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_a_recovery_in_which_an_operation_fails_is_made_good_by_the_next(
    tmp_path: Path, code: int
) -> None:
    total = _operations(
        lambda disk: _work(disk, Lane(disk.root, "n", "logs"), Books()), tmp_path / "all"
    )
    for crash_at in (total * 2 // 3, total):
        for fail_at in itertools.count():
            root = tmp_path / f"{crash_at}-{fail_at}"
            root.mkdir()
            lane, books = Lane(root, "n", "logs"), Books()
            first = SimDisk(root, crash_at=crash_at)
            with suppress(Crash):
                _work(first, lane, books)
            first.settle(Keep.SOME, Random(fail_at))
            second = SimDisk(root, fail_at={fail_at: code})
            with suppress(OSError):
                _recover(second, lane)
            failed = fail_at < len(second.operations)
            second.settle(Keep.NOTHING, Random(0))
            _recover(SimDisk(root), lane)
            _check(lane, books)
            if not failed:
                break


def test_a_failed_operation_and_a_crash_later_lose_nothing_together(tmp_path: Path) -> None:
    total = _operations(
        lambda disk: _work(disk, Lane(disk.root, "n", "logs"), Books()), tmp_path / "all"
    )
    random = Random(7)
    for round_ in range(80):
        root = tmp_path / f"{round_}"
        root.mkdir()
        lane, books = Lane(root, "n", "logs"), Books()
        fail_at = random.randrange(total)
        crash_at = random.randrange(fail_at + 1, total + 25)
        disk = SimDisk(root, fail_at={fail_at: errno.EIO}, crash_at=crash_at)
        try:
            for _ in range(3):
                with suppress(OSError):
                    _work(disk, lane, books)
        except Crash:
            pass
        disk.settle(random.choice(list(Keep)), random)
        _recover(SimDisk(root), lane)
        rescue_bad(lane)
        found = lines(lane, KEY)
        assert set(books.acknowledged) <= set(found)
        assert set(found) <= set(books.given)


def _replacements(root: Path) -> list[tuple[Callable[[Disk, int], None], Callable[[], object]]]:
    """What is replaced in place, in a first and a second version, and what is read of it."""
    lane = Lane(root, "n", "logs")

    def head(disk: Disk, version: int) -> None:
        write_head(disk, lane, Head("c" * 32, 1, version, "d" * 64, Totals(version, 9), 77))

    def frontier(disk: Disk, version: int) -> None:
        write_frontier(disk, lane, Frontier([ChainRanges("c" * 32, (Range(1, version),))]))

    def egress(disk: Disk, version: int) -> None:
        write_egress_state(disk, root, "up" if version == 1 else "down", version)

    return [
        (head, lambda: read_head(lane)),
        (frontier, lambda: read_frontier(lane)),
        (egress, lambda: read_egress_state(root)),
    ]


@pytest.mark.parametrize("which", [0, 1, 2], ids=["head", "frontier", "egress"])
@pytest.mark.parametrize(("keep", "seed"), _states())
def test_head_frontier_and_egress_state_are_the_old_or_the_new_after_every_crash(
    tmp_path: Path, which: int, keep: Keep, seed: int
) -> None:
    for crash_at in range(6):
        root = tmp_path / f"{crash_at}"
        root.mkdir()
        disk = SimDisk(root)
        begin_lane(disk, Lane(root, "n", "logs"))
        write, read = _replacements(root)[which]
        write(disk, 1)
        old = read()
        write(disk, 2)
        new = read()
        write(disk, 1)
        second = SimDisk(root, crash_at=crash_at)
        try:
            write(second, 2)
            done = True
        except Crash:
            done = False
        second.settle(keep, Random(seed))
        assert old != new
        assert read() == new if done else read() in (old, new)
        assert done == (crash_at >= 5)
