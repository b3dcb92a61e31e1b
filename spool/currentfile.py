"""The file that a writer fills, and what follows it.

A write or sync that failed ends its file for good: what was to be written goes to a new file before
anybody is told, and the old file counts up to its last acknowledged byte. What is complete, the keeper
seals; the next commit begins a new file first, so sealing holds up no append.
"""

from spool.clock import MS, Clock
from spool.durable import Disk
from spool.group import PART_MAX, Framed, parts_of
from spool.keeper import Complete, Keeper
from spool.lane import Lane
from spool.tail import Tail


class CurrentFile:
    """Takes frames, one thread at a time, and begins a file where none is in use.

    A file is rolled at ``seal_size`` raw bytes.
    """

    def __init__(
        self, disk: Disk, lane: Lane, clock: Clock, seal_size: int, keeper: Keeper
    ) -> None:
        self._disk = disk
        self._lane = lane
        self._clock = clock
        self._seal_size = seal_size
        self._keeper = keeper
        self._tail: Tail | None = None

    def write(self, frames: list[Framed], records: int) -> None:
        """Append ``frames``, which hold so many records; they are durable on return.

        Raises :class:`OSError`; nothing of what was acknowledged is harmed by that.
        """
        for part, count in parts_of(frames, records, PART_MAX):
            self._write_part(part, count)

    def _write_part(self, frames: list[Framed], records: int) -> None:
        try:
            self._write_once(frames, records)
        except OSError:
            # The group goes to a new file, and only then is anybody told.
            self._write_once(frames, records)
        tail = self._tail
        if tail is not None and tail.raw_size >= self._seal_size:
            self.roll("size")

    def _write_once(self, frames: list[Framed], records: int) -> None:
        if self._tail is None:
            asked = self._keeper.request()  # who asks from here on may mean the file that comes
            self._tail = Tail.begin(self._disk, self._lane, self._clock)
            try:
                self._keeper.start(asked)
            except BaseException:
                self._give_up_tail()  # nobody would look after it
                raise
        try:
            self._tail.commit(frames, records)
        except BaseException:
            # The descriptor is finished: a second sync of it would say "done" of bytes that are
            # gone, and nobody knows how much of a write that was interrupted is in the file.
            self._give_up_tail()
            raise

    def _give_up_tail(self) -> None:
        tail = self._tail
        if tail is None:
            return
        if tail.size:
            self._hand_over_tail((tail, "recovered", True))
        else:
            self._tail = None
            tail.remove()

    def roll(self, reason: str) -> None:
        """Hand the file in use to the keeper; the next append begins a new one first."""
        if self._tail is not None:
            try:
                self._tail.settle()
            except BaseException:
                self._give_up_tail()  # nobody knows how much of it was hashed
                raise
            self._hand_over_tail((self._tail, reason, False))

    def _hand_over_tail(self, complete: Complete) -> None:
        waiting = self._keeper.complete
        # No call between: an interrupt would leave the file to nobody, or to two.
        waiting += [complete]
        self._tail = None
        self._keeper.wake()

    def roll_if_older(self, reason: str, age_ms: int) -> bool:
        """Roll a file that was begun so long ago; whether a file is in use then."""
        tail = self._tail
        if tail is not None and (self._clock.monotonic() - tail.begun) * MS >= age_ms:
            self.roll(reason)
        return self._tail is not None

    def lay_ahead(self) -> None:
        """While nobody waits, make the next commits shorter. Never raises: it is for later."""
        if self._tail is not None:
            try:
                self._tail.lay_ahead()
            except Exception:  # noqa: BLE001 - nobody waits for it who could be told
                # What was acknowledged is in it; what comes goes to a new file.
                self._give_up_tail()
