"""The chain of a lane: which number comes next, and what it follows.

Numbers have no holes within a chain and none is used twice in a lane. The only step that a crash can
leave half done is a segment that was renamed to its place before the head moved: it verifies, links
to the head, and is taken over. Anything else that lies in the place of the next number is set aside
unread. Where the head was lost, or the spool is a copy, a new chain begins at the next million above
every number known, and its first statement says what it follows. So it does where a part of the spool
was set back, and the ledger knows of more than the head.
"""

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from keys.ed25519 import SigningKey
from keys.errors import VerificationError
from spool import locks
from spool.clock import Clock
from spool.durable import Disk, make_folders
from spool.errors import SpoolError
from spool.frontier import read_frontier
from spool.head import Head, is_at_home, read_head, write_head
from spool.lane import SEQ_MAX, Lane
from spool.ledger_known import highest_known
from spool.quarantine import set_aside
from spool.segment import Segment
from spool.statement import NO_CHAIN, NO_DIGEST, Follows
from spool.totals import NOTHING, Totals

NEW_CHAIN_STEP = 1_000_000
"""A new chain begins at the next multiple of it: far above what a lost head can have counted."""

LOCK_WAIT_S = 10.0
"""Seconds to wait for another process that seals: one that was stopped in the midst of it has the lock
for ever, and whoever waits for that stands still without a word."""
_LOCK_PAUSE_S = 0.005
"""Seconds between two tries; a sealing takes as long."""


@dataclass(frozen=True, slots=True)
class Next:
    """Where the next segment of a lane goes: what its statement says of what came before."""

    chain: str
    first: int
    seq: int
    prev: str
    before: Totals
    follows: Follows | None


@contextmanager
def chain_lock(lane: Lane, wait_s: float = LOCK_WAIT_S) -> Iterator[None]:
    """Hold the lane's chain lock; waits for who has it, which is milliseconds.

    Raises :class:`SpoolError` ``lane.locked`` where it is not had within ``wait_s`` seconds.
    """
    end = time.monotonic() + wait_s
    while (fd := locks.take(lane.chain_lock, wait=False)) is None:
        if time.monotonic() > end:
            raise SpoolError(
                "lane.locked",
                f"Another process has been sealing in {lane.node}/{lane.stream} for over "
                f"{wait_s:.0f} s.",
                "Look for a stopped or hanging process that uses this spool, and end it.",
            )
        time.sleep(_LOCK_PAUSE_S)
    try:
        yield
    finally:
        locks.let_go(fd)


class Chain:
    """The chain of one lane, for whoever holds its lock."""

    def __init__(self, disk: Disk, lane: Lane, signer: SigningKey, clock: Clock) -> None:
        self._disk = disk
        self._lane = lane
        self._signer = signer
        self._clock = clock
        self.known = 0
        """The highest number that was given out, as far as told: a head below it was set back."""
        self._asked_ledger = False

    def learn(self) -> None:
        """Ask the ledger, once, which numbers were given out; not to be done under the lock."""
        if not self._asked_ledger and (found := highest_known(self._lane)) is not None:
            self.known = max(self.known, found)
            self._asked_ledger = True

    def next(self, *, forked: bool = False) -> Next:
        """Finish what a crash left half done, and say where the next segment goes.

        Its place is free then; where somebody else goes on with this chain (``forked``), it is
        the first of a new one. Raises :class:`OSError`.
        """
        found = self._follow(self.finish(), forked=forked)
        if os.path.lexists(place := self._lane.segment(found.seq)):
            set_aside(
                self._disk, self._lane, place, "it lies in the next number's place", self._clock
            )
        return found

    def finish(self) -> Head | None:
        """Finish what a crash left half done; the head then. Raises :class:`OSError`."""
        head = read_head(self._lane)
        # More than one where the disk failed to keep a head, and a crash came later.
        while head is not None and (moved := self._take_over(head)) is not None:
            head = moved
        if head is None and os.path.lexists(self._lane.head):
            set_aside(self._disk, self._lane, self._lane.head, "it is no head", self._clock)
        return head

    def advance(self, upto: Head) -> None:
        """Make ``upto`` the head."""
        write_head(self._disk, self._lane, upto)
        self.known = max(self.known, upto.seq)

    def _take_over(self, head: Head) -> Head | None:
        """The head, moved on over a segment that was renamed to its place before a crash, if any."""
        path = self._lane.segment(head.seq + 1)
        try:
            with Segment.open(path) as segment:
                segment.check_place(self._lane.node, self._lane.stream, head.seq + 1)
                segment.check_digest()
                segment.check_signature(self._signer.own_keys)
                said, digest = segment.statement, segment.digest
        except (FileNotFoundError, NotADirectoryError, VerificationError):
            return None
        if (said.chain, said.prev, said.before) != (head.chain, head.digest, head.after):
            return None
        fd = self._disk.open_write(path)
        try:
            self._disk.sync(fd)
        finally:
            self._disk.close(fd)
        self._disk.sync_dir(path.parent)
        self._disk.sync_dir(path.parent.parent)
        self._disk.sync_dir(self._lane.open)
        moved = Head(head.chain, head.first, said.seq, digest, said.after, head.folder)
        write_head(self._disk, self._lane, moved)
        return moved

    def _follow(self, head: Head | None, *, forked: bool) -> Next:
        ours = head is not None and self.counts(head)
        if head is not None and ours and not forked:
            return Next(head.chain, head.first, head.seq + 1, head.digest, head.after, None)
        highest = max(self._numbers_known(), default=0)
        if head is None and not highest:
            return Next(secrets.token_hex(16), 1, 1, NO_DIGEST, NOTHING, None)
        if head is not None and ours:
            follows = Follows(head.chain, head.seq, head.digest, "fork")
        else:
            follows = self._last_known(head, highest)
        highest = max(highest, follows.seq)
        first = (highest // NEW_CHAIN_STEP + 1) * NEW_CHAIN_STEP
        if first > SEQ_MAX:
            raise AssertionError(first)
        return Next(secrets.token_hex(16), first, first, NO_DIGEST, NOTHING, follows)

    def counts(self, head: Head) -> bool:
        """Whether the chain goes on from ``head``: it is of this folder, and was not set back."""
        return head.seq >= self.known and is_at_home(head, self._lane)

    def _numbers_known(self) -> Iterator[int]:
        yield self.known
        yield from self._lane.sealed_numbers()
        yield from self._lane.fork_numbers()
        for chain in read_frontier(self._lane).chains:
            yield from (numbers.last for numbers in chain.ranges)

    def _last_known(self, head: Head | None, highest: int) -> Follows:
        """What a chain follows whose head was lost, or counts for another folder.

        A crash can have left beginnings of such a chain above the head: what was sealed there was
        acknowledged, so the highest of them is followed. Where the highest number known cannot be
        read (nor its digest told), its chain is named by the frontier, or else by the nearest below
        that can be read.
        """
        delivered = {
            r.last: chain.chain for chain in read_frontier(self._lane).chains for r in chain.ranges
        }
        for seq in sorted(self._lane.sealed_numbers(), reverse=True):
            if head is not None and seq <= head.seq:
                break
            try:
                with Segment.open(self._lane.segment(seq)) as segment:
                    segment.check_place(self._lane.node, self._lane.stream, seq)
                    segment.check_signature(self._signer.own_keys)
                    chain, digest = segment.statement.chain, segment.digest
            except (OSError, VerificationError):
                continue
            if head is not None:
                return Follows(chain, seq, digest, "moved")
            if seq == highest:
                return Follows(chain, seq, digest, "head_lost")
            return Follows(delivered.get(highest, chain), highest, NO_DIGEST, "head_lost")
        if head is not None:
            return Follows(head.chain, head.seq, head.digest, "moved")
        return Follows(delivered.get(highest, NO_CHAIN), highest, NO_DIGEST, "head_lost")


def begin_lane(disk: Disk, lane: Lane) -> None:
    """Make the lane's folders, durable in their parents. Raises :class:`OSError`."""
    for folder in (lane.open, lane.sealed):
        make_folders(disk, lane.spool, folder)
