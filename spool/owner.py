"""Whose a spool is: a process of another user must not write to it, least of all root's.

What belongs to another user counts as planted, and is moved out of the way unread. Root may read and
move all of it: a whole spool would pass for planted, and its records for lost. And what root writes,
the user whose daemon it is cannot read.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from keys.errors import shown
from spool.errors import SpoolError
from spool.lane import Lane, lanes


def check_owner(spool: Path) -> None:
    """Nothing, where ``spool`` and its lanes are this user's or root's, or there is none yet.

    Raises :class:`SpoolError` ``spool.owner``, or :class:`OSError`.
    """
    _check(spool, [spool])
    for lane in lanes(spool):
        check_lane_owner(lane)


def check_lane_owner(lane: Lane) -> None:
    """The same of one lane: its folder, and its head, without which nothing in it counts."""
    _check(lane.spool, (lane.folder, lane.head))


def _check(spool: Path, paths: Iterable[Path]) -> None:
    own = os.geteuid()
    for path in paths:
        try:
            owner = path.lstat().st_uid
        except FileNotFoundError:
            continue
        if owner not in (own, 0):
            raise SpoolError(
                "spool.owner",
                f"{shown(str(path))} belongs to another user (uid {owner}); this process runs as uid "
                f"{own}.",
                "Run it as the user whose the spool is. To give all of it to this one, with nothing "
                f"running: chown -R {own} {shown(str(spool))}",
            )
