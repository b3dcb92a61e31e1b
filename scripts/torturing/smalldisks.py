"""Small real file systems that are filled to the last byte, where this machine allows mounting.

``quota`` is a large btrfs, a folder of which may hold little.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SIZE = 12 * 1024 * 1024
FILLER = "filler"
_PIECE = 64 * 1024


KINDS = ("tmpfs", "ext4", "quota")
_BTRFS_SIZE = 128 * 1024 * 1024


@contextmanager
def mounted(kind: str, folder: Path) -> Iterator[Path | None]:
    """A file system of ``kind``, gone afterwards; None where it cannot be had."""
    place, image = folder / kind, folder / f"{kind}.image"
    place.mkdir()
    if not all(map(_done, _making(kind, image, place))):
        yield None
        return
    try:
        yield _limited(place) if kind == "quota" else place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)  # noqa: S603, S607 - ours


def _making(kind: str, image: Path, place: Path) -> Iterator[list[str]]:
    if kind == "tmpfs":
        yield ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=0700", "tmpfs", str(place)]
        return
    size, make = {
        "ext4": (SIZE, ["mkfs.ext4", "-q", "-m", "0"]),
        "quota": (_BTRFS_SIZE, ["mkfs.btrfs", "-q"]),
    }[kind]
    with image.open("wb") as file:
        file.truncate(size)
    yield [*make, str(image)]
    yield ["mount", "-o", "loop", str(image), str(place)]


def _limited(place: Path) -> Path | None:
    """A folder on a btrfs that may hold no more than the others do."""
    held = place / "held"
    words = (
        ["quota", "enable", str(place)],
        ["subvolume", "create", str(held)],
        ["qgroup", "limit", str(SIZE), str(held)],
    )
    return held if all(_done(["btrfs", *each]) for each in words) else None


def _done(command: list[str]) -> bool:
    try:
        return not subprocess.run(command, capture_output=True, check=False).returncode  # noqa: S603
    except FileNotFoundError:
        return False


def fill(place: Path, left: int) -> None:
    """Leave ``left`` bytes of room, as nearly as the file system counts."""
    size = max(_written(place, SIZE) - left, 0)
    # A quota lets no file be cut that is full: what there was is written anew.
    empty(place)
    _written(place, size)


def _written(place: Path, most: int) -> int:
    """How many bytes could be written, at most so many."""
    size = 0
    fd = os.open(place / FILLER, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        for piece in (_PIECE, 4096, 512):
            with suppress(OSError):
                while size + piece <= most:
                    size += os.pwrite(fd, bytes(piece), size)
        os.fsync(fd)
    finally:
        os.close(fd)
    return size


def empty(place: Path) -> None:
    """Give the room back, and have the file system count it."""
    (place / FILLER).unlink(missing_ok=True)
    subprocess.run(["sync", "--file-system", str(place)], check=True)  # noqa: S603, S607 - ours
