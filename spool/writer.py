"""The public way in: records become durable, in groups, by any number of threads and processes.

:meth:`Writer.append` returns when its records are on disk, bytes and name; until then nothing is
acknowledged. Callers that come while a sync is running share the next one. A write or sync that
failed ends its file for good: the group goes to a new file before anybody is told, and the old file
counts up to its last acknowledged byte. Sealing holds up no append.
"""

import asyncio
import os
import threading
import weakref
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from keys.ed25519 import SigningKey
from spool.beside import Compressor
from spool.chain import begin_lane
from spool.clock import MS, SYSTEM_CLOCK, Clock
from spool.durable import OS_DISK, Disk, explained
from spool.errors import SpoolError
from spool.frames import MIB, FrameEncoder
from spool.gathering import Gathering, Make, Waiter
from spool.group import (
    LARGE,
    PART_MAX,
    Framed,
    Group,
    Ticket,
    Unit,
    frames_of,
    joined,
    parts_of,
    pieces_of,
    raw_of,
    units_of,
)
from spool.judging import judged
from spool.keeper import Complete, Keeper
from spool.lane import Lane, check_node
from spool.secrets import NO_SECRETS, SecretGuard
from spool.streams import stream_named
from spool.tail import Tail

SEAL_SIZE = 32 * MIB
"""Raw bytes at which a file is sealed unless told otherwise."""

_writers: "weakref.WeakSet[Writer]" = weakref.WeakSet()


class Writer:
    """Appends records of one stream to a spool.

    Thread-safe, a context manager, usable after a ``fork`` (the child begins a file of its own).
    Without ``signer`` its files are closed unsealed, for the daemon or ``export`` to seal.
    ``seal_size`` is in raw bytes; ``seal_age_ms`` None means: soon while data leaves, else late.
    ``guard`` knows values that no record may hold.

    Raises :class:`RecordError` ``stream.unknown``, :class:`ConfigError` ``node.name``, or
    :class:`SpoolError` ``disk.*`` where the spool cannot be written.
    """

    def __init__(  # noqa: PLR0913 - the defaults are right for nearly everybody
        self,
        spool: Path | str,
        stream: str,
        *,
        node: str,
        signer: SigningKey | None = None,
        seal_size: int = SEAL_SIZE,
        seal_age_ms: int | None = None,
        guard: SecretGuard = NO_SECRETS,
        disk: Disk = OS_DISK,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.stream = stream_named(stream)
        self.lane = Lane(Path(spool).absolute(), check_node(node), self.stream.name)
        self._signer = signer
        self._guard = guard
        self._seal_size = seal_size
        self._seal_age_ms = seal_age_ms
        self._disk = disk
        self._clock = clock
        self._closed = False
        try:
            begin_lane(disk, self.lane)
        except OSError as error:
            raise explained(error, "make the folders of the spool") from error
        self._begin()
        _writers.add(self)

    def _begin(self) -> None:
        """What each process needs of its own: locks, threads, a file."""
        self._tail: Tail | None = None
        self._group = Group()
        self._committing: Group | None = None
        self._gathering: Gathering | None = None
        # Held for moments: what is appended goes into the group of the next commit.
        self._queue_lock = threading.Lock()
        self._work = threading.Condition(self._queue_lock)
        # Held while a group is committed or the file is changed for the next.
        self._commit_lock = threading.Lock()
        self._closing = threading.Lock()
        self._finished = False
        self._committer: threading.Thread | None = None
        self._commit_encoder = FrameEncoder()
        self._compressor = Compressor()
        self._caller = threading.local()
        self._keeper = Keeper(
            self.lane, self._signer, self._seal_age_ms, self._disk, self._clock, self._roll_if_older
        )

    def append(self, records: Iterable[bytes]) -> int:
        """Judge and append ``records``, each one JSON object; how many lines, when they are durable.

        Raises :class:`RecordError` if one of them cannot be taken (none is stored then), or
        :class:`SpoolError` if they cannot be made durable (some may be; none is acknowledged).
        """
        ticket = self.submit(records, inline=True)
        ticket.wait()
        return ticket.lines

    async def append_async(self, records: Iterable[bytes]) -> int:
        """:meth:`append` for coroutines; the loop goes on while the disk syncs."""
        some = records if type(records) is list else list(records)
        if sum(map(len, some)) < LARGE:
            return await self.submit_made_async(partial(self.judge, some))
        return await asyncio.get_running_loop().run_in_executor(None, self.append, some)

    def submit(self, records: Iterable[bytes], *, inline: bool = False) -> Ticket:
        """Judge and append ``records``; any number of tickets may be waited for later.

        Raises :class:`RecordError` as :meth:`append` does. ``inline`` as for :meth:`submit_lines`.
        """
        some = records if isinstance(records, Sequence) else list(records)
        if sum(map(len, some)) < LARGE:
            return self.submit_lines(self.judge(some), inline=inline)
        units: list[Unit] = []
        count = 0
        for piece in pieces_of(some):
            beside = self._compressor.begin(raw_of(piece))
            lines = self.judge(piece)
            count += len(lines)
            if lines == list(piece):
                units.append(beside)
            elif lines:
                units += units_of(lines, self._encoder())
        return self._submit_units(units, count, inline=inline)

    def judge(self, records: Iterable[bytes]) -> list[bytes]:
        """The lines that ``records`` become, or :class:`RecordError`; nothing is stored.

        An OTLP record that holds a guarded value is refused, with all that came with it: a caller
        that is not told would not know that it was left out.
        """
        some = records if isinstance(records, Sequence) else list(records)
        return judged(self.stream, some, self._guard)

    def submit_lines_async(self, lines: Sequence[bytes]) -> "asyncio.Future[int]":
        """Append lines that :meth:`judge` made; what to await until they are durable: how many.

        Who cancels it waits no longer; the lines become durable all the same, or not.
        """
        if sum(map(len, lines)) < LARGE:
            return self.submit_made_async(lambda: lines)

        def submit() -> int:
            self.submit_lines(lines, inline=True).wait()
            return len(lines)

        # Compressing them would hold up the loop.
        return asyncio.get_running_loop().run_in_executor(None, submit)

    def submit_made_async(self, make: Make) -> "asyncio.Future[int]":
        """Append the lines, judged already, that ``make`` gives when this turn of the loop ends.

        They are few: the loop waits while they are joined. What ``make`` raises is raised by what is
        returned; the rest as :meth:`submit_lines_async`.
        """
        loop = asyncio.get_running_loop()
        gathering = self._gathering
        if gathering is None or gathering.loop is not loop:
            gathering = self._gathering = Gathering(loop, self._hand_over)
        return gathering.add(make)

    def _hand_over(
        self, loop: asyncio.AbstractEventLoop, lines: list[bytes], waiters: list[Waiter]
    ) -> None:
        units = joined(lines)
        with self._queue_lock:
            group = self._enqueue(units, len(lines))
            group.add_waiters(loop, waiters)
            self._wake()

    def submit_lines(self, lines: Sequence[bytes], *, inline: bool = False) -> Ticket:
        """Append lines that :meth:`judge` made; any number of tickets may be waited for later.

        With ``inline`` the caller commits by itself if nobody else is at it, which saves two
        thread switches; it would wait anyhow.
        """
        if not lines:
            return Ticket(None, 0)
        return self._submit_units(units_of(lines, self._encoder()), len(lines), inline=inline)

    def _submit_units(self, units: Sequence[Unit], records: int, *, inline: bool) -> Ticket:
        if not records:
            return Ticket(None, 0)
        with self._queue_lock:
            group = self._enqueue(units, records)
            if not inline or self._commit_lock.locked():
                self._wake()
                return Ticket(group, records)
        # Free a moment ago: whoever has it now takes the group, or lets go of it soon.
        with self._commit_lock:
            self._commit_waiting()
        return Ticket(group, records)

    def close(self) -> None:
        """Commit what waits, seal the file in use (``shutdown``), stop.

        Twice is once; one that was interrupted is finished by the next. Raises :class:`SpoolError` if
        it could not be sealed; what was acknowledged is durable then too, and the next recovery seals
        it.
        """
        with self._queue_lock:
            self._closed = True
            self._work.notify_all()
        with self._closing:
            if self._finished:
                return
            if self._committer is not None:
                self._committer.join()
            with self._commit_lock:
                self._commit_waiting()
                self._roll("shutdown")
            self._finished = True
            self._compressor.stop()
            self._keeper.finish()

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    @property
    def problem(self) -> SpoolError | None:
        """What kept a complete file from being sealed, the last time that happened."""
        return self._keeper.problem

    @property
    def waiting(self) -> int:
        """Raw bytes of lines that were handed over and are not known to be durable yet."""
        committing = self._committing
        size = self._group.raw_size
        return size if committing is None or committing.settled else size + committing.raw_size

    def _encoder(self) -> FrameEncoder:
        """The calling thread's own encoder."""
        try:
            encoder: FrameEncoder = self._caller.encoder
        except AttributeError:
            encoder = self._caller.encoder = FrameEncoder()
        return encoder

    def _enqueue(self, units: Sequence[Unit], records: int) -> Group:
        """Add to the group of the next commit; the caller holds the queue lock."""
        if self._closed:
            raise SpoolError(
                "writer.closed", "This writer was closed.", "Open a new one for further records."
            )
        group = self._group
        size = sum(len(unit) if isinstance(unit, bytes) else unit.raw_size for unit in units)
        # No call between: an interrupt would leave lines that nobody has counted.
        group.units += units
        group.records += records
        group.raw_size += size
        return group

    def _wake(self) -> None:
        """Let the committer look at the group; the caller holds the queue lock."""
        if self._committer is None:
            self._committer = threading.Thread(target=self._commit_all, name="committer")
            self._committer.daemon = True
            self._committer.start()
        self._work.notify()

    def _commit_all(self) -> None:
        while True:
            with self._queue_lock:
                while not self._group.records and not self._closed:
                    self._work.wait()
                if not self._group.records:
                    return
            with self._commit_lock:
                self._commit_waiting()

    def _commit_waiting(self) -> None:
        """Commit the group that waits and tell its callers; the caller holds the commit lock.

        A signal may interrupt it after any call: Ctrl-C must leave nobody waiting. So what is taken
        is taken without a call between, and the end is repeated until it has come to its own.
        """
        taken: Group | None = None
        interrupt: BaseException | None = None
        fresh = Group()
        try:
            with self._queue_lock:
                if self._group.records:
                    taken, self._group = self._group, fresh
                    self._committing = taken
            if taken is not None:
                self._commit(taken)
        finally:
            while taken is not None and not taken.settled:
                try:
                    taken.settle(_interrupted())
                except BaseException as error:  # noqa: BLE001 - raised below
                    interrupt = error
            if interrupt is not None:
                raise interrupt

    def _commit(self, group: Group) -> None:
        """Commit ``group`` and tell its callers; the caller holds the commit lock."""
        try:
            self._write(frames_of(group.units, self._commit_encoder), group.records)
        except OSError as error:
            group.settle(explained(error, "append records"))
        except Exception as error:  # noqa: BLE001 - told to the callers; the committer goes on
            group.settle(error)
        else:
            group.settle(None)

    def _write(self, frames: list[Framed], records: int) -> None:
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
            self._roll("size")

    def _write_once(self, frames: list[Framed], records: int) -> None:
        if self._tail is None:
            asked = self._keeper.request()  # who asks from here on may mean the file that comes
            self._tail = Tail.begin(self._disk, self.lane, self._clock)
            self._keeper.start(asked)
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

    def _roll(self, reason: str) -> None:
        """Hand the file in use to the keeper; the next append begins a new one first."""
        if self._tail is not None:
            self._hand_over_tail((self._tail, reason, False))

    def _hand_over_tail(self, complete: Complete) -> None:
        waiting = self._keeper.complete
        # No call between: an interrupt would leave the file to nobody, or to two.
        waiting += [complete]
        self._tail = None
        self._keeper.wake()

    def _roll_if_older(self, reason: str, age_ms: int) -> bool:
        """Whether a file is in use when it is done."""
        with self._commit_lock:
            tail = self._tail
            if tail is not None and (self._clock.monotonic() - tail.begun) * MS >= age_ms:
                self._roll(reason)
            return self._tail is not None


def _interrupted() -> SpoolError:
    return SpoolError(
        "writer.interrupted",
        "The process was told to stop while records were being written.",
        "Append them again; some of them may be there already.",
    )


def _after_fork() -> None:
    for writer in list(_writers):
        # The parent's file, locks and threads are the parent's.
        writer._begin()  # noqa: SLF001 - the same module


os.register_at_fork(after_in_child=_after_fork)
