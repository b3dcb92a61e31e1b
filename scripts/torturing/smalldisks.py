"""Small real file systems that are filled to the last byte, where this machine allows mounting."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SIZE = 12 * 1024 * 1024
FILLER = "filler"
_PIECE = 64 * 1024


@contextmanager
def mounted(kind: str, folder: Path) -> Iterator[Path | None]:
    """A file system of ``kind`` (tmpfs, ext4), gone afterwards; None where it cannot be had."""
    place = folder / kind
    place.mkdir()
    if kind == "tmpfs":
        command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=0700", "tmpfs", str(place)]
    else:
        image = folder / "image"
        with image.open("wb") as file:
            file.truncate(SIZE)
        command = ["mount", "-o", "loop", str(image), str(place)]
        if not _done(["mkfs.ext4", "-q", "-m", "0", str(image)]):
            yield None
            return
    if not _done(command):
        yield None
        return
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)  # noqa: S603, S607 - ours


def _done(command: list[str]) -> bool:
    try:
        return not subprocess.run(command, capture_output=True, check=False).returncode  # noqa: S603
    except FileNotFoundError:
        return False


def fill(place: Path, left: int) -> None:
    """Leave ``left`` bytes of room, as nearly as the file system counts."""
    path = place / FILLER
    size = 0
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        for piece in (_PIECE, 4096, 512):
            try:
                while True:
                    size += os.pwrite(fd, bytes(piece), size)
            except OSError:
                continue
        os.ftruncate(fd, max(size - left, 0))
        os.fsync(fd)
    finally:
        os.close(fd)


def empty(place: Path) -> None:
    """Give the room back."""
    (place / FILLER).unlink(missing_ok=True)
