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
from pathlib import Path
from types import TracebackType
from typing import Self

from keys.ed25519 import SigningKey
from spool.beside import Compressor
from spool.chain import begin_lane
from spool.clock import SYSTEM_CLOCK, Clock
from spool.committing import Committer
from spool.currentfile import CurrentFile
from spool.durable import OS_DISK, Disk, explained
from spool.errors import SpoolError
from spool.frames import MIB, FrameEncoder
from spool.gathering import Gathering, Made, Make, Waiter, made_by
from spool.group import (
    LARGE,
    Ticket,
    Unit,
    joined,
    pieces_of,
    units_of,
)
from spool.judging import as_bytes, judged, judged_apart
from spool.judgingbeside import BESIDE, judged_beside
from spool.keeper import Keeper
from spool.lane import Lane, check_node
from spool.owner import check_lane_owner
from spool.secrets import NO_SECRETS, SecretGuard
from spool.streams import stream_named

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
    :class:`SpoolError` ``disk.*`` where the spool cannot be written, ``spool.owner`` where it is
    another user's.
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
            check_lane_owner(self.lane)
            begin_lane(disk, self.lane)
        except OSError as error:
            raise explained(error, "make the folders of the spool") from error
        self._begin()
        _writers.add(self)

    def _begin(self) -> None:
        """What each process needs of its own: locks, threads, a file."""
        self._to_judge: Gathering[Sequence[bytes]] | None = None
        self._to_make: Gathering[Make] | None = None
        self._closing = threading.Lock()
        self._finished = False
        self._compressor = Compressor()
        self._caller = threading.local()
        self._keeper = Keeper(
            self.lane, self._signer, self._seal_age_ms, self._disk, self._clock, self._roll_if_older
        )
        file = CurrentFile(self._disk, self.lane, self._clock, self._seal_size, self._keeper)
        self._committer = Committer(file, closed=self._closed)

    def _roll_if_older(self, reason: str, age_ms: int) -> bool:
        return self._committer.roll_if_older(reason, age_ms)

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
        some = as_bytes(records)
        if sum(map(len, some)) < LARGE:
            loop = asyncio.get_running_loop()
            gathering = self._to_judge
            if gathering is None or gathering.loop is not loop:
                gathering = self._to_judge = Gathering(loop, self._judge_apart, self._hand_over)
            return await gathering.add(some)
        return await asyncio.get_running_loop().run_in_executor(None, self.append, some)

    def submit(self, records: Iterable[bytes], *, inline: bool = False) -> Ticket:
        """Judge and append ``records``; any number of tickets may be waited for later.

        Raises :class:`RecordError` as :meth:`append` does. ``inline`` as for :meth:`submit_lines`.
        """
        some = as_bytes(records)
        size = sum(map(len, some))
        if size < BESIDE:
            return self.submit_lines(self.judge(some), inline=inline)
        units: list[Unit] = []
        count = 0
        for piece in pieces_of(some, size):
            made, lines = judged_beside(piece, self.judge, self._compressor, self._encoder())
            units += made
            count += lines
        return self._submit_units(units, count, inline=inline)

    def judge(self, records: Iterable[bytes]) -> list[bytes]:
        """The lines that ``records`` become, or :class:`RecordError`; nothing is stored.

        An OTLP record that holds a guarded value is refused, with all that came with it: a caller
        that is not told would not know that it was left out.
        """
        some = records if isinstance(records, list | tuple) else list(records)
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
        gathering = self._to_make
        if gathering is None or gathering.loop is not loop:
            gathering = self._to_make = Gathering(loop, made_by, self._hand_over)
        return gathering.add(make)

    def _judge_apart(self, calls: Sequence[Sequence[bytes]]) -> list[Made]:
        return judged_apart(self.stream, calls, self._guard)

    def _hand_over(
        self, loop: asyncio.AbstractEventLoop, lines: list[bytes], waiters: list[Waiter]
    ) -> None:
        self._committer.add_for(loop, joined(lines), len(lines), waiters)

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
        return Ticket(self._committer.add(units, records, inline=inline), records)

    def close(self) -> None:
        """Commit what waits, seal the file in use (``shutdown``), stop.

        Twice is once; one that was interrupted is finished by the next. Raises :class:`SpoolError` if
        it could not be sealed; what was acknowledged is durable then too, and the next recovery seals
        it.
        """
        self._closed = True
        self._committer.refuse()
        with self._closing:
            if self._finished:
                return
            self._committer.finish()
            self._compressor.stop()
            try:
                self._keeper.finish()
            except SpoolError:
                self._finished = True
                raise
            self._finished = True

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
        return self._committer.waiting

    def _encoder(self) -> FrameEncoder:
        """The calling thread's own encoder."""
        try:
            encoder: FrameEncoder = self._caller.encoder
        except AttributeError:
            encoder = self._caller.encoder = FrameEncoder()
        return encoder


def _after_fork() -> None:
    for writer in list(_writers):
        # The parent's file, locks and threads are the parent's.
        writer._begin()  # noqa: SLF001 - the same module


os.register_at_fork(after_in_child=_after_fork)
