"""Group commit: whoever appends adds to the group that waits, and one thread commits it for all.

Callers that come while a sync is running share the next one. A caller that finds nobody committing may
do it by itself, which saves two thread switches.
"""

import asyncio
import threading
from collections.abc import Sequence

from spool.currentfile import CurrentFile
from spool.durable import explained
from spool.errors import SpoolError
from spool.frames import FrameEncoder
from spool.gathering import Waiter
from spool.group import Group, Unit, frames_of


class Committer:
    """Commits to ``file``, in a thread that begins when it is first needed. Thread-safe.

    ``closed``: it takes nothing.
    """

    def __init__(self, file: CurrentFile, *, closed: bool) -> None:
        self._file = file
        self._closed = closed
        self._group = Group()
        self._committing: Group | None = None
        # Held for moments: what is appended goes into the group of the next commit.
        self._queue_lock = threading.Lock()
        self._work = threading.Condition(self._queue_lock)
        # Held while a group is committed or the file is changed for the next.
        self._commit_lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._encoder = FrameEncoder()

    def add(self, units: Sequence[Unit], records: int, *, inline: bool) -> Group:
        """The group that ``units`` are in now, of so many records, one at least.

        With ``inline`` the caller commits by itself if nobody else is at it. Raises
        :class:`SpoolError` ``writer.closed``.
        """
        with self._queue_lock:
            group = self._enqueue(units, records)
            if not inline or self._commit_lock.locked():
                self._wake()
                return group
        # Free a moment ago: whoever has it now takes the group, or lets go of it soon.
        with self._commit_lock:
            self._commit_waiting()
        return group

    def add_for(
        self,
        loop: asyncio.AbstractEventLoop,
        units: Sequence[Unit],
        records: int,
        waiters: Sequence[Waiter],
    ) -> None:
        """Add for coroutines of ``loop``, which are told there. Raises as :meth:`add` does."""
        with self._queue_lock:
            group = self._enqueue(units, records)
            group.add_waiters(loop, waiters)
            self._wake()

    @property
    def waiting(self) -> int:
        """Raw bytes of lines that were added and are not known to be durable yet."""
        committing = self._committing
        size = self._group.raw_size
        return size if committing is None or committing.settled else size + committing.raw_size

    def roll_if_older(self, reason: str, age_ms: int) -> bool:
        """As :meth:`CurrentFile.roll_if_older`, between two commits."""
        with self._commit_lock:
            return self._file.roll_if_older(reason, age_ms)

    def refuse(self) -> None:
        """Take nothing from now on."""
        with self._queue_lock:
            self._closed = True
            self._work.notify_all()

    def finish(self) -> None:
        """After :meth:`refuse`: commit what waits, and roll the file in use (``shutdown``)."""
        if self._thread is not None:
            self._thread.join()
        with self._commit_lock:
            self._commit_waiting()
            self._file.roll("shutdown")

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
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="committer")
            self._thread.daemon = True
            try:
                self._thread.start()
            except RuntimeError:  # no room for one more: the next caller tries again
                self._thread = None
                raise
        self._work.notify()

    def _run(self) -> None:
        try:
            self._commit_all()
        except BaseException:
            # What ended it, as a want of memory, was not of those who wait: another takes its place.
            with self._queue_lock:
                self._thread = None
                if self._group.records:
                    self._wake()
            raise

    def _commit_all(self) -> None:
        while True:
            with self._queue_lock:
                while not self._group.records and not self._closed:
                    self._work.wait()
                if not self._group.records:
                    return
            with self._commit_lock:
                self._commit_waiting()
                self._file.lay_ahead()

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
            self._file.write(frames_of(group.units, self._encoder), group.records)
        except OSError as error:
            group.settle(explained(error, "append records"))
        except Exception as error:  # noqa: BLE001 - told to the callers; the committer goes on
            group.settle(error)
        else:
            group.settle(None)


def _interrupted() -> SpoolError:
    return SpoolError(
        "writer.interrupted",
        "The process was told to stop while records were being written.",
        "Append them again; some of them may be there already.",
    )
