"""Where things go that do not belong: kept for a person, out of the way of everything else.

A moved thing is not read and not followed. Beside a copy lies a file that says why.
"""

import os
import secrets
from pathlib import Path

import orjson

from spool.clock import Clock, rfc3339
from spool.durable import Disk, make_folders
from spool.lane import Lane

NAME_KEPT = 100
"""Bytes of a name's end that are kept: with all that is put around it, it stays under 255."""
_PIECE = 1024 * 1024


def _target(lane: Lane, name: str) -> Path:
    # A name of its own for each: the same thing can come twice. Who planted a name may have made
    # it as long as a name can be, and of any bytes.
    kept = os.fsdecode(os.fsencode(name)[-NAME_KEPT:])
    return lane.spool / "quarantine" / f"{lane.node}.{lane.stream}.{secrets.token_hex(4)}.{kept}"


def _say_why(disk: Disk, target: Path, source: Path, why: str, clock: Clock) -> None:
    came_from = os.fsencode(source).decode(errors="backslashreplace")
    said = {"from": came_from, "why": why, "at": rfc3339(clock.wall_ms())}
    fd = disk.create(target.with_name(target.name + ".reason.json"))
    try:
        text = orjson.dumps(said, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        disk.write(fd, [text], 0)
        disk.sync(fd)
    finally:
        disk.close(fd)


def set_aside(disk: Disk, lane: Lane, path: Path, why: str, clock: Clock) -> Path:
    """Move whatever has the name ``path`` into quarantine, unread; where it lies then."""
    target = _target(lane, path.name)
    make_folders(disk, lane.spool, target.parent)
    _say_why(disk, target, path, why, clock)
    disk.rename(path, target)
    disk.sync_dir(target.parent)
    disk.sync_dir(path.parent)
    return target


def copy_aside(disk: Disk, lane: Lane, path: Path, fd: int, why: str, clock: Clock) -> Path:
    """Copy the open file behind ``fd``, named ``path``, into quarantine; where the copy lies."""
    target = _target(lane, path.name)
    make_folders(disk, lane.spool, target.parent)
    _say_why(disk, target, path, why, clock)
    copy = disk.create(target)
    try:
        offset = 0
        while piece := os.pread(fd, _PIECE, offset):
            disk.write(copy, [piece], offset)
            offset += len(piece)
        disk.sync(copy)
    finally:
        disk.close(copy)
    disk.sync_dir(target.parent)
    return target
