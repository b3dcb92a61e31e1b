"""Writing a container to a medium, and reading it back before anybody is told that it is there.

Under another name first, synced, renamed, its folder synced; then the page cache is told to forget the
file, and all of it is read again and compared by its digest.
"""

import errno
import hashlib
import mmap
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bridge.transfer import agefile, ustar
from spool.errors import SpoolError

PIECE = 1 << 20
PART = ".part"
"""Ending of a file that is not whole."""


@dataclass(frozen=True, slots=True)
class Source:
    """A member: its name, and bytes, or the file that holds them."""

    name: str
    size: int
    data: bytes | Path


@dataclass(frozen=True, slots=True)
class Medium:
    """What was written: bytes, digest, and whether it was read past the page cache."""

    size: int
    sha256: str
    reread: bool


def write(
    path: Path,
    sources: Sequence[Source],
    recipients: Sequence[str],
    progress: Callable[[int], None],
) -> Medium:
    """Put a container of ``sources`` at ``path``, encrypted to ``recipients`` if there are any.

    ``progress`` is told of bytes that were written or read back. Nothing that looks whole is left by a
    failure. Raises :class:`SpoolError` ``medium.changed`` or ``segment.vanished``, or
    :class:`OSError`.
    """
    part = path.with_name(path.name + PART)
    part.unlink(missing_ok=True)
    try:
        with part.open("xb") as target:
            os.chmod(part, 0o600)  # noqa: PTH101 - a stick may keep no modes, and says so
            digest = _fill(target.fileno(), part, sources, recipients, progress)
            os.fsync(target.fileno())
            size = os.fstat(target.fileno()).st_size
        found, reread = _digest_of(part, progress)
        if found != digest:
            raise SpoolError(
                "medium.changed",
                f"What was read back from {path.name} is not what was written to it.",
                "The medium is bad, or somebody else writes to it; use another.",
            )
        part.rename(path)
        _sync_folder(path.parent)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    return Medium(size, digest, reread)


def _fill(
    fd: int,
    part: Path,
    sources: Sequence[Source],
    recipients: Sequence[str],
    progress: Callable[[int], None],
) -> str:
    if not recipients:
        return _plain(fd, sources, progress)
    reading, writing = os.pipe()
    failed: list[BaseException] = []

    def feed() -> None:
        try:
            _plain(writing, sources, progress)
        except BaseException as error:  # noqa: BLE001 - raised below
            failed.append(error)
        finally:
            os.close(writing)

    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    try:
        with os.fdopen(reading, "rb") as source, part.open("r+b") as target:
            agefile.encrypt(source, target, list(recipients))
            target.flush()
    finally:
        feeder.join()
    if failed:
        raise failed[0]
    digest = hashlib.sha256()
    with part.open("rb") as again:
        while piece := again.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _plain(fd: int, sources: Sequence[Source], progress: Callable[[int], None]) -> str:
    digest = hashlib.sha256()

    def put(data: bytes) -> None:
        digest.update(data)
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        progress(len(data))

    for source in sources:
        put(ustar.header(source.name, source.size))
        if isinstance(source.data, bytes):
            put(source.data)
        else:
            left = source.size
            with source.data.open("rb", buffering=0) as file:
                while left and (piece := file.read(min(PIECE, left))):
                    put(piece)
                    left -= len(piece)
            if left:
                raise SpoolError(
                    "segment.vanished",
                    f"{source.data.name} is shorter than it was a moment ago.",
                    "Run bridge verify on the spool, then export again.",
                )
        put(ustar.padding(source.size))
    put(ustar.END)
    return digest.hexdigest()


def _digest_of(path: Path, progress: Callable[[int], None]) -> tuple[str, bool]:
    """The digest of what the medium gives back, and whether the page cache had no part in it."""
    digest = hashlib.sha256()
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECT | os.O_CLOEXEC)
        direct = True
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        direct = False
    buffer = mmap.mmap(-1, PIECE)  # aligned as such reads ask for
    try:
        while count := os.readv(fd, [buffer]):
            digest.update(memoryview(buffer)[:count])
            progress(count)
    finally:
        os.close(fd)
    return digest.hexdigest(), direct


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
