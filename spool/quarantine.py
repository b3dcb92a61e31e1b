"""Where things go that do not belong: kept for a person, out of the way of everything else.

A moved thing is not read and not followed. Beside a copy lies a file that says why.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import zip_longest
from pathlib import Path

import orjson

from keys.errors import VerificationError
from spool.clock import Clock, rfc3339
from spool.durable import Disk, make_folders
from spool.lane import Lane
from spool.safefile import open_regular

NAME_KEPT = 100
"""Bytes of a name's end that are kept: with all that is put around it, it stays under 255."""
_PIECE = 1024 * 1024


def _target(lane: Lane, name: str) -> Path:
    # A name of its own for each: the same thing can come twice. Who planted a name may have made
    # it as long as a name can be, and of any bytes.
    kept = os.fsdecode(os.fsencode(name)[-NAME_KEPT:])
    return lane.spool / "quarantine" / f"{lane.node}.{lane.stream}.{secrets.token_hex(4)}.{kept}"


def _reason_of(target: Path) -> Path:
    return target.with_name(target.name + ".reason.json")


def has_reason(target: Path) -> bool:
    """Whether the file beside ``target`` that says why is there."""
    return os.path.lexists(_reason_of(target))


def say_why(disk: Disk, target: Path, source: Path, why: str, clock: Clock) -> None:
    """Say beside ``target`` why it lies here, and where it came from. Raises :class:`OSError`.

    Nothing stays of a file that could not be written.
    """
    came_from = os.fsencode(source).decode(errors="backslashreplace")
    said = {"from": came_from, "why": why, "at": rfc3339(clock.wall_ms())}
    text = orjson.dumps(said, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    with _made(disk, _reason_of(target)) as fd:
        disk.write(fd, [text], 0)
        disk.sync(fd)
    disk.sync_dir(target.parent)


def set_aside(disk: Disk, lane: Lane, path: Path, why: str, clock: Clock) -> Path:
    """Move whatever has the name ``path`` into quarantine, unread; where it lies then.

    Raises :class:`OSError`; nothing is there then that was not before.
    """
    target = _target(lane, path.name)
    make_folders(disk, lane.spool, target.parent)
    say_why(disk, target, path, why, clock)
    try:
        disk.rename(path, target)
    except OSError:
        with suppress(OSError):
            disk.unlink(_reason_of(target))
        raise
    disk.sync_dir(target.parent)
    disk.sync_dir(path.parent)
    return target


def copy_aside(disk: Disk, lane: Lane, path: Path, fd: int) -> Path:
    """Copy the open file behind ``fd``, named ``path``, into quarantine; where the copy lies.

    Nothing beside it says why, yet. Raises :class:`OSError`; nothing of the copy stays then: what is
    tried again and again would fill the disk.
    """
    target = _target(lane, path.name)
    make_folders(disk, lane.spool, target.parent)
    with _made(disk, target) as copy:
        for offset, piece in _pieces(fd):
            disk.write(copy, [piece], offset)
        disk.sync(copy)
    disk.sync_dir(target.parent)
    return target


def copied_before(lane: Lane, path: Path, fd: int) -> Path | None:
    """A copy that :func:`copy_aside` made of the same bytes, under the same name; None without one.

    Raises :class:`OSError`.
    """
    folder, name = _target(lane, path.name).parent, path.name
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 - names alone
    except FileNotFoundError:
        return None
    for found in names:
        if found.startswith(f"{lane.node}.{lane.stream}.") and found.endswith(f".{name}"):
            with suppress(VerificationError):
                copy = open_regular(folder / found, own=True)
                try:
                    if all(a == b for a, b in zip_longest(_pieces(copy), _pieces(fd))):
                        return folder / found
                finally:
                    os.close(copy)
    return None


def _pieces(fd: int) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while piece := os.pread(fd, _PIECE, offset):
        yield offset, piece
        offset += len(piece)


@contextmanager
def _made(disk: Disk, path: Path) -> Iterator[int]:
    """A new file, to be written; taken away again where that fails."""
    fd = disk.create(path)
    try:
        yield fd
    except OSError:
        disk.close(fd)
        with suppress(OSError):
            disk.unlink(path)
        raise
    except BaseException:
        disk.close(fd)
        raise
    disk.close(fd)
