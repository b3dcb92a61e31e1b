"""Files that are being written: their names, and the lock that says somebody still does.

One writer, one file, one ``flock``: a file in ``open/`` that nobody holds belongs to a writer that is
gone or has closed it. The name holds the moment the file was begun, for the seal of whoever finds it.
"""

import errno
import os
import re
import secrets
from datetime import UTC, datetime
from pathlib import Path

from spool import locks
from spool.clock import Clock
from spool.durable import Disk
from spool.lane import SUFFIX, Lane

_NAME = re.compile(r"([0-9]{8}T[0-9]{6})([0-9]{3})Z-[0-9a-f]{12}\.ndjson\.zst\Z")
_TRIES = 8
"""A new file can lose its name to a recovery that looks between its creation and its lock."""


def _new_name(clock: Clock) -> str:
    seconds, ms = divmod(clock.wall_ms(), 1000)
    begun = datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%dT%H%M%S")
    return f"{begun}{ms:03d}Z-{secrets.token_hex(6)}"


def begun_at(name: str) -> int | None:
    """When the open file ``name`` was begun, ms since 1970; None if the name is none of ours."""
    match = _NAME.match(name)
    if match is None:
        return None
    try:
        begun = datetime.strptime(match[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    ms = int(begun.timestamp()) * 1000 + int(match[2])
    return ms if ms >= 0 else None


def begin_file(disk: Disk, lane: Lane, clock: Clock) -> tuple[Path, int]:
    """A new open file of this lane, its name durable, and the descriptor that holds its lock.

    Raises :class:`OSError`.
    """
    for _ in range(_TRIES):
        path = lane.open_file(_new_name(clock))
        fd = disk.create(path)
        try:
            if locks.try_lock(fd, path):
                disk.sync_dir(lane.open)
                return path, fd
        except BaseException:
            disk.close(fd)
            raise
        disk.close(fd)
    raise OSError(errno.EBUSY, "somebody takes away every new file", str(lane.open))


def open_files(lane: Lane) -> list[Path]:
    """The names in ``open/`` that a writer could have given, oldest first; nothing is opened."""
    try:
        names = os.listdir(lane.open)  # noqa: PTH208 - a folder that is gone is an empty one
    except FileNotFoundError:
        return []
    return [lane.open / name for name in sorted(names) if name.endswith(SUFFIX)]


def temporary_of(path: Path) -> Path:
    """Where the open file ``path`` is rewritten before it is replaced."""
    return path.with_name(path.name.removesuffix(SUFFIX) + ".tmp")
