"""How many bytes lie below a folder, as the names there say."""

import os
import time
from pathlib import Path

BALLAST = "ballast"
"""The name of the file in a spool that holds room for a full disk."""
SETTLED_NS = 2_000_000_000
"""A folder that changed within this time may change again without its time of change telling."""


def is_settled(changed_ns: int) -> bool:
    """Whether another change of a folder that changed then would have another time."""
    return changed_ns + SETTLED_NS < time.time_ns()


def bytes_below(folder: Path | str) -> int:
    """The sizes of all files below ``folder``; no link is followed. Raises :class:`OSError`."""
    return Usage().bytes_below(folder)


def held_by(spool: Path, usage: "Usage | None" = None) -> int:
    """Bytes that count towards the budget of ``spool``: all but the ballast, which is to be let go.

    ``usage`` remembers what it saw before. Raises :class:`OSError`.
    """
    used = (usage or Usage()).bytes_below(spool)
    try:
        return max(used - (spool / BALLAST).lstat().st_size, 0)
    except FileNotFoundError:
        return used


class Usage:
    """:func:`bytes_below`, again and again: folders of sealed segments are read when they changed.

    What is sealed never changes its size; it comes, and one day it goes.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, int]] = {}

    def bytes_below(self, folder: Path | str) -> int:
        """The sizes of all files below ``folder`` now. Raises :class:`OSError`."""
        total = 0
        shards = os.path.basename(folder) == "sealed"  # noqa: PTH119 - of an entry's path
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    if not entry.is_dir(follow_symlinks=False):
                        total += entry.stat(follow_symlinks=False).st_size
                    elif shards and entry.name.isdecimal():  # else it is a node of that name
                        total += self._sealed(entry)
                    else:
                        total += self._below(entry)
                except FileNotFoundError:
                    continue  # sealed or deleted meanwhile
        return total

    def _below(self, entry: "os.DirEntry[str]") -> int:
        try:
            return self.bytes_below(entry.path)
        except PermissionError:
            # Another user's, as the lost+found of a disk that the spool is the top of: none of ours.
            if entry.stat(follow_symlinks=False).st_uid == os.geteuid():
                raise
            return 0

    def _sealed(self, entry: "os.DirEntry[str]") -> int:
        changed = entry.stat(follow_symlinks=False).st_mtime_ns
        known = self._known.get(entry.path)
        if known is not None and known[0] == changed:
            return known[1]
        settled = is_settled(changed)
        total = self.bytes_below(entry.path)
        if settled:
            self._known[entry.path] = (changed, total)
        return total
