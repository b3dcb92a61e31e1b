"""Verify, and what the same records take on the disk."""

import time
from pathlib import Path

from records import STREAMS, records
from rivals import Sqlite, decompress
from rows import Row, at_least, fewer, interleaved
from spools import GROUP, KEY, MIB, fill, groups_of, lanes, pipelined, segments, writer

from spool.frames import FrameDecoder
from spool.lane import Lane
from spool.segment import Segment, check_link
from spool.statement import Statement

VERIFIED = 96 * MIB
"""Bytes of records that are verified in a round."""
SINGLES = 500
"""Records of each shape that are appended one a call."""


def verify(folder: Path, rounds: int) -> list[Row]:
    """Everything that makes a segment good, against decompressing it; each in one thread."""
    spool = folder / "spool"
    size = fill(spool, VERIFIED) / 1e6
    paths = segments(spool)

    def ours() -> float:
        begin = time.process_time()
        for lane in lanes(spool):
            _verify_lane(lane)
        return size / (time.process_time() - begin)

    def theirs() -> float:
        begin = time.process_time()
        for path in paths:
            decompress(path)
        return size / (time.process_time() - begin)

    found = interleaved(rounds, ours, theirs)
    return [
        at_least("verify", "`zstd -d` in process", found[0], found[1], "MB/CPU second", bound=0.7)
    ]


def _verify_lane(lane: Lane) -> None:
    decoder = FrameDecoder()
    keys = {KEY.public.id: KEY.public}
    previous: tuple[Statement, str] | None = None
    for seq in lane.sealed_numbers():
        with Segment.open(lane.segment(seq)) as segment:
            segment.check_place(lane.node, lane.stream, seq)
            segment.check_digest()
            segment.check_signature(keys)
            if previous is not None:
                check_link(*previous, segment.statement)
            for _ in segment.raw_frames(decoder):
                pass
            previous = segment.statement, segment.digest


def disk(folder: Path, rounds: int) -> list[Row]:
    """Bytes a record, everything sealed, against a database file of the same records."""
    del rounds  # sizes do not vary
    database = Sqlite(folder / "disk.db")
    count = len(STREAMS) * 8 * GROUP
    for stream in STREAMS:
        some = groups_of(records(stream, 8 * GROUP))
        with writer(folder / "groups", stream) as target:
            pipelined(target, some)
        with writer(folder / "single", stream) as target:
            for record in records(stream, SINGLES):
                target.append([record])
        database.append_groups(some)
    theirs = database.size() / count
    database.close()
    groups = _stored(folder / "groups") / count
    single = _stored(folder / "single") / (SINGLES * len(STREAMS))
    rival = "SQLite file"
    return [
        fewer("disk, appended in groups of 1,000", rival, groups, theirs, "bytes/record", bound=10),
        fewer("disk, appended one a call, sealed", rival, single, theirs, "bytes/record", bound=6),
    ]


def _stored(spool: Path) -> int:
    return sum(path.stat().st_size for path in segments(spool))
