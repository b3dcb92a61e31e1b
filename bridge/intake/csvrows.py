"""CSV bytes become rows of cells: strictly, and with as much memory as one row may take.

One line is read at a time, never more of it than a row may still have, so neither a cell without an
end nor a line without one fills the memory. Whatever the bytes are, the answer is rows or a
:class:`RecordError`.
"""

import csv
from collections.abc import Callable, Iterator
from typing import NamedTuple

from spool.errors import RecordError

ROW_MAX = 8 * 1024 * 1024
"""Bytes of a row with its line breaks; the record that it becomes must fit in a line of the spool."""
_MARK = b"\xef\xbb\xbf"
"""What spreadsheets put before UTF-8."""

ReadLine = Callable[[int], bytes]
"""Reads up to a line feed or as many bytes as it is told, as ``readline`` of a binary file."""


class Cells(NamedTuple):
    """A row, and the number of the line that it begins on; the first line is 1."""

    line: int
    cells: list[str]


def csv_rows(readline: ReadLine) -> Iterator[Cells]:
    """The rows that are not empty lines. Raises :class:`RecordError` ``backfill.csv``."""
    csv.field_size_limit(ROW_MAX)
    source = _Lines(readline)
    reader = csv.reader(source, strict=True)
    while True:
        line = source.begin_row()
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise _no_csv(line, str(error)) from None
        if cells is None:
            return
        if cells:
            yield Cells(line, cells)


class _Lines(Iterator[str]):
    """Lines as text, each with its line end, as long as the row has bytes left."""

    def __init__(self, readline: ReadLine) -> None:
        self._readline = readline
        self._line = 0
        self._begun = 1
        self._left = ROW_MAX

    def begin_row(self) -> int:
        """A row begins; the number of its line."""
        self._left = ROW_MAX
        self._begun = self._line + 1
        return self._begun

    def __next__(self) -> str:
        data = self._readline(self._left + 1)
        if not data:
            raise StopIteration
        self._line += 1
        self._left -= len(data)
        if self._left < 0:
            raise _no_csv(self._begun, f"a row has more than {ROW_MAX} bytes")
        if self._line == 1:
            data = data.removeprefix(_MARK)
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise _no_csv(self._line, "not UTF-8") from None


def _no_csv(line: int, why: str) -> RecordError:
    return RecordError(
        "backfill.csv",
        f"Line {line} is no CSV: {why}.",
        "Export again, with `psql --csv`, and carry the file unchanged.",
    )
