"""Durable append: one record a call, many callers at once, groups of a thousand."""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from statistics import median, quantiles

from records import STREAMS, records
from rivals import BareFile, Overwritten, Sqlite, compress, parse_all
from rows import Row, at_least, below, beside, interleaved, told
from spools import GROUP, groups_of, pipelined, writer

from spool.writer import Writer

SLICE = 25
"""Records of one side before it is another's turn: a disk's mood changes faster than a round."""
SLICES = 16
CALLERS = 64
EACH = 200
"""Records of each caller, of each shape; the first turn, in which all begin, is a small part."""
COMMIT = 6000
"""Bytes that are stored of as many records."""
GROUPS = 16
"""Groups of each shape in a round: twice what is in flight."""


def single(folder: Path, rounds: int) -> list[Row]:
    """One caller, one record a call."""
    bare, database = BareFile(folder / "bare"), Sqlite(folder / "single.db")
    writers = {name: writer(folder / "single", name) for name in STREAMS}
    rates: list[list[float]] = [[], [], []]
    for stream, target in writers.items():
        target.append(records(stream, 1))  # makes its file; that is not what is measured
    for _ in range(rounds):
        spent = [0.0, 0.0, 0.0]
        for number in range(SLICES):
            stream = STREAMS[number % len(STREAMS)]
            some = records(stream, SLICE * SLICES)[number * SLICE : (number + 1) * SLICE]
            sides = (
                lambda record, stream=stream: writers[stream].append([record]),
                bare.append,
                database.append,
            )
            for turn in range(len(sides)):
                side = (number + turn) % len(sides)
                begin = time.perf_counter()
                for record in some:
                    sides[side](record)
                spent[side] += time.perf_counter() - begin
        for rate, seconds in zip(rates, spent, strict=True):
            rate.append(SLICE * SLICES / seconds)
    for target in writers.values():
        target.close()
    bare.close()
    database.close()
    work = "durable append, one record a call, one caller"
    return [
        at_least(work, "bare write + fdatasync", rates[0], rates[1], "records/s", bound=0.9),
        at_least(
            work, "SQLite WAL FULL, one a transaction", rates[0], rates[2], "records/s", bound=0.75
        ),
    ]


def many(folder: Path, rounds: int) -> list[Row]:
    """Many callers, each of which waits for its own record."""
    bare, database = BareFile(folder / "bare64"), Sqlite(folder / "many.db")
    writers = {name: writer(folder / "many", name) for name in STREAMS}
    for stream, target in writers.items():
        target.append(records(stream, 1))
    over = Overwritten(folder / "over64")
    waits: list[float] = []
    syncs: list[float] = []
    overs: list[float] = []

    def ours() -> float:
        begin = time.perf_counter()
        for stream, target in writers.items():
            waits.extend(asyncio.run(_callers(target, records(stream, CALLERS * EACH))))
        return CALLERS * EACH * len(STREAMS) / (time.perf_counter() - begin)

    def theirs() -> float:
        some = records(STREAMS[0], 400)
        begin = time.perf_counter()
        for record in some:
            database.append(record)
        return len(some) / (time.perf_counter() - begin)

    def single_syncs() -> float:
        for record in records(STREAMS[0], 100):
            begin = time.perf_counter()
            bare.append(record)
            syncs.append((time.perf_counter() - begin) * 1000)
        return 1.0

    def overwritten() -> float:
        for _ in range(EACH * len(STREAMS)):
            begin = time.perf_counter()
            over.write(random.randbytes(COMMIT))
            overs.append((time.perf_counter() - begin) * 1000)
        return 1.0

    random = Random(0)  # noqa: S311 - bytes that no disk makes smaller
    rates = interleaved(rounds, ours, theirs, single_syncs, overwritten)
    for target in writers.values():
        target.close()
    bare.close()
    over.close()
    database.close()
    work = f"durable append, {CALLERS} callers, each waiting for its own record"
    rival = "SQLite WAL FULL, one a transaction"
    p99 = quantiles(waits, n=100)[98]
    return [
        at_least(work, rival, rates[0], rates[1], "records/s", bound=15),
        below(
            "the same, 99th percentile of the wait, under ten single fsyncs",
            p99,
            10 * median(syncs),
            "ms",
        ),
        told(
            "the disk alone, 99th percentile: as many syncs of as many bytes, written over others",
            "their median",
            quantiles(overs, n=100)[98],
            median(overs),
            "ms",
        ),
    ]


async def _callers(target: Writer, some: Sequence[bytes]) -> list[float]:
    """Milliseconds that each append took."""
    waits: list[float] = []

    async def caller(own: Sequence[bytes]) -> None:
        for record in own:
            begin = time.perf_counter()
            await target.append_async([record])
            waits.append((time.perf_counter() - begin) * 1000)

    await asyncio.gather(*(caller(some[n::CALLERS]) for n in range(CALLERS)))
    return waits


def _timed(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def groups(folder: Path, rounds: int) -> list[Row]:
    """Groups of a thousand: judged before or not, a few in flight or one after the other."""
    database = Sqlite(folder / "groups.db")
    ahead = {name: writer(folder / "ahead", name) for name in STREAMS}
    flowing = {name: writer(folder / "flowing", name) for name in STREAMS}
    plain = {name: writer(folder / "plain", name) for name in STREAMS}
    inputs = {name: groups_of(records(name, GROUPS * GROUP)) for name in STREAMS}
    flat = [group for some in inputs.values() for group in some]
    raws = [b"".join(line + b"\n" for group in some for line in group) for some in inputs.values()]
    size = sum(map(len, raws)) / 1e6
    for target in (*ahead.values(), *flowing.values(), *plain.values()):
        target.append(records(target.stream.name, 1))

    def in_flight() -> float:
        begin = time.perf_counter()
        for stream, some in inputs.items():
            pipelined(ahead[stream].submit_lines, some)
        return size / (time.perf_counter() - begin)

    def judged_in_flight() -> float:
        begin = time.perf_counter()
        for stream, some in inputs.items():
            pipelined(flowing[stream].submit, some)
        return size / (time.perf_counter() - begin)

    def by_call() -> float:
        begin = time.perf_counter()
        for stream, some in inputs.items():
            for group in some:
                plain[stream].append(group)
        return size / (time.perf_counter() - begin)

    found = interleaved(
        rounds,
        in_flight,
        judged_in_flight,
        by_call,
        lambda: size / _timed(lambda: parse_all(flat)),
        lambda: size / _timed(lambda: database.append_groups(flat)),
        lambda: size / _timed(lambda: [compress(raw) for raw in raws]),
    )
    for target in (*ahead.values(), *flowing.values(), *plain.values()):
        target.close()
    database.close()
    work = "durable append in groups of 1,000"
    first = f"{work}, lines judged before, eight groups in flight"
    rival, bare = "SQLite WAL FULL, 1,000 a transaction", "`zstd -3` in process, nothing stored"
    return [
        at_least(first, rival, found[0], found[4], "MB/s", bound=2.5),
        at_least(first, bare, found[0], found[5], "MB/s", bound=0.8),
        *(
            at_least(name, against, found[side], found[other], "MB/s", bound=bound)
            for side, name in (
                (1, f"{work}, judged, eight groups in flight"),
                (2, f"{work}, judged, one call after the other"),
            )
            for other, against, bound in ((4, rival, 2.5), (5, bare, 0.8))
        ),
        *(
            beside(
                "the same records parsed by orjson one by one, nothing else",
                against,
                found[3],
                found[other],
                "MB/s",
            )
            for other, against in ((4, rival), (5, bare))
        ),
    ]
