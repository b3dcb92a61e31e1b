"""A spool that is written, sealed, crashed, spoiled and opened again, in any order.

What was acknowledged is there, or it is declared lost and its original lies in quarantine; nothing is
there that nobody wrote; no number ever holds anything else; the records of one file keep their order.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from keys.errors import VerificationError
from spool.frames import FrameDecoder, frames
from spool.head import read_head
from spool.lane import Lane
from spool.openfile import open_files
from spool.segment import Segment
from spool.tail import Tail
from tests.support.books import statements
from tests.support.simdisk import Crash, Keep, SimDisk
from tests.support.spools import KEY, new_lane, open_tail, recover, rescue_bad, sealer, unit

KEEP = st.sampled_from(list(Keep))
SEED = st.integers(0, 2**32)


class Spool(RuleBasedStateMachine):
    """One process at a time; it lives until it crashes."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.lane = Lane(self.root, "n", "transactions")
        self.disk = SimDisk(self.root)
        self.tails: list[tuple[int, Tail]] = []
        self.files = 0
        self.given: list[bytes] = []
        self.acknowledged: set[bytes] = set()
        self.excused: set[bytes] = set()
        """Records of frames that somebody spoiled: they may be lost, and then it is declared."""
        self.digests: dict[int, str] = {}

    def teardown(self) -> None:
        self.disk.settle(Keep.EVERYTHING, Random(0))
        shutil.rmtree(self.root)

    @initialize()
    def begin(self) -> None:
        new_lane(self.root, self.disk)

    def _made(self, file: int, count: int) -> list[bytes]:
        """Records that say which file they are written to, and when."""
        begin = len(self.given)
        made = [b'{"id":"%04d-%06d"}' % (file, begin + n) for n in range(count)]
        self.given += made
        return made

    @precondition(lambda self: len(self.tails) < 3)
    @rule(count=st.integers(1, 3))
    def open_another_file(self, count: int) -> None:
        self.files += 1
        made = self._made(self.files, count)
        self.tails.append((self.files, open_tail(self.lane, [made], self.disk)))
        self.acknowledged |= set(made)

    @precondition(lambda self: self.tails)
    @rule(data=st.data(), count=st.integers(1, 3))
    def append_a_group(self, data: st.DataObject, count: int) -> None:
        file, tail = data.draw(st.sampled_from(self.tails))
        made = self._made(file, count)
        tail.commit([unit(made)], count)
        self.acknowledged |= set(made)

    @precondition(lambda self: self.tails)
    @rule(data=st.data())
    def seal_a_file(self, data: st.DataObject) -> None:
        chosen = data.draw(st.sampled_from(self.tails))
        self.tails.remove(chosen)
        sealer(self.lane, self.disk).seal(chosen[1].filled(), "size")

    @precondition(lambda self: self.tails)
    @rule()
    def close_a_file_unsealed(self) -> None:
        _, tail = self.tails.pop(0)
        self.disk.close(tail.fd)

    @rule()
    def heartbeat(self) -> None:
        sealer(self.lane, self.disk).heartbeat()

    @rule()
    def recover_what_nobody_writes(self) -> None:
        recover(self.lane, self.disk)
        assert len(open_files(self.lane)) == len(self.tails)
        again = self._seen()
        assert recover(self.lane, self.disk) == []
        assert self._seen() == again

    @rule()
    def lose_the_head(self) -> None:
        self.lane.head.unlink(missing_ok=True)
        self._go_on_after(Keep.EVERYTHING, 0)

    @rule(data=st.data())
    def spoil_a_sealed_segment_and_rescue_it(self, data: st.DataObject) -> None:
        head = read_head(self.lane)
        sealed = [seq for seq in self.lane.sealed_numbers() if head and seq <= head.seq]
        if not sealed:
            return
        seq = data.draw(st.sampled_from(sealed))
        path = self.lane.segment(seq)
        with Segment.open(path) as segment:
            raws = [raw for raw, _ in segment.raw_frames(FrameDecoder())]
            stored_frames = list(segment.stored_frames())
        stored = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, len(stored) - 1))
        stored[at] ^= 1 << data.draw(st.integers(0, 7))
        for frame, raw in zip(stored_frames, raws, strict=True):
            if frame.offset <= at < frame.end:
                self.excused |= set(raw.splitlines())
        path.write_bytes(stored)
        (done,) = rescue_bad(self.lane, self.disk)
        assert done.kept is not None
        assert done.kept.read_bytes() == stored
        assert seq in self._declared_lost()
        # This spool was spoiled behind the simulated disk's back.
        self._go_on_after(Keep.EVERYTHING, 0)

    @rule(keep=KEEP, seed=SEED)
    def crash(self, keep: Keep, seed: int) -> None:
        self._go_on_after(keep, seed)

    @rule(keep=KEEP, seed=SEED, after=st.integers(0, 25), count=st.integers(1, 3))
    def crash_in_the_middle_of_work(self, keep: Keep, seed: int, after: int, count: int) -> None:
        self.disk.crash_after(after)
        with suppress(Crash):
            self.open_another_file(count)
            self.seal_a_file_quietly()
            self.heartbeat()
        self._go_on_after(keep, seed)

    def seal_a_file_quietly(self) -> None:
        _, tail = self.tails.pop(0)
        sealer(self.lane, self.disk).seal(tail.filled(), "age")

    def _go_on_after(self, keep: Keep, seed: int) -> None:
        """The power is cut; the next process begins, crashes while it recovers, and the next."""
        random = Random(seed)
        self.disk.settle(keep, random)
        self.tails = []
        for _ in range(random.randrange(3)):
            self.disk = SimDisk(self.root, crash_at=random.randrange(40))
            with suppress(Crash):
                recover(self.lane, self.disk)
            self.disk.settle(random.choice(list(Keep)), random)
        self.disk = SimDisk(self.root)
        recover(self.lane, self.disk)

    def _seen(self) -> list[tuple[int, list[bytes]]]:
        return [(said.seq, held) for said, held in statements(self.lane, KEY)]

    def _declared_lost(self) -> set[int]:
        losses = [said.lost for said, _ in statements(self.lane, KEY) if said.lost is not None]
        return {int(lost.ranges) for lost in losses}

    def _files_of(self, held: list[bytes]) -> Iterator[list[bytes]]:
        for file in {line[:11] for line in held}:
            yield [line for line in held if line.startswith(file)]

    @invariant()
    def what_was_acknowledged_is_there_or_excused(self) -> None:
        sealed = {line for _, held in self._seen() for line in held}
        waiting = {line for path in open_files(self.lane) for line in _lines_of(path)}
        assert self.acknowledged <= sealed | waiting | self.excused
        assert sealed | waiting <= set(self.given)

    @invariant()
    def the_records_of_a_file_keep_their_order(self) -> None:
        for _, held in self._seen():
            for mine in self._files_of(held):
                assert mine == sorted(set(mine))

    @invariant()
    def no_number_ever_holds_anything_else(self) -> None:
        head = read_head(self.lane)
        for seq in self.lane.sealed_numbers():
            if head is None or seq > head.seq:
                continue
            with Segment.open(self.lane.segment(seq)) as segment:
                assert self.digests.setdefault(seq, segment.digest) == segment.digest


def _lines_of(path: Path) -> list[bytes]:
    """What lies in an open file, read as ``zstd -dc`` does."""
    data, decoder, found = path.read_bytes(), FrameDecoder(), b""
    with suppress(VerificationError):
        for frame in frames(lambda at, size: data[at : at + size], len(data)):
            found += decoder.decode(frame).raw
    return found.splitlines()


Spool.TestCase.settings = settings(max_examples=30, stateful_step_count=15)
TestSpool = Spool.TestCase
