"""Small real file systems, where the machine lets a test mount one."""

import errno
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_tmpfs(folder: Path, size: str) -> Iterator[Path]:
    """A file system of that size (``2m``), gone afterwards; skips where mounting is not allowed."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("this machine does not let a test mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def small_quota(folder: Path, size: int) -> Iterator[Path]:
    """A folder that may hold ``size`` bytes on a file system with room for more, gone afterwards.

    Skips where btrfs, the one kind whose quotas need no other program, cannot be had.
    """
    image, held = folder / "image", folder / "mounted" / "held"
    held.parent.mkdir(parents=True)
    with image.open("wb") as file:
        file.truncate(128 * 1024 * 1024)  # holes; btrfs wants no less
    made = [["mkfs.btrfs", "-q", str(image)], ["mount", "-o", "loop", str(image), str(held.parent)]]
    if not all(map(_done, made)):
        pytest.skip("this machine does not let a test mount a btrfs")
    try:
        for words in (
            ["quota", "enable", str(held.parent)],
            ["subvolume", "create", str(held)],
            ["qgroup", "limit", str(size), str(held)],
        ):
            assert _done(["btrfs", *words])
        held.chmod(0o700)
        yield held
    finally:
        subprocess.run(["umount", "-l", str(held.parent)], check=True)


def _done(command: list[str]) -> bool:
    try:
        return not subprocess.run(command, capture_output=True, check=False).returncode
    except FileNotFoundError:
        return False


def fill_up(folder: Path, name: str = "others") -> None:
    """Leave no room there, to the last byte, with a file of this name."""
    with (folder / name).open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise


def remount(folder: Path, mode: str) -> None:
    """Make it read-only (``ro``) or writable again (``rw``)."""
    subprocess.run(["mount", "-o", f"remount,{mode}", str(folder)], check=True)


@contextmanager
def in_memory(otherwise: Path) -> Iterator[Path]:
    """A folder in memory, where the machine has such; for tests that make very many files."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of its own is made there
    if not os.access(memory, os.W_OK | os.X_OK):
        yield otherwise
        return
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


@contextmanager
def read_only(folder: Path, at: Path) -> Iterator[Path]:
    """``folder`` as it is seen at ``at``, where nobody may write; others may go on in ``folder``.

    Skips where mounting is not allowed.
    """
    at.mkdir()
    command = ["mount", "--bind", str(folder), str(at)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let a test mount a file system")
    try:
        remount(at, "bind,ro")
        yield at
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True)
        at.rmdir()


def as_any_user() -> list[str]:
    """Words before a command to which closed folders are closed; else they are not to a superuser."""
    drop = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    return drop if os.geteuid() == 0 else []
