"""The newest seals of a lane: what was taken lately, and when, without any index.

Seals alone are read, newest first, and only so many: the cost does not grow with the spool.
"""

from collections.abc import Iterator

from spool.discovery import said_by
from spool.head import read_head
from spool.lane import Lane
from spool.statement import Statement

SEALS_MAX = 64
"""Seals read of a lane at most; at ten minutes a segment they reach back ten hours."""


def newest_seals(lane: Lane, since: int) -> Iterator[Statement]:
    """What the newest seals of ``lane`` say, up to the first accepted before ``since`` (ms).

    Raises :class:`OSError`.
    """
    head = read_head(lane)
    if head is None:
        return
    for seq in range(head.seq, max(head.first - 1, head.seq - SEALS_MAX), -1):
        said = said_by(lane, seq)
        if said is None:
            continue
        yield said
        if said.last_at is not None and said.last_at < since:
            return


def newest_record_at(lane: Lane) -> int | None:
    """When the newest sealed record was accepted, ms since 1970 UTC; None where no seal read says.

    Raises :class:`OSError`.
    """
    said = (said.last_at for said in newest_seals(lane, 0) if said.last_at is not None)
    return next(said, None)
