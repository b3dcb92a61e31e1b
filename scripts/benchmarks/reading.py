"""Verify, and what the same records take on the disk."""

import resource
import subprocess
import time
from pathlib import Path

from records import STREAMS, records
from rivals import Sqlite, decompress
from rows import Row, at_least, beside, fewer, interleaved
from spools import GROUP, KEY, MIB, fill, groups_of, pipelined, segments, writer

from spool import verification

VERIFIED = 96 * MIB
"""Bytes of records that are verified in a round."""
SINGLES = 500
"""Records of each shape that are appended one a call."""


def verify(folder: Path, rounds: int) -> list[Row]:
    """What ``bridge verify`` does with a spool, against decompressing its segments."""
    spool = folder / "spool"
    size = fill(spool, VERIFIED) / 1e6
    paths = segments(spool)
    keys = {KEY.public.id: KEY.public}

    def ours() -> float:
        begin = time.process_time()
        if not all(item.problem is None for item in verification.verify([spool], lambda _: keys)):
            raise RuntimeError("a segment was refused")
        return size / (time.process_time() - begin)

    def command() -> float:
        begin = _of_children()
        zstd = ["zstd", "-dcq", "--single-thread", *map(str, paths)]
        subprocess.run(zstd, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
        return size / (_of_children() - begin)

    def in_process() -> float:
        begin = time.process_time()
        for path in paths:
            decompress(path)
        return size / (time.process_time() - begin)

    found = interleaved(rounds, ours, command, in_process)
    unit = "MB/CPU second"
    rival = "decompression into one buffer, in process"
    return [
        at_least("verify", "`zstd -d`", found[0], found[1], unit, bound=0.7),
        beside("verify", rival, found[0], found[2], unit),
    ]


def _of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def disk(folder: Path, rounds: int) -> list[Row]:
    """Bytes a record, everything sealed, against a database file of the same records."""
    del rounds  # sizes do not vary
    database = Sqlite(folder / "disk.db")
    count = len(STREAMS) * 8 * GROUP
    for stream in STREAMS:
        some = groups_of(records(stream, 8 * GROUP))
        with writer(folder / "groups", stream) as target:
            pipelined(target.submit_lines, some)
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
