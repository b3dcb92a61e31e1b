"""How cost grows: with records, segments, streams, producers and backlog; each a curve with a plot."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from memory import backlog_memory
from opening import opened_ms, scanned_ms, spool_of
from records import STREAMS, records
from rivals import Sqlite
from sink import sink
from spools import GROUP, MIB, fill, groups_of, pipelined, writer

RECORDS = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
SEGMENTS = (100, 1_000, 10_000, 100_000)
SHARE = 8
"""Groups of a producer."""
PRODUCERS = (1, 2, 4, 8, 16)
BACKLOGS = (10, 30, 100, 300, 1000)
"""Megabytes of records."""
_PRODUCER = Path(__file__).with_name("producing.py")


@dataclass(frozen=True, slots=True)
class Curve:
    """Figures by size, one line of a plot for each name; ``log`` if sizes grow by factors."""

    name: str
    title: str
    across: str
    up: str
    lines: dict[str, list[tuple[float, float]]]
    log: bool = True


def curves(folder: Path) -> list[Curve]:
    """All of them, measured once each."""
    made: list[Curve] = []
    for curve in (_records, _segments, _streams, _producers, _backlog):
        sys.stderr.write(f"bench: curve{curve.__name__}\n")
        place = folder / curve.__name__
        place.mkdir()
        made.append(curve(place))
    return made


def _records(folder: Path) -> Curve:
    """A record's cost while the spool grows."""
    some = groups_of(records(STREAMS[0], 30 * GROUP))
    database = Sqlite(folder / "grown.db")

    def grow(append: Callable[[Sequence[bytes]], object]) -> list[tuple[float, float]]:
        line, done = [], 0
        for upto in RECORDS:
            count = upto - done
            begin = time.perf_counter()
            for at in range(0, count, GROUP):
                append(some[at // GROUP % len(some)])
            line.append((float(upto), (time.perf_counter() - begin) / count * 1e6))
            done = upto
        return line

    with writer(folder / "grown", STREAMS[0]) as target:
        ours = grow(target.append)
    theirs = grow(lambda group: database.append_groups([group]))
    database.close()
    return Curve(
        "records",
        "Durable append in groups of 1,000, while the spool grows",
        "records appended so far",
        "µs a record",
        {"bridge": ours, "SQLite WAL FULL": theirs},
    )


def _segments(folder: Path) -> Curve:
    """Opening a spool, by the number of its segments."""
    ours, scan = [], []
    for count in SEGMENTS:
        spool = spool_of(folder / str(count), count)
        opened_ms(spool)
        ours.append((float(count), opened_ms(spool)))
        scan.append((float(count), scanned_ms(spool)))
    return Curve(
        "segments",
        "Opening a spool",
        "segments in it",
        "ms",
        {"bridge, ledger and new segments": ours, "bare directory scan": scan},
    )


def _streams(folder: Path) -> Curve:
    """All streams at once, a thread for each."""
    line = []
    for count in range(1, len(STREAMS) + 1):
        names = STREAMS[:count]
        inputs = {name: groups_of(records(name, SHARE * GROUP)) for name in names}
        size = sum(len(r) + 1 for some in inputs.values() for group in some for r in group)
        with ExitStack() as stack:
            targets = {
                name: stack.enter_context(writer(folder / str(count), name)) for name in names
            }
            threads = [
                threading.Thread(target=pipelined, args=(targets[name].submit_lines, inputs[name]))
                for name in names
            ]
            begin = time.perf_counter()
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            line.append((float(count), size / 1e6 / (time.perf_counter() - begin)))
    return Curve(
        "streams",
        "Durable append in groups of 1,000, judged before, in one process",
        "streams at once, a thread each",
        "MB/s",
        {"bridge": line},
        log=False,
    )


def _producers(folder: Path) -> Curve:
    """Processes that append to one stream of one spool."""
    line = []
    for count in PRODUCERS:
        command = [sys.executable, str(_PRODUCER), str(folder / str(count)), str(SHARE)]
        with ExitStack() as stack:
            processes = [
                stack.enter_context(
                    subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603
                )
                for _ in range(count)
            ]
            for process in processes:
                assert process.stdout is not None  # noqa: S101 - asked for above
                process.stdout.readline()  # it has its records and its file
            begin = time.perf_counter()
            size = 0
            for process in processes:
                assert process.stdin is not None  # noqa: S101 - asked for above
                process.stdin.close()
            for process in processes:
                assert process.stdout is not None  # noqa: S101 - asked for above
                size += int(process.stdout.readline())
            line.append((float(count), size / 1e6 / (time.perf_counter() - begin)))
    return Curve(
        "producers",
        "Durable append in groups of 1,000, judged in the call, to one stream",
        "processes at once",
        "MB/s",
        {"bridge": line},
    )


def _backlog(folder: Path) -> Curve:
    """A drain's memory, by what has to be drained."""
    line = []
    with sink() as url:
        for size in BACKLOGS:
            spool = folder / str(size)
            fill(spool, size * 10**6)
            line.append((size * 10**6 / MIB, backlog_memory(spool, url)))
    return Curve(
        "backlog",
        "Memory of a drain, requests of 1 MiB",
        "backlog, MiB of records",
        "MiB, the most it held",
        {"bridge": line},
    )
