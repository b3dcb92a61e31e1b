"""The file that ``backfill`` reads, twice, and whether it stayed the same."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from keys.errors import shown
from spool.errors import RecordError

_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


@contextmanager
def opened_csv(file: Path, read: Callable[[int], None]) -> Iterator["CsvFile"]:
    """A regular file; links are followed, nothing else is opened or waited for.

    ``read`` is told how many bytes were read. Raises :class:`RecordError` ``backfill.file``.
    """
    try:
        # Looked at before it is opened: opening a device can have effects of its own.
        regular = stat.S_ISREG(file.stat().st_mode)
        fd = os.open(file, _FLAGS) if regular else -1
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or "no such name"
        raise _unreadable(file, why) from error
    if not regular:
        raise _unreadable(file, "it is no regular file")
    with open(fd, "rb") as opened:  # noqa: PTH123 - a descriptor, not a path
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise _unreadable(file, "it is no regular file")
        yield CsvFile(opened, read)


class CsvFile:
    """Lines of an open file."""

    def __init__(self, file: BufferedReader, read: Callable[[int], None]) -> None:
        self._file = file
        self._read = read
        self._before = self._state()

    def readline(self, size: int) -> bytes:
        """Up to a line feed or ``size`` bytes. Raises :class:`RecordError` ``backfill.file``."""
        try:
            line = self._file.readline(size)
        except OSError as error:
            raise RecordError(
                "backfill.file",
                f"The file cannot be read: {error.strerror}.",
                "Copy it to another disk, and run this again.",
            ) from error
        self._read(len(line))
        return line

    def rewind(self) -> None:
        """Begin anew."""
        self._file.seek(0)

    @property
    def changed(self) -> bool:
        """Whether somebody wrote to the file since it was opened."""
        return self._state() != self._before

    def _state(self) -> tuple[int, int]:
        status = os.fstat(self._file.fileno())
        return status.st_size, status.st_mtime_ns


def _unreadable(file: Path, why: str) -> RecordError:
    return RecordError(
        "backfill.file",
        f"{shown(str(file))} cannot be read: {why}.",
        "Name a CSV file that this user may read.",
    )
