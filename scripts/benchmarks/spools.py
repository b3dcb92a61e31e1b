"""Spools to measure on, made with the public writer."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path

from records import STREAMS, records

from keys.ed25519 import SigningKey
from spool.frames import MIB
from spool.group import Ticket
from spool.lane import Lane
from spool.writer import SEAL_SIZE, Writer

KEY = SigningKey(bytes(range(32)))
"""The key of every spool here: it guards nothing."""
NODE = "bench"
GROUP = 1000
"""Records appended at a time."""
IN_FLIGHT = 8
"""Groups that a producer lets wait for the disk. Each step of a commit waits for the interpreter's
lock, so of four the first was durable only when somebody had waited for it."""


def writer(spool: Path, stream: str, *, seal_size: int = SEAL_SIZE) -> Writer:
    """A writer that seals."""
    return Writer(spool, stream, node=NODE, signer=KEY, seal_size=seal_size)


def groups_of(lines: Sequence[bytes]) -> list[Sequence[bytes]]:
    """``lines`` in groups of a thousand."""
    return [lines[at : at + GROUP] for at in range(0, len(lines), GROUP)]


def pipelined(
    submit: Callable[[Sequence[bytes]], Ticket], groups: Iterable[Sequence[bytes]]
) -> None:
    """Append groups with a few in flight; all are durable on return."""
    tickets: deque[Ticket] = deque()
    for group in groups:
        tickets.append(submit(group))
        if len(tickets) == IN_FLIGHT:
            tickets.popleft().wait()
    for ticket in tickets:
        ticket.wait()


def fill(spool: Path, raw_size: int) -> int:
    """Append about ``raw_size`` bytes, a quarter to each stream, and seal; how many bytes it was."""
    done = 0
    for stream in STREAMS:
        groups = groups_of(records(stream, 8 * GROUP))
        size = sum(len(line) + 1 for line in groups[0])
        whole = max(1, raw_size // len(STREAMS) // size)
        with writer(spool, stream) as target:
            for at in range(0, whole, len(groups)):
                pipelined(target.submit_lines, list(islice(groups, whole - at)))
        done += whole * size
    return done


def fill_small(spool: Path, raw_size: int, each: int) -> int:
    """As :func:`fill`, but every segment holds only ``each`` records."""
    done = 0
    for stream in STREAMS:
        lines = records(stream, 8 * GROUP)
        wanted = raw_size // len(STREAMS) // (len(lines[0]) + 1) // each * each
        with writer(spool, stream, seal_size=1) as target:
            for at in range(0, wanted, each):
                begin = at % len(lines)
                group = lines[begin : begin + each]
                target.submit_lines(group).wait()
                done += sum(len(line) + 1 for line in group)
    return done


def lanes(spool: Path) -> list[Lane]:
    """The lanes that were filled."""
    return [Lane(spool, NODE, stream) for stream in STREAMS]


def segments(spool: Path) -> list[Path]:
    """The files of all segments, in their order."""
    return [lane.segment(seq) for lane in lanes(spool) for seq in lane.sealed_numbers()]


__all__ = [
    "GROUP",
    "KEY",
    "MIB",
    "NODE",
    "fill",
    "fill_small",
    "groups_of",
    "lanes",
    "pipelined",
    "segments",
    "writer",
]
