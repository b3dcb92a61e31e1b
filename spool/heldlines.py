"""Every line that a lane holds: of files that are not sealed yet, then of its segments.

What is sealed meanwhile may come twice, and is never missed. One frame is in memory at a time.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from keys.errors import VerificationError
from spool.frames import FrameDecoder
from spool.head import read_head
from spool.lane import Lane
from spool.openfile import open_files
from spool.rewriting import examine, good_lines, reader
from spool.safefile import open_regular
from spool.segment import Segment

Unread = Callable[[Path, str], None]
"""Is told of a file that could not be read, and why."""


def held_lines(lane: Lane, unread: Unread) -> Iterator[bytes]:
    """Whole lines with their line ends, some at a time. Raises :class:`OSError`."""
    yield from _open_lines(lane, unread)
    head = read_head(lane)
    if head is None:
        return
    decoder = FrameDecoder()
    for seq in lane.sealed_numbers():
        if seq > head.seq:
            return
        path = lane.segment(seq)
        try:
            with Segment.open(path) as segment:
                segment.check_place(lane.node, lane.stream, seq)
                for raw, _ in segment.raw_frames(decoder):
                    yield raw
        except FileNotFoundError:
            continue  # retention took it meanwhile
        except VerificationError as error:
            unread(path, error.message)


def _open_lines(lane: Lane, unread: Unread) -> Iterator[bytes]:
    for path in open_files(lane):
        try:
            fd = open_regular(path, own=True)
        except FileNotFoundError:
            continue  # sealed meanwhile
        except VerificationError as error:
            unread(path, error.message)
            continue
        try:
            read = reader(fd)
            yield from good_lines(read, examine(read, os.fstat(fd).st_size))
        finally:
            os.close(fd)
