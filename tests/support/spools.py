"""Small spools: a key, a clock to be set by hand, records, and what is needed to seal some."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from keys.ed25519 import SigningKey
from keys.errors import VerificationError
from spool.chain import begin_lane
from spool.clock import SYSTEM_CLOCK
from spool.durable import Disk
from spool.frames import Frame, FrameDecoder, FrameEncoder
from spool.group import Framed
from spool.head import read_head
from spool.lane import Lane
from spool.recovery import Recovered, Recovery
from spool.sealing import Sealer
from spool.segment import Segment
from spool.statement import Statement
from spool.tail import Tail
from tests.support.disks import FastDisk

KEY = SigningKey(bytes(range(32)))
FAST = FastDisk()


@dataclass
class HandClock:
    """Stands still until it is set."""

    wall: int = 1_795_424_400_000
    seconds: float = 1000.0

    def wall_ms(self) -> int:
        return self.wall

    def monotonic(self) -> float:
        return self.seconds


def records(count: int, name: str = "r", filler: int = 0) -> list[bytes]:
    """Transactions as our lines are, all different."""
    return [b'{"id":"%b-%06d","x":"%b"}' % (name.encode(), n, b"x" * filler) for n in range(count)]


def raw_of(lines: Sequence[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def unit(lines: Sequence[bytes]) -> Framed:
    raw = raw_of(lines)
    return Framed(FrameEncoder().encode(raw), len(raw))


def frame(data: bytes, raw_size: int = 0) -> Frame:
    return Frame(0, data, raw_size)


def new_lane(spool: Path, disk: Disk = FAST, stream: str = "transactions") -> Lane:
    lane = Lane(spool, "n", stream)
    begin_lane(disk, lane)
    return lane


def sealer(lane: Lane, disk: Disk = FAST) -> Sealer:
    return Sealer(disk, lane, KEY, SYSTEM_CLOCK)


def open_tail(lane: Lane, groups: Sequence[Sequence[bytes]], disk: Disk = FAST) -> Tail:
    """A file that is being written, one frame for each group."""
    tail = Tail.begin(disk, lane, SYSTEM_CLOCK)
    for group in groups:
        tail.commit([unit(group)], len(group))
    return tail


def leave_open(lane: Lane, *groups: Sequence[bytes]) -> Path:
    """A file whose writer is gone."""
    tail = open_tail(lane, groups)
    FAST.close(tail.fd)
    return tail.path


def seal_one(lane: Lane, *groups: Sequence[bytes]) -> Statement:
    return sealer(lane).seal(open_tail(lane, groups).filled(), "size")


def recover(lane: Lane, disk: Disk = FAST) -> list[Recovered]:
    """What the daemon does with a lane when it starts."""
    begin_lane(disk, lane)
    hand = sealer(lane, disk)
    done = list(Recovery(disk, hand, SYSTEM_CLOCK).recover())
    hand.settle_head()
    return done


def rescue_bad(lane: Lane, disk: Disk = FAST) -> list[Recovered]:
    """What is done when sealed segments turn out not to be what was sealed."""
    rescued = []
    head = read_head(lane)
    for seq in list(lane.sealed_numbers()):
        if head is None or seq > head.seq:
            continue
        try:
            with Segment.open(lane.segment(seq)) as segment:
                segment.check_place(lane.node, lane.stream, seq)
                segment.check_digest()
                segment.check_signature({KEY.public.id: KEY.public})
        except VerificationError:
            rescued.append(Recovery(disk, sealer(lane, disk), SYSTEM_CLOCK).rescue(seq))
    return rescued


def wait_until(true: Callable[[], bool], seconds: float = 30, every_s: float = 0.005) -> None:
    """Return when it is true; a test that waits in vain fails.

    A look that costs something is not taken all the time: it would slow down what is waited for.
    """
    give_up = time.monotonic() + seconds
    looked_at = time.monotonic()
    while not true():
        assert time.monotonic() < give_up
        time.sleep(max(every_s, time.monotonic() - looked_at))
        looked_at = time.monotonic()


def lines_of(segment: Segment) -> bytes:
    """All lines of ``segment``; whoever only counts them has to come to the same verdict."""
    verdict = _verdict(lambda: segment.check_frames(FrameDecoder()))
    with _agreeing(verdict):
        return b"".join(raw for raw, _ in segment.raw_frames(FrameDecoder()))


def raw_in(frame: Frame, decoder: FrameDecoder) -> bytes:
    """The lines of ``frame``, with the same demand."""
    counted = 0

    def count() -> None:
        nonlocal counted
        counted = decoder.count(frame)

    with _agreeing(_verdict(count)):
        raw, lines = decoder.decode(frame)
        assert lines == counted
        return raw


def _verdict(work: Callable[[], None]) -> str:
    try:
        work()
    except VerificationError as error:
        return f"{error.id}: {error.message}"
    return ""


@contextmanager
def _agreeing(verdict: str) -> Iterator[None]:
    """What is done within is refused just as ``verdict`` says, or not at all."""
    found = ""
    try:
        yield
    except VerificationError as error:
        found = f"{error.id}: {error.message}"
        raise
    finally:
        assert found == verdict
