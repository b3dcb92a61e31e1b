"""What is appended: a file or stdin, read as it comes, until it ends or somebody says stop."""

import os
import select
import signal
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Self

import click

from bridge.cli.session import Session
from keys.errors import BridgeError, shown
from spool.errors import RecordError
from spool.frames import MIB
from spool.ndjson import GROUP_SIZE, Read

LARGE = 16 * MIB
"""Bytes of input from which a person wants to see progress."""
SHOW_EVERY_S = 0.5


class StoppedError(BridgeError):
    """The person at the keyboard, or the system, said stop."""

    exit_code = 128 + signal.SIGINT


@contextmanager
def opened(file: Path | None) -> Iterator[int]:
    """A descriptor of ``file``, or of stdin; raises :class:`RecordError` ``append.file``."""
    if file is None or str(file) == "-":
        yield sys.stdin.fileno()
        return
    try:
        fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        raise _unreadable(file, os.strerror(error.errno or 0)) from error
    try:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise _unreadable(file, "it is a folder")
        yield fd
    finally:
        os.close(fd)


def _unreadable(file: Path, why: str) -> RecordError:
    return RecordError(
        "append.file",
        f"{shown(str(file))} cannot be read: {why}.",
        "Name a file of NDJSON that this user may read, or give it on stdin.",
    )


class Interrupts:
    """A signal ends the waiting for input, and nothing else: what was begun is finished."""

    def __init__(self) -> None:
        self._asked = False
        self._reading = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        again, self._asked = self._asked, True
        if self._reading or again:
            raise KeyboardInterrupt

    def read(self, fd: int, size: int) -> bytes:
        """Some bytes; raises :class:`StoppedError` after a signal."""
        try:
            self._reading = True
            if self._asked:
                raise KeyboardInterrupt
            while True:
                with suppress(BlockingIOError):  # who gave it to us may have it so
                    return os.read(fd, size)
                select.select([fd], [], [])
        except KeyboardInterrupt:
            raise StoppedError("interrupted", "Told to stop.", "Append the rest again.") from None
        except OSError as error:
            why = os.strerror(error.errno or 0)
            raise RecordError(
                "append.input", f"The input cannot be read: {why}.", "Append the rest again."
            ) from error
        finally:
            self._reading = False


class Progress:
    """Says on a terminal how much was read, now and then, where it takes long."""

    def __init__(self, session: Session) -> None:
        self._wanted = session.verbosity >= 0 and not session.as_json and sys.stderr.isatty()
        self._size = 0
        self._next = time.monotonic()

    def add(self, size: int) -> None:
        """``size`` bytes more were read."""
        self._size += size
        now = time.monotonic()
        if self._wanted and self._size > LARGE and now >= self._next:
            self._next = now + SHOW_EVERY_S
            click.echo(f"\r{self._size // MIB} MiB read", nl=False, err=True)

    def end(self) -> None:
        """Nothing more comes."""
        if self._wanted and self._size > LARGE:
            click.echo("", err=True)


def reader(fd: int, interrupts: Interrupts, progress: Progress) -> Read:
    """Reads what is there, up to a group; waits only where there is nothing yet."""

    def read() -> bytes:
        pieces: list[bytes] = []
        size = 0
        while size < GROUP_SIZE:
            piece = interrupts.read(fd, GROUP_SIZE - size)
            if not piece:
                break
            pieces.append(piece)
            size += len(piece)
            if not select.select([fd], [], [], 0)[0]:
                break
        progress.add(size)
        if not size:
            progress.end()
        return b"".join(pieces)

    return read
