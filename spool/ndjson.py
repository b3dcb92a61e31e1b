"""NDJSON as it comes in: lines out of a stream, none of them longer than a record may be.

A line ends with a line feed; the last one may lack it, for an object that was cut short is no JSON
anyhow. Blank lines, carriage returns before the line feed and a byte order mark are refused: a file
that has them was not made for this, and what it counts as a record would be a guess.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from spool.errors import RecordError
from spool.frames import MIB
from spool.lines import LINE_MAX

GROUP_SIZE = MIB
"""Bytes after which lines are handed on; with one line that is longer, as long as that line."""
_BOM = b"\xef\xbb\xbf"

Read = Callable[[], bytes]
"""The next bytes, empty at the end."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Lines that stand one after the other, without line ends; ``first`` is the first one's number."""

    first: int
    lines: list[bytes]


class LineError(RecordError):
    """Line ``number`` cannot be taken; the lines before it can."""

    def __init__(self, number: int, cause: RecordError) -> None:
        super().__init__(cause.id, f"Line {number}: {cause.message}", cause.hint)
        self.number = number


def chunks(read: Read) -> Iterator[Chunk]:
    """The lines that ``read`` gives, chunk by chunk, as they come.

    Raises :class:`LineError` ``record.too_large``, ``record.line_end``, ``record.blank`` or
    ``record.bom``, after the lines before it were handed on.
    """
    number, rest = 1, b""
    ended = False
    while not ended:
        data = read()
        ended = not data
        if b"\n" not in data and not ended:
            rest += data
            if len(rest) > LINE_MAX:
                raise LineError(number, _too_large())
            continue
        lines = (rest + data).split(b"\n")
        rest = lines.pop()
        if ended and rest:
            lines.append(rest)
        for index, line in enumerate(lines):
            problem = _problem(line, first=number + index == 1)
            if problem is not None:
                if index:
                    yield Chunk(number, lines[:index])
                raise LineError(number + index, problem)
        if lines:
            yield Chunk(number, lines)
        number += len(lines)
        if len(rest) > LINE_MAX:
            raise LineError(number, _too_large())


def _problem(line: bytes, *, first: bool) -> RecordError | None:
    if len(line) > LINE_MAX:
        return _too_large()
    if first and line.startswith(_BOM):
        return RecordError(
            "record.bom", "It begins with a byte order mark.", "Save it as plain UTF-8."
        )
    if line.endswith(b"\r"):
        return RecordError(
            "record.line_end", "It ends with CR LF.", "End lines with LF alone: tr -d '\\r'."
        )
    if not line or line.isspace():
        return RecordError("record.blank", "It is blank.", "Leave blank lines out.")
    return None


def _too_large() -> RecordError:
    return RecordError(
        "record.too_large",
        f"It has more than {LINE_MAX} bytes.",
        "Send one record a line, and less in one record.",
    )
