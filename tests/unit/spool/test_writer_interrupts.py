"""Ctrl-C at any moment of an append: nobody is left waiting, and what is sealed is whole.

CPython looks for signals when a function is entered, after a call and on the way back in a loop. Each
of these places in the writer is tried, one after the other, with another caller in the same group.
"""

import dis
import os
import sys
import threading
from collections.abc import Callable
from functools import cache
from itertools import count
from pathlib import Path
from types import CodeType, FrameType
from typing import Self

import pytest

from spool import committing, currentfile
from spool import group as group_module
from spool import tail as tail_module
from spool import writer as writer_module
from spool.clock import SYSTEM_CLOCK
from spool.errors import SpoolError
from spool.frames import FrameDecoder
from spool.recovery import Recovery
from spool.rewriting import SMALL_FRAME, examine, good_lines, reader
from spool.segment import Segment
from spool.writer import Writer
from tests.support.spools import FAST, KEY, new_lane, sealer

_FILES = {
    module.__file__
    for module in (writer_module, committing, currentfile, group_module, tail_module)
}
FIRST = b'{"id":"first"}'
LONG = b'{"id":"first","x":"%b"}' % (b"x" * 4 * SMALL_FRAME)
"""Frames are not small with it: the file is sealed with the digest that its writer has of it."""
_LOOKS = ("CALL", "JUMP_BACKWARD", "POP_JUMP_BACKWARD")


@cache
def _names_of(code: CodeType) -> dict[int, str]:
    """The instructions of ``code`` by their offset."""
    return {each.offset: each.opname for each in dis.get_instructions(code)}


class _Interrupting:
    """Raises KeyboardInterrupt at the ``at``-th place of this thread where a signal is looked for."""

    def __init__(self, at: int) -> None:
        self.left = at
        self._last: dict[FrameType, str] = {}

    def __call__(self, frame: FrameType, event: str, _: object) -> Self | None:
        if frame.f_code.co_filename not in _FILES:
            return None
        frame.f_trace_opcodes = True
        if event == "call" or (event == "opcode" and self._looked(frame)):
            self.left -= 1
            if not self.left:
                sys.settrace(None)
                raise KeyboardInterrupt
        return self

    def _looked(self, frame: FrameType) -> bool:
        names = _names_of(frame.f_code)
        before = self._last.get(frame, "")
        self._last[frame] = names.get(frame.f_lasti, "")
        return before.startswith(_LOOKS)


def _interrupted(at: int, work: Callable[[], object]) -> bool:
    """Do ``work`` with one interrupt at the ``at``-th place; whether there was such a place."""
    before = sys.gettrace()
    tracer = _Interrupting(at)
    sys.settrace(tracer)
    try:
        work()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return tracer.left <= 0


def _in_a_thread(work: Callable[[], object]) -> BaseException | None:
    """What ``work`` raised; fails where it does not end."""
    raised: list[BaseException | None] = []

    def run() -> None:
        try:
            work()
        except SpoolError as error:
            raised.append(error)
        else:
            raised.append(None)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(10)
    assert raised, "somebody waits for ever"
    return raised[0]


def _held(spool: Path) -> set[bytes]:
    """Every record that is sealed or durable; each segment is verified to its last line."""
    lines: set[bytes] = set()
    for path in spool.rglob("open/*.zst"):
        fd = os.open(path, os.O_RDONLY)
        found = examine(reader(fd), path.stat().st_size)
        assert not found.bad
        for line in good_lines(reader(fd), found):
            lines.update(line.splitlines())
        os.close(fd)
    for path in sorted(spool.rglob("sealed/**/*.zst")):
        with Segment.open(path) as segment:
            segment.check_digest()
            segment.check_signature({KEY.public.id: KEY.public})
            for frame in segment.raw_frames(FrameDecoder()):
                lines.update(frame.raw.splitlines())
    return lines


def _round(spool: Path, doing: str, first: bytes, at: int) -> bool:
    """An append or close that is interrupted at the ``at``-th place; whether there was such a one."""
    lane = new_lane(spool)
    writer = Writer(
        lane.spool, lane.stream, node=lane.node, signer=KEY, seal_age_ms=10**9, disk=FAST
    )
    writer.append([first])
    committer = writer._committer  # noqa: SLF001 - as a caller who comes during a commit does
    with committer._queue_lock:  # noqa: SLF001
        other = committer._enqueue([b'{"id":"other"}\n'], 1)  # noqa: SLF001
    was_place = _interrupted(
        at, writer.close if doing == "close" else lambda: writer.append([b'{"id":"mine"}'])
    )
    if doing == "append":
        assert _in_a_thread(lambda: writer.append([b'{"id":"later"}'])) is None
    _in_a_thread(writer.close)
    if (
        doing == "append"
    ):  # else the lock of a file that was just being sealed ends with the process
        list(Recovery(FAST, sealer(lane), SYSTEM_CLOCK).recover())
        assert not list(lane.open.iterdir())
    held = _held(spool)
    assert first in held
    if _in_a_thread(other.wait) is None:
        assert b'{"id":"other"}' in held
    if doing == "append":
        assert b'{"id":"later"}' in held
    return was_place


@pytest.mark.parametrize(
    ("doing", "first"),
    [("append", FIRST), ("close", FIRST), ("close", LONG)],
    ids=["append", "close", "close-what-is-not-rewritten"],
)
def test_an_interrupt_at_any_place_leaves_nobody_waiting_and_no_wrong_count(
    tmp_path: Path, doing: str, first: bytes
) -> None:
    places = 0
    for at in count(1):
        try:
            was_place = _round(tmp_path / str(at), doing, first, at)
        except AssertionError as error:
            error.add_note(f"interrupted at place {at}")
            raise
        if not was_place:
            break
        places = at
    assert places > 20
