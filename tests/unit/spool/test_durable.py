"""The real disk, and what is built of its few operations."""

import errno
import os
import resource
from pathlib import Path
from random import Random

import pytest

from spool.durable import OS_DISK, PIECES_MAX, explained, make_folders, replace_file
from tests.support.simdisk import Crash, Keep, SimDisk


def _written(path: Path, pieces: list[bytes]) -> bytes:
    fd = OS_DISK.create(path)
    OS_DISK.write(fd, pieces, 0)
    OS_DISK.sync(fd)
    OS_DISK.close(fd)
    return path.read_bytes()


@pytest.mark.parametrize("count", [0, 1, PIECES_MAX, PIECES_MAX + 1, 3000])
def test_all_pieces_are_written_in_order(tmp_path: Path, count: int) -> None:
    pieces = [b"%d," % n for n in range(count)]
    assert _written(tmp_path / "file", pieces) == b"".join(pieces)


def test_a_write_that_the_kernel_takes_in_parts_goes_on_until_it_is_refused(
    tmp_path: Path,
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    fd = OS_DISK.create(tmp_path / "file")
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(OSError, match=os.strerror(errno.EFBIG)):
            OS_DISK.write(fd, [b"a" * 70_000, b"b" * 70_000], 0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        OS_DISK.close(fd)
    assert (tmp_path / "file").read_bytes() == b"a" * 70_000 + b"b" * 30_000


def test_what_is_written_at_an_offset_replaces_the_zeros_there_and_nothing_else(
    tmp_path: Path,
) -> None:
    fd = OS_DISK.create(tmp_path / "file")
    OS_DISK.write(fd, [b"first", bytes(10)], 0)
    OS_DISK.write(fd, [b"second"], 5)
    assert (tmp_path / "file").read_bytes() == b"firstsecond" + bytes(4)
    OS_DISK.cut(fd, 11)
    OS_DISK.close(fd)
    assert (tmp_path / "file").read_bytes() == b"firstsecond"


def test_a_new_file_is_ours_alone_and_replaces_nothing(tmp_path: Path) -> None:
    _written(tmp_path / "file", [b"x"])
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("file", "link"):
        with pytest.raises(FileExistsError):
            OS_DISK.create(tmp_path / name)
    assert not (tmp_path / "elsewhere").exists()


def test_only_a_regular_file_is_x(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    for name in ("fifo", "link", "folder"):
        with pytest.raises(OSError, match=name):
            OS_DISK.open_write(tmp_path / name)
    reader = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(OSError, match="not a regular file"):
        OS_DISK.open_write(tmp_path / "fifo")
    os.close(reader)


def test_folders_are_made_durable_each_in_its_parent(tmp_path: Path) -> None:
    disk = SimDisk(tmp_path)
    make_folders(disk, tmp_path, tmp_path / "a/b/c")
    disk.settle(Keep.NOTHING, Random(0))
    assert (tmp_path / "a/b/c").is_dir()


def test_a_folder_whose_sync_failed_is_synced_the_next_time(tmp_path: Path) -> None:
    disk = SimDisk(tmp_path, fail_at={3: errno.EIO})
    with pytest.raises(OSError, match="Input/output"):
        make_folders(disk, tmp_path, tmp_path / "a/b")
    make_folders(disk, tmp_path, tmp_path / "a/b")
    disk.settle(Keep.NOTHING, Random(0))
    assert (tmp_path / "a/b").is_dir()


def test_a_file_where_a_folder_belongs_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(FileExistsError):
        make_folders(OS_DISK, tmp_path, tmp_path / "a/b")


def test_a_replaced_file_is_the_old_or_the_new_after_every_crash(tmp_path: Path) -> None:
    for crash_at in range(6):
        for keep in Keep:
            for seed in range(4):
                root = tmp_path / f"{crash_at}-{keep.value}-{seed}"
                root.mkdir()
                (root / "file").write_bytes(b"old")
                (root / "file.tmp").write_bytes(b"left behind")
                disk = SimDisk(root, crash_at=crash_at)
                try:
                    replace_file(disk, root / "file", b"new")
                    done = True
                except Crash:
                    done = False
                disk.settle(keep, Random(seed))
                found = (root / "file").read_bytes()
                assert found == b"new" if done else found in (b"old", b"new")


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_a_replacement_that_fails_leaves_the_old_file_or_the_new(tmp_path: Path, code: int) -> None:
    for fail_at in range(5):
        root = tmp_path / f"{fail_at}"
        root.mkdir()
        (root / "file").write_bytes(b"old")
        disk = SimDisk(root, fail_at={fail_at: code})
        with pytest.raises(OSError, match=os.strerror(code)):
            replace_file(disk, root / "file", b"new")
        assert (root / "file").read_bytes() in (b"old", b"new")
        replace_file(disk, root / "file", b"newer")
        disk.settle(Keep.NOTHING, Random(0))
        assert (root / "file").read_bytes() == b"newer"


@pytest.mark.parametrize(
    ("code", "id_"),
    [
        (errno.ENOSPC, "disk.full"),
        (errno.EDQUOT, "disk.full"),
        (errno.EROFS, "disk.read_only"),
        (errno.EACCES, "disk.permission"),
        (errno.EPERM, "disk.permission"),
        (errno.ENOENT, "disk.path"),
        (errno.ENOTDIR, "disk.path"),
        (errno.EEXIST, "disk.path"),
        (errno.EIO, "disk.failed"),
        (None, "disk.failed"),
    ],
)
def test_each_failure_of_a_disk_is_explained(code: int | None, id_: str) -> None:
    error = OSError() if code is None else OSError(code, os.strerror(code), "/a\x1b[31m")
    said = explained(error, "append records")
    assert said.id == id_
    assert "append records" in said.message
    assert "\x1b" not in said.message
