"""Recovery: what a writer that is gone left, and what somebody else put there."""

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from spool import locks
from spool.clock import SYSTEM_CLOCK
from spool.durable import OsDisk
from spool.frames import MIB, SKIPPABLE
from spool.lane import Lane
from spool.openfile import open_files, temporary_of
from spool.recovery import Recovery
from spool.segment import SEAL_MAGIC
from tests.support.books import lines, statements
from tests.support.disks import FastDisk
from tests.support.simdisk import SimDisk
from tests.support.spools import (
    FAST,
    KEY,
    leave_open,
    new_lane,
    open_tail,
    records,
    recover,
    seal_one,
    sealer,
    unit,
)


def _reasons(lane: Lane) -> list[str]:
    return [said.reason for said, _ in statements(lane, KEY)]


def _aside(lane: Lane) -> list[Path]:
    """What lies in quarantine, without the files that say why."""
    found = sorted((lane.spool / "quarantine").iterdir())
    return [path for path in found if not path.name.endswith(".reason.json")]


def _append(path: Path, data: bytes) -> None:
    path.write_bytes(path.read_bytes() + data)


def test_whole_frames_are_handed_over_as_they_are(tmp_path: Path) -> None:
    lane = new_lane(tmp_path)
    path = leave_open(lane, records(2))
    stored = path.read_bytes()
    recover(lane)
    assert _reasons(lane) == ["handover"]
    assert lane.segment(1).read_bytes().startswith(stored)


def test_the_times_are_those_of_the_name_and_of_the_last_change(tmp_path: Path) -> None:
    lane = new_lane(tmp_path)
    path = leave_open(lane, records(2))
    target = path.with_name("20261123T090000000Z-0123456789ab.ndjson.zst")
    path.rename(target)
    os.utime(target, (1_795_424_461, 1_795_424_461))
    (done,) = recover(lane)
    assert done.sealed is not None
    assert (done.sealed.first_at, done.sealed.last_at) == (1_795_424_400_000, 1_795_424_461_000)


@pytest.mark.parametrize("at", [-5, 2**33, 2**34 - 1])
@pytest.mark.parametrize("begun", ["00010101", "20261123", "99991231", "20269923"])
def test_no_time_stamp_keeps_a_file_from_being_sealed(tmp_path: Path, at: int, begun: str) -> None:
    lane = new_lane(tmp_path)
    path = leave_open(lane, records(2))
    target = path.with_name(f"{begun}T090000000Z-0123456789ab.ndjson.zst")
    path.rename(target)
    os.utime(target, (at, at))
    recover(lane)
    assert lines(lane, KEY) == records(2)


@pytest.mark.parametrize("data", [b"", bytes(1), bytes(70_000)])
def test_an_empty_or_zeroed_file_is_absent(tmp_path: Path, data: bytes) -> None:
    lane = new_lane(tmp_path)
    path = leave_open(lane)
    path.write_bytes(data)
    (done,) = recover(lane)
    assert (done.sealed, done.torn, done.bad, done.kept) == (None, 0, 0, None)
    assert not path.exists()
    assert not lane.head.exists()
    assert not (tmp_path / "quarantine").exists()


_WHOLE = unit(records(3, "torn")).data


@pytest.mark.parametrize(
    "tail",
    [
        _WHOLE[:1],
        _WHOLE[:9],
        _WHOLE[:-1],
        _WHOLE[:-1] + bytes(5000),
        SEAL_MAGIC,
        SEAL_MAGIC[:2],
        SEAL_MAGIC + b'\x40\0\0\0{"payload":"abc',
    ],
)
def test_a_torn_end_is_dropped_and_counted_without_its_zeros(tmp_path: Path, tail: bytes) -> None:
    lane = new_lane(tmp_path)
    _append(leave_open(lane, records(2)), tail)
    (done,) = recover(lane)
    assert (done.torn, done.bad, done.kept) == (len(tail.rstrip(b"\0")), 0, None)
    assert _reasons(lane) == ["recovered"]
    assert lines(lane, KEY) == records(2)


def test_a_whole_seal_without_its_rename_counts_for_nothing(tmp_path: Path) -> None:
    other = new_lane(tmp_path / "other")
    seal_one(other, records(2))
    lane = new_lane(tmp_path)
    path = leave_open(lane)
    shutil.copy(other.segment(1), path)
    (done,) = recover(lane)
    assert done.torn > 500
    assert _reasons(lane) == ["recovered"]
    assert lines(lane, KEY) == records(2)


@pytest.mark.parametrize("where", ["first", "middle", "last"])
def test_a_bad_frame_is_declared_lost_and_the_original_kept(tmp_path: Path, where: str) -> None:
    lane = new_lane(tmp_path)
    groups = {name: records(2, name) for name in ("first", "middle", "last")}
    path = leave_open(lane, *groups.values())
    data = bytearray(path.read_bytes())
    sizes = [len(unit(group).data) for group in groups.values()]
    begin = sum(sizes[: list(groups).index(where)])
    data[begin + sizes[0] - 6] ^= 1
    path.write_bytes(data)
    (done,) = recover(lane)
    assert done.bad == len(unit(groups[where]).data)
    assert done.kept is not None
    assert done.kept.read_bytes() == data
    why = json.loads(done.kept.with_name(done.kept.name + ".reason.json").read_bytes())
    assert why["from"] == str(path)
    assert _reasons(lane) == ["loss", "recovered"]
    kept = [group for name, group in groups.items() if name != where]
    assert lines(lane, KEY) == kept[0] + kept[1]


def test_the_magic_of_the_next_good_frame_is_found_across_two_pieces(tmp_path: Path) -> None:
    lane = new_lane(tmp_path)
    path = leave_open(lane)
    good = unit(records(2)).data
    for junk in range(256 * 1024 - 4, 256 * 1024 + 2):
        path.write_bytes(b"j" * junk + good)
        (done,) = recover(lane)
        assert done.bad == junk
        path = leave_open(lane)
        path.unlink()
    assert lines(lane, KEY) == records(2) * 6


def test_a_file_of_nothing_but_junk_is_kept_aside_and_declared(tmp_path: Path) -> None:
    lane = new_lane(tmp_path)
    leave_open(lane).write_bytes(b"not a frame in sight")
    (done,) = recover(lane)
    assert done.sealed is None
    assert _reasons(lane) == ["loss"]
    assert not open_files(lane)


def test_recovering_twice_is_recovering_once(tmp_path: Path) -> None:
    lane = new_lane(tmp_path)
    path = leave_open(lane, records(2), records(3, "bad"))
    data = bytearray(path.read_bytes())
    data[-9] ^= 255
    path.write_bytes(data)
    recover(lane)
    before = list(statements(lane, KEY))
    assert recover(lane) == []
    assert list(statements(lane, KEY)) == before


def test_a_file_that_somebody_writes_is_left_alone(tmp_path: Path) -> None:
    lane = new_lane(tmp_path)
    tail = open_tail(lane, [records(1)])
    assert recover(lane) == []
    assert open_files(lane) == [tail.path]
    FAST.close(tail.fd)
    assert len(recover(lane)) == 1


def _symlink(path: Path, victim: Path) -> None:
    path.symlink_to(victim)


def _fifo(path: Path, victim: Path) -> None:
    assert victim.exists()
    os.mkfifo(path)


def _hard_link(path: Path, victim: Path) -> None:
    path.hardlink_to(victim)


def _folder(path: Path, victim: Path) -> None:
    path.mkdir()
    shutil.copy(victim, path / "x")


def _dangling(path: Path, victim: Path) -> None:
    path.symlink_to(victim.with_name("nowhere"))


def _of_another_user(path: Path, victim: Path) -> None:
    if os.geteuid():
        pytest.skip("only root can give a file away")
    shutil.copy(victim, path)
    os.chown(path, 12345, 12345)


@pytest.mark.parametrize(
    "plant", [_symlink, _fifo, _hard_link, _folder, _dangling, _of_another_user]
)
def test_what_was_planted_is_set_aside_unread_and_the_rest_recovered(
    tmp_path: Path, plant: Callable[[Path, Path], None]
) -> None:
    lane = new_lane(tmp_path)
    victim = tmp_path / "victim"
    victim.write_bytes(unit(records(1, "planted")).data)
    planted = lane.open / "00000000T000000000Z-planted.ndjson.zst"
    plant(planted, victim)
    leave_open(lane, records(2))
    recover(lane)
    assert lines(lane, KEY) == records(2)
    assert not os.path.lexists(planted)
    (aside,) = _aside(lane)
    assert aside.name.endswith("planted.ndjson.zst")
    assert victim.read_bytes() == unit(records(1, "planted")).data


@pytest.mark.parametrize("name", [b"x" * 240, b"\xff\xfe", "ä".encode() * 110, b"\n\x1b[31m"])
def test_no_name_of_a_planted_file_stops_the_recovery(tmp_path: Path, name: bytes) -> None:
    lane = new_lane(tmp_path)
    planted = os.fsencode(lane.open) + b"/" + name + b".ndjson.zst"
    os.mkfifo(planted)
    leave_open(lane, records(2))
    recover(lane)
    assert lines(lane, KEY) == records(2)
    assert not os.path.lexists(planted)
    assert len(_aside(lane)) == 1


def test_other_names_in_the_folder_are_passed_over(tmp_path: Path) -> None:
    lane = new_lane(tmp_path)
    path = leave_open(lane, records(1))
    for name in ("a.tmp", "b.ndjson.zst~", ".c.ndjson.zst.swp", "#d.ndjson.zst#", "e.ndjson"):
        shutil.copy(path, lane.open / name)
    (lane.open / "folder").mkdir()
    assert len(recover(lane)) == 1
    assert len(list(lane.open.iterdir())) == 6
    assert lines(lane, KEY) == records(1)


def test_what_a_crashed_rewriting_left_behind_is_taken_away(tmp_path: Path) -> None:
    lane = new_lane(tmp_path)
    path = leave_open(lane, records(40, filler=2000))
    temporary_of(path).write_bytes(b"half of it")
    recover(lane)
    assert list(lane.open.iterdir()) == []
    assert lines(lane, KEY) == records(40, filler=2000)


class _OneBadFile(FastDisk):
    """A disk with a bad sector in the file called ``bad``."""

    bad = ""

    def open_write(self, path: Path) -> int:
        if path.name == self.bad:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return super().open_write(path)


def test_a_file_that_cannot_be_opened_stops_none_of_the_others(tmp_path: Path) -> None:
    lane = new_lane(tmp_path)
    paths = sorted(leave_open(lane, records(1, f"f{n}")) for n in range(3))
    disk = _OneBadFile()
    disk.bad = paths[1].name
    done = Recovery(disk, sealer(lane), SYSTEM_CLOCK).recover()
    names = [next(done).name, next(done).name]
    with pytest.raises(OSError, match="Input/output error"):
        next(done)
    assert names == [paths[0].name, paths[2].name]
    assert open_files(lane) == [paths[1]]


def test_recovery_and_a_writer_that_begins_cannot_both_have_a_new_file(tmp_path: Path) -> None:
    lane = new_lane(tmp_path)
    path = leave_open(lane)
    fd = OsDisk().open_write(path)
    recover(lane)
    assert not locks.try_lock(fd, path)
    FAST.close(fd)


def _flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_the_good_frames_of_a_sealed_segment_that_rotted_are_rescued(tmp_path: Path) -> None:
    lane = new_lane(tmp_path)
    groups = [records(60, name, filler=1000) for name in "abc"]
    said = seal_one(lane, *groups)
    _flip(lane.segment(1), said.size // 2)
    done = Recovery(FAST, sealer(lane), SYSTEM_CLOCK).rescue(1)
    assert done.sealed is not None
    assert (done.sealed.reason, done.sealed.of, done.sealed.seq) == ("recovered", 1, 2)
    assert done.kept is not None
    assert not lane.segment(1).exists()
    found = list(statements(lane, KEY))
    assert [held for _, held in found] == [groups[0] + groups[2], []]
    lost = found[1][0].lost
    assert lost is not None
    assert lost.ranges == "1"


def test_a_rescue_that_fails_anywhere_and_is_begun_again_seals_nothing_twice(
    tmp_path: Path,
) -> None:
    fail_at, has_failed = 0, True
    while has_failed:
        lane = new_lane(tmp_path / str(fail_at))
        groups = [records(60, name, filler=1000) for name in "abc"]
        said = seal_one(lane, *groups)
        _flip(lane.segment(1), said.size // 2)
        disk = SimDisk(lane.spool, fail_at={fail_at: errno.EIO})
        has_failed = False
        for _ in range(2):
            try:
                Recovery(disk, sealer(lane, disk), SYSTEM_CLOCK).rescue(1)
                break
            except OSError:
                has_failed = True
                recover(lane)
        assert lines(lane, KEY) == groups[0] + groups[2], fail_at
        assert _reasons(lane) == ["recovered", "loss"], fail_at
        assert len(_aside(lane)) == 1
        assert sorted(path.name for path in lane.open.iterdir()) == []
        fail_at += 1
    assert fail_at > 20


def test_a_rescue_that_finds_no_place_to_keep_the_original_leaves_nothing_each_time(
    tmp_path: Path,
) -> None:
    lane = new_lane(tmp_path)
    seal_one(lane, records(5))
    _flip(lane.segment(1), 10)
    disk = _OnlyWithin(lane.folder)
    for _ in range(3):
        with pytest.raises(OSError, match="cross-device"):
            Recovery(disk, sealer(lane, disk), SYSTEM_CLOCK).rescue(1)
        assert list(lane.sealed_numbers()) == [1, 2]  # one loss record
        assert list((tmp_path / "quarantine").iterdir()) == []


class _OnlyWithin(FastDisk):
    """Another disk lies where anything else is."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def rename(self, source: Path, target: Path) -> None:
        if not target.is_relative_to(self._folder):
            raise OSError(errno.EXDEV, "cross-device link", str(target))
        super().rename(source, target)


def test_two_processes_do_not_rescue_one_segment_at_once(tmp_path: Path) -> None:
    lane = new_lane(tmp_path)
    seal_one(lane, records(5))
    _flip(lane.segment(1), 10)
    held = locks.take(lane.rescue_lock)
    assert held is not None
    with pytest.raises(BlockingIOError):
        Recovery(FAST, sealer(lane), SYSTEM_CLOCK).rescue(1)
    locks.let_go(held)
    Recovery(FAST, sealer(lane), SYSTEM_CLOCK).rescue(1)
    assert _reasons(lane) == ["loss"]


def test_a_recovery_that_fails_anywhere_keeps_one_copy_and_declares_one_loss(
    tmp_path: Path,
) -> None:
    fail_at, has_failed = 0, True
    while has_failed:
        lane = new_lane(tmp_path / str(fail_at))
        path = leave_open(lane, records(2), records(3, "bad"), records(2, "c"))
        _flip(path, len(unit(records(2)).data) + 9)
        disk = SimDisk(lane.spool, fail_at={fail_at: errno.ENOSPC})
        has_failed = False
        for _ in range(2):
            try:
                list(Recovery(disk, sealer(lane, disk), SYSTEM_CLOCK).recover())
                break
            except OSError:
                has_failed = True
        sealer(lane).settle_head()
        assert lines(lane, KEY) == records(2) + records(2, "c"), fail_at
        assert len(_aside(lane)) == 1, fail_at
        # Between its sealing and the word beside the copy nobody can tell that it was declared.
        assert _reasons(lane)[:-1] in (["loss"], ["loss", "loss"]), fail_at
        fail_at += 1
    assert fail_at > 20


@pytest.mark.parametrize("cut", [0, 1, 500])
def test_a_segment_whose_seal_is_gone_is_rescued_whole(tmp_path: Path, cut: int) -> None:
    lane = new_lane(tmp_path)
    said = seal_one(lane, records(5))
    lane.segment(1).write_bytes(lane.segment(1).read_bytes()[: said.size + cut])
    Recovery(FAST, sealer(lane), SYSTEM_CLOCK).rescue(1)
    assert lines(lane, KEY) == records(5)


def test_a_segment_with_nothing_good_left_is_only_declared(tmp_path: Path) -> None:
    lane = new_lane(tmp_path)
    seal_one(lane, records(5))
    lane.segment(1).write_bytes(SKIPPABLE[0] + bytes(100))
    done = Recovery(FAST, sealer(lane), SYSTEM_CLOCK).rescue(1)
    assert done.sealed is None
    assert _reasons(lane) == ["loss"]


def test_a_long_stretch_of_zeros_is_read_in_pieces(tmp_path: Path) -> None:
    lane = new_lane(tmp_path)
    path = leave_open(lane, records(1))
    with path.open("r+b") as file:
        file.truncate(40 * MIB)  # zeros that take no room
    (done,) = recover(lane)
    assert done.torn == 0
    assert lines(lane, KEY) == records(1)
