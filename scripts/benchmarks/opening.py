"""Opening a spool of very many segments, against a scan of its folders."""

import hashlib
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from draining import forget
from records import STREAMS, records
from rows import Row, at_most, interleaved
from spools import KEY, NODE

from spool.chain import begin_lane
from spool.clock import SYSTEM_CLOCK
from spool.discovery import discover
from spool.durable import OS_DISK
from spool.frames import FrameEncoder
from spool.head import Head, folder_inode, write_head
from spool.lane import SHARD, Lane, lanes
from spool.ledger import Ledger
from spool.segment import make_seal
from spool.statement import NO_DIGEST, Statement
from spool.totals import NOTHING

SEGMENTS = 100_000
FREE_MIN = 2 * 1024**3
"""Bytes that must be free: each segment takes a block of the disk."""
CHAIN = "c" * 32


def opening(folder: Path, rounds: int) -> list[Row]:
    """A ledger that knows the spool, and one that was lost."""
    if shutil.disk_usage(folder).free < FREE_MIN:
        sys.stderr.write("bench: opening: left out, it needs 2 GB of free disk\n")
        return []
    spool = folder / "spool"
    _make(spool)
    _open(spool)

    def known() -> float:
        return _timed(lambda: _open(spool))

    def lost() -> float:
        forget(spool)
        return _timed(lambda: _open(spool))

    found = interleaved(rounds, known, lost, lambda: _timed(lambda: _scan(spool)))
    work, rival = f"open a spool of {SEGMENTS:,} segments", "bare directory scan"
    return [
        at_most(work, rival, found[0], found[2], "ms", bound=4),
        at_most(f"{work} whose ledger was lost", rival, found[1], found[2], "ms", bound=4),
    ]


def _timed(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return (time.perf_counter() - begin) * 1000


def _open(spool: Path) -> None:
    with Ledger.open(spool, clock=SYSTEM_CLOCK) as ledger:
        for lane in lanes(spool):
            discover(ledger, lane)


def _scan(folder: Path | str) -> int:
    found = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            found += _scan(entry.path) if entry.is_dir(follow_symlinks=False) else 1
    return found


def _make(spool: Path) -> None:
    """Segments of one record each, every one signed and linked; not synced, for speed."""
    lane = Lane(spool, NODE, STREAMS[0])
    begin_lane(OS_DISK, lane)
    raw = records(STREAMS[0], 1)[0] + b"\n"
    frame = FrameEncoder().encode(raw)
    digest = hashlib.sha256(frame).hexdigest()
    previous, before = NO_DIGEST, NOTHING
    for seq in range(1, SEGMENTS + 1):
        said = Statement(
            node=lane.node,
            stream=lane.stream,
            chain=CHAIN,
            seq=seq,
            prev=previous,
            records=1,
            size=len(frame),
            raw_size=len(raw),
            sha256=digest,
            before=before,
            first_at=seq,
            last_at=seq,
            reason="size",
        )
        seal, previous = make_seal(said, KEY)
        before = said.after
        path = lane.segment(seq)
        if seq == 1 or seq % SHARD == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(fd, frame + seal)
        os.close(fd)
    write_head(OS_DISK, lane, Head(CHAIN, 1, SEGMENTS, previous, before, folder_inode(lane)))
