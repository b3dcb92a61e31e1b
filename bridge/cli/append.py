"""``bridge append``: NDJSON from a file or stdin, durable when the command returns.

A regular file is checked whole before anything of it is written. From stdin (and from a pipe given by
name) lines are taken as they come; at the first bad one it stops, names it, and says how many records
before it are durable. Memory does not grow with the input.
"""

import os
import stat
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import click

from bridge.cli.input import Interrupts, Progress, StoppedError, opened, reader
from bridge.cli.session import Session, json_option
from bridge.cli.writing import room_check_for, writer_for
from bridge.intake.switches import check_switched_on
from bridge.terminal import counted
from keys.errors import BridgeError
from spool.errors import RecordError, SpoolError
from spool.frames import MIB
from spool.group import Ticket
from spool.judging import judged_until
from spool.ndjson import Chunk, LineError, chunks
from spool.secrets import SecretGuard
from spool.streams import Stream, stream_named
from spool.writer import Writer

IN_FLIGHT = 4 * MIB
"""Bytes of lines that wait for the disk while the next are judged."""
PARTLY = 3
"""Exit code where some records are durable and the rest was refused."""


@click.command("append")
@click.argument("stream")
@click.argument("file", required=False, type=click.Path(path_type=Path, allow_dash=True))
@json_option
@click.pass_obj
def command(session: Session, stream: str, file: Path | None, *, as_json: bool) -> None:
    """Append the records in FILE or on stdin to STREAM; returns when they are durable.

    One JSON object a line, UTF-8, lines ended by LF; the last one may lack it. A regular FILE is
    checked whole first; if it has a bad line, nothing is stored. From stdin it stops at the first bad
    line, and says how many records before it are durable (exit code 3; 1 if none). Of logs, only
    records of severity WARN and above are kept, as the vendor asks for no others.
    """
    session.begin("append", as_json=as_json)
    row = stream_named(stream)
    check_switched_on(session.config, stream)
    guard = session.license_keys.guard()
    with opened(file) as fd, Interrupts() as interrupts:
        regular = stat.S_ISREG(os.fstat(fd).st_mode)
        read = reader(fd, interrupts, Progress(session))
        appended = _Appended()
        try:
            if regular and file is not None and str(file) != "-":
                _check(read, row, guard)
                os.lseek(fd, 0, os.SEEK_SET)
            _append(session, read, row, guard, appended)
        except (RecordError, SpoolError, StoppedError) as error:
            _fail(session, stream, appended, error)
            return
    answer = {"stream": stream, "records": appended.records, "filtered": appended.filtered}
    session.result(answer, lambda: session.say(f"{appended.said} durable."))


def _append(
    session: Session,
    read: Callable[[], bytes],
    row: Stream,
    guard: SecretGuard,
    appended: "_Appended",
) -> None:
    writer = writer_for(session, row.name)
    try:
        check_room = room_check_for(session, row.name)
        try:
            for chunk in chunks(read):
                check_room()
                lines, filtered, error = _judged(chunk, row, guard)
                appended.filtered += filtered
                appended.submit(writer, lines)
                if error is not None:
                    raise error
        finally:
            # Whatever ended it: what was handed to the disk is waited for, and counted.
            appended.settle()
    finally:
        try:
            writer.close()
        except SpoolError as error:
            session.note(f"Not sealed yet: {error.message} What was acknowledged is durable.")


class _Appended:
    """What was submitted, and how many records of it are known to be durable, without a hole.

    ``filtered`` log records were below a warning, of all that was looked at.
    """

    def __init__(self) -> None:
        self.records = 0
        self.filtered = 0
        self._flying: deque[tuple[Ticket, int, int]] = deque()
        self._size = 0

    @property
    def said(self) -> str:
        """How many records are, and how many log records were left out: a sentence's beginning."""
        left_out = f" ({self.filtered} log records below WARN left out)" if self.filtered else ""
        records, _, verb = counted(self.records, "record is", "records are").rpartition(" ")
        return f"{records}{left_out} {verb}"

    def submit(self, writer: Writer, lines: list[bytes]) -> None:
        """Hand ``lines`` to the disk; wait while too much is on its way."""
        size = sum(map(len, lines))
        self._flying.append((writer.submit_lines(lines), len(lines), size))
        self._size += size
        while self._size > IN_FLIGHT:
            self._wait()

    def settle(self) -> None:
        """Wait for everything; raises the first failure."""
        while self._flying:
            self._wait()

    def _wait(self) -> None:
        ticket, records, size = self._flying.popleft()
        self._size -= size
        try:
            ticket.wait()
        except BaseException:
            # Later groups may be durable as well; they are not counted, for there is a hole.
            while self._flying:
                with suppress(BridgeError):
                    self._flying.popleft()[0].wait()
            raise
        self.records += records


def _judged(
    chunk: Chunk, row: Stream, guard: SecretGuard
) -> tuple[list[bytes], int, LineError | None]:
    """The lines to store, up to the first bad one, what was filtered, and what is bad about that."""
    found = judged_until(row, chunk.lines, guard)
    error = None
    if found.refused is not None:
        error = LineError(chunk.first + found.refused.at, found.refused.error)
    return found.lines, found.filtered, error


def _check(read: Callable[[], bytes], row: Stream, guard: SecretGuard) -> None:
    for chunk in chunks(read):
        *_, error = _judged(chunk, row, guard)
        if error is not None:
            raise error


def _fail(session: Session, stream: str, appended: _Appended, error: BridgeError) -> None:
    records = appended.records
    before = counted(records, "record before it is", "records before it are")
    durable = f"{before} durable." if records else "Nothing was stored."
    if isinstance(error, SpoolError) or (isinstance(error, StoppedError) and records):
        durable = f"{counted(records, 'record is', 'records are')} durable."
    said = BridgeError(error.id, f"{error.message} {durable}", error.hint)
    if session.as_json:
        told = {"id": said.id, "message": said.message, "hint": said.hint}
        counts = {"records": records, "filtered": appended.filtered}
        session.result({"stream": stream, **counts, "error": told}, lambda: None)
    else:
        session.show_error(said)
    partly = records and isinstance(error, RecordError)
    session.finish(PARTLY if partly else error.exit_code)
