"""Durable append in groups of a thousand, beside programs of others that keep what they took."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from records import STREAMS, records
from rivals import BareFile
from rows import Row, at_least, interleaved
from servers import Redis, missing, redis, rsyslog
from spools import GROUP, IN_FLIGHT, groups_of, pipelined, writer

GROUPS = 16
"""Groups of each shape in a round: twice what is in flight."""
FEW = 200
"""Records of a round for those who sync each one."""


def buffers(folder: Path, rounds: int) -> list[Row]:
    """Ours judged in the call; in flight as many groups as a peer has; peers as clients do best."""
    inputs = {name: groups_of(records(name, GROUPS * GROUP)) for name in STREAMS}
    flat = [group for some in inputs.values() for group in some]
    size = sum(len(line) + 1 for group in flat for line in group) / 1e3
    writers = {name: writer(folder / "ours", name) for name in STREAMS}
    for target in writers.values():
        target.append(records(target.stream.name, 1))  # makes its file

    def ours() -> float:
        begin = time.perf_counter()
        for stream, groups in inputs.items():
            for group in groups:
                writers[stream].append(group)
        return size / (time.perf_counter() - begin)

    def in_flight() -> float:
        begin = time.perf_counter()
        for stream, groups in inputs.items():
            pipelined(writers[stream].submit, groups)
        return size / (time.perf_counter() - begin)

    rows = []
    work = "durable append in groups of 1,000, judged, one call after the other"
    if not missing("redis-server"):
        commands = [Redis.command(b"RPUSH", b"records", *group) for group in flat]
        with redis(folder / "redis") as peer:
            found = interleaved(rounds, in_flight, lambda: size / _all(peer, commands))
        name = "Redis, appendfsync always, a group a command, eight in flight"
        several = "durable append in groups of 1,000, judged, eight groups in flight"
        rows.append(at_least(several, name, found[0], found[1], "kB/s", bound=1.5))
    few = flat[0][:FEW]
    few_size = sum(len(line) + 1 for line in few) / 1e3
    if not missing("rsyslogd"):
        with rsyslog(folder / "rsyslog") as queue:
            found = interleaved(rounds, ours, lambda: few_size / _timed(queue.append, few))
        name = "rsyslog, disk queue with syncQueueFiles"
        rows.append(at_least(work, name, found[0], found[1], "kB/s", bound=3))
    bare = BareFile(folder / "bare")
    found = interleaved(rounds, ours, lambda: few_size / _timed(_each(bare), few))
    bare.close()
    name = "bare write + fdatasync of each record"
    rows.append(at_least(work, name, found[0], found[1], "kB/s", bound=3))
    for target in writers.values():
        target.close()
    return rows


def _each(bare: BareFile) -> Callable[[Sequence[bytes]], None]:
    def append(some: Sequence[bytes]) -> None:
        for record in some:
            bare.append(record)

    return append


def _timed(append: Callable[[Sequence[bytes]], None], some: Sequence[bytes]) -> float:
    begin = time.perf_counter()
    append(some)
    return time.perf_counter() - begin


def _all(peer: Redis, commands: Sequence[bytes]) -> float:
    begin = time.perf_counter()
    for number, command in enumerate(commands):
        peer.send(command)
        if number >= IN_FLIGHT:
            peer.answered()
    for _ in commands[:IN_FLIGHT]:
        peer.answered()
    return time.perf_counter() - begin
