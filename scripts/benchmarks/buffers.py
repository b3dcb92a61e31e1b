"""Durable append in groups of a thousand, beside programs of others that keep what they took."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from records import STREAMS, records
from rivals import BareFile, Sqlite
from rows import Row, Side, at_least, interleaved
from servers import Redis, missing, redis, rsyslog
from spools import GROUP, IN_FLIGHT, groups_of, pipelined, writer

GROUPS = 16
"""Groups of each shape in a round: twice what is in flight."""
FEW = 200
"""Records of a round for those who sync each one."""


class _Ours:
    """Our writers, one of each shape, and what they are given: ``groups``, of ``size`` kB in all."""

    def __init__(self, folder: Path) -> None:
        self._inputs = {name: groups_of(records(name, GROUPS * GROUP)) for name in STREAMS}
        self.groups = [group for some in self._inputs.values() for group in some]
        self.size = sum(len(line) + 1 for group in self.groups for line in group) / 1e3
        self._writers = {name: writer(folder, name) for name in STREAMS}
        for target in self._writers.values():
            target.append(records(target.stream.name, 1))  # makes its file

    def flowing(self, *, judged: bool) -> None:
        for stream, groups in self._inputs.items():
            target = self._writers[stream]
            pipelined(target.submit if judged else target.submit_lines, groups)

    def in_turn(self, *, judged: bool) -> None:
        for stream, groups in self._inputs.items():
            target = self._writers[stream]
            append = target.submit if judged else target.submit_lines
            for group in groups:
                append(group, inline=True).wait()

    def close(self) -> None:
        for target in self._writers.values():
            target.close()


def buffers(folder: Path, rounds: int) -> list[Row]:
    """Lines that were judged before, as the intake has them, and records judged in the call.

    Peers look at no record. Redis has as many groups in flight as ours; SQLite has one transaction
    at a time, whoever it is; beside those that sync each record, ours wait for each group.
    """
    ours = _Ours(folder / "ours")
    rows: list[Row] = []

    def beside(how: str, work: Callable[..., None], peer: str, bound: float, them: Side) -> None:
        sides = [
            lambda judged=judged: ours.size / _timed(lambda: work(judged=judged))
            for judged in (False, True)
        ]
        found = interleaved(rounds, *sides, them)
        for side, said in enumerate(("lines judged before", "judged")):
            name = f"durable append in groups of 1,000, {said}, {how}"
            rows.append(at_least(name, peer, found[side], found[2], "kB/s", bound=bound))

    flowing = partial(beside, "eight groups in flight", ours.flowing)
    in_turn = partial(beside, "one call after the other", ours.in_turn)
    if not missing("redis-server"):
        commands = [Redis.command(b"RPUSH", b"records", *group) for group in ours.groups]
        with redis(folder / "redis") as peer:
            name = "Redis, appendfsync always, a group a command, eight in flight"
            flowing(name, 1.5, lambda: ours.size / _timed(lambda: _all(peer, commands)))
        del commands
    database = Sqlite(folder / "groups.db")
    name = "SQLite WAL FULL, 1,000 a transaction"
    flowing(name, 3, lambda: ours.size / _timed(lambda: database.append_groups(ours.groups)))
    database.close()
    few = ours.groups[0][:FEW]
    size = sum(len(line) + 1 for line in few) / 1e3
    if not missing("rsyslogd"):
        with rsyslog(folder / "rsyslog") as queue:
            name = "rsyslog, disk queue with syncQueueFiles"
            in_turn(name, 3, lambda: size / _timed(lambda: queue.append(few)))
    bare = BareFile(folder / "bare")
    name = "bare write + fdatasync of each record"
    in_turn(name, 3, lambda: size / _timed(lambda: _each(bare, few)))
    bare.close()
    ours.close()
    return rows


def _each(bare: BareFile, some: Sequence[bytes]) -> None:
    for record in some:
        bare.append(record)


def _timed(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def _all(peer: Redis, commands: Sequence[bytes]) -> None:
    for number, command in enumerate(commands):
        peer.send(command)
        if number >= IN_FLIGHT:
            peer.answered()
    for _ in commands[:IN_FLIGHT]:
        peer.answered()
