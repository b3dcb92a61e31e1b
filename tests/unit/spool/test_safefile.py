"""Opening what somebody else may have put there."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from keys.errors import VerificationError
from spool.safefile import open_regular, read_whole


def _symlink(path: Path, victim: Path) -> None:
    path.symlink_to(victim)


def _fifo(path: Path, victim: Path) -> None:
    assert victim.exists()
    os.mkfifo(path)


def _folder(path: Path, victim: Path) -> None:
    assert victim.exists()
    path.mkdir()


def _device(path: Path, victim: Path) -> None:
    assert victim.exists()
    try:
        os.mknod(path, 0o020600, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root can make a device")


def _hard_link(path: Path, victim: Path) -> None:
    path.hardlink_to(victim)


def _of_another_user(path: Path, victim: Path) -> None:
    if os.geteuid():
        pytest.skip("only root can give a file away")
    path.write_bytes(victim.read_bytes())
    os.chown(path, 12345, 12345)


ANYBODYS = [_hard_link, _of_another_user]


@pytest.mark.parametrize("plant", [_symlink, _fifo, _folder, _device, *ANYBODYS])
def test_what_was_planted_is_refused_unread(
    tmp_path: Path, plant: Callable[[Path, Path], None]
) -> None:
    victim, path = tmp_path / "victim", tmp_path / "path"
    victim.write_bytes(b"secret")
    plant(path, victim)
    with pytest.raises(VerificationError) as caught:
        open_regular(path, own=True)
    assert caught.value.id == "file.kind"


@pytest.mark.parametrize("plant", ANYBODYS)
def test_a_file_from_elsewhere_may_have_another_owner_and_another_name(
    tmp_path: Path, plant: Callable[[Path, Path], None]
) -> None:
    victim, path = tmp_path / "victim", tmp_path / "path"
    victim.write_bytes(b"a segment on a stick")
    plant(path, victim)
    assert read_whole(path, 100, own=False) == b"a segment on a stick"


def test_a_refusal_leaves_no_descriptor_open(tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"")
    (tmp_path / "path").hardlink_to(tmp_path / "victim")
    before = os.listdir("/proc/self/fd")  # noqa: PTH208 - the folder itself takes one
    for _ in range(5):
        with pytest.raises(VerificationError):
            open_regular(tmp_path / "path", own=True)
    assert len(os.listdir("/proc/self/fd")) == len(before)  # noqa: PTH208 - the same


@pytest.mark.parametrize(("size", "fits"), [(0, True), (10, True), (11, False), (5000, False)])
def test_a_file_is_read_whole_or_refused_for_its_size(
    tmp_path: Path, size: int, *, fits: bool
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * size)
    if fits:
        assert read_whole(path, 10, own=True) == b"x" * size
    else:
        with pytest.raises(VerificationError) as caught:
            read_whole(path, 10, own=True)
        assert caught.value.id == "file.too_large"


def test_a_file_of_a_terabyte_is_refused_without_the_memory_for_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.truncate(2**40)  # zeros that take no room
    with pytest.raises(VerificationError):
        read_whole(path, 100, own=True)


def test_a_missing_file_is_missing_and_nothing_worse(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "missing", own=True)
