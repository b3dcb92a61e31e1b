"""Finds the record of an id in the segments that are held, and in files that are not sealed yet.

One frame is in memory at a time. An id is looked for as it stands in the records.
"""

import os
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import orjson

from bridge.operate.trail import Place
from keys.errors import VerificationError
from spool.frames import FrameDecoder
from spool.head import read_head
from spool.lane import Lane, lanes
from spool.openfile import open_files
from spool.rewriting import examine, good_lines, reader
from spool.safefile import open_regular
from spool.segment import Segment
from spool.statement import NO_CHAIN

IDENTIFIED = "transactions"
"""The stream whose records have an ``id``."""

Unread = Callable[[Path, str], None]
"""Is told of a file that could not be read, and why."""


def find_record(spool: Path, wanted: str, unread: Unread) -> Iterator[Place]:
    """Every place of a record whose ``id`` is ``wanted``. Raises :class:`OSError`."""
    for lane in lanes(spool):
        if lane.stream != IDENTIFIED:
            continue
        # First what is not sealed: what is sealed meanwhile is found a second time, not missed.
        yield from _unsealed(lane, wanted, unread)
        head = read_head(lane)
        for seq in lane.sealed_numbers() if head is not None else ():
            if head is not None and seq <= head.seq:
                yield from _sealed(lane, seq, wanted, unread)


def _sealed(lane: Lane, seq: int, wanted: str, unread: Unread) -> Iterator[Place]:
    path = lane.segment(seq)
    try:
        with Segment.open(path) as segment:
            segment.check_place(lane.node, lane.stream, seq)
            first = 0
            for raw, count in segment.raw_frames(FrameDecoder()):
                for line in _lines_with(raw, wanted):
                    chain = segment.statement.chain
                    yield Place(lane, chain, seq, first + line, segment.digest)
                first += count
    except FileNotFoundError:
        return  # retention took it meanwhile
    except VerificationError as error:
        unread(path, error.message)


def _unsealed(lane: Lane, wanted: str, unread: Unread) -> Iterator[Place]:
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
            for raw in good_lines(read, examine(read, os.fstat(fd).st_size)):
                yield from (Place(lane, NO_CHAIN, None) for _ in _lines_with(raw, wanted))
        finally:
            os.close(fd)


def _lines_with(raw: bytes, wanted: str) -> Iterator[int]:
    needle = wanted.encode("utf-8", "surrogateescape")
    if needle not in raw:
        return
    for number, line in enumerate(BytesIO(raw)):
        if needle in line and _id_of(line) == wanted:
            yield number


def _id_of(line: bytes) -> str | None:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:  # what was sealed was judged; what rots is for `verify` to say
        return None
    return str(found.get("id")) if isinstance(found, dict) else None
