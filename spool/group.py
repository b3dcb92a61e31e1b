"""A group: what several callers want to append, committed by one sync, answered by one event."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Literal, NamedTuple

from spool.beside import Compressing
from spool.frames import MIB, Frame, FrameDecoder, FrameEncoder
from spool.gathering import Waiter

LARGE = 64 * 1024
"""Raw bytes from which a caller compresses its own lines: the committer only writes them then, and
the next are compressed while the last are being synced."""
PART_MAX = 256 * MIB
"""Stored bytes of a group that are committed at once: far below what a segment may have."""
GROUP_FRAME = MIB
"""Raw bytes of lines that are put into one frame by a commit."""


class Framed(NamedTuple):
    """One frame of whole lines, compressed."""

    data: bytes
    raw_size: int


Unit = bytes | Framed | Compressing
"""Whole lines with their line ends, or a frame of such lines, or one that is being made."""


def framed(raw: bytes, encoder: FrameEncoder) -> Framed:
    """``raw``, whole lines that a frame may hold, compressed."""
    return Framed(encoder.encode(raw), len(raw))


def joined(lines: Sequence[bytes]) -> list[Unit]:
    """The units that hold ``lines``, each as large as a frame may be, none of them compressed."""
    return [raw_of(piece) for piece in pieces_of(lines, sum(map(len, lines)))]


def pieces_of(lines: Sequence[bytes], size: int) -> Iterator[Sequence[bytes]]:
    """``lines``, one at least and of ``size`` bytes, in pieces that a frame is to hold each."""
    if size + len(lines) <= GROUP_FRAME:
        yield lines
        return
    begin = held = 0
    for at, line in enumerate(lines):
        if held and held + len(line) >= GROUP_FRAME:
            yield lines[begin:at]
            begin, held = at, 0
        held += len(line) + 1
    yield lines[begin:]


def raw_of(lines: Sequence[bytes]) -> bytes:
    """``lines`` with their line ends."""
    return b"\n".join([*lines, b""])


def units_of(lines: Sequence[bytes], encoder: FrameEncoder) -> list[Unit]:
    """The units that hold ``lines``, compressed if they are many bytes; none of nothing."""
    if not lines:
        return []
    size = sum(map(len, lines))
    if size + len(lines) < LARGE:
        return [raw_of(lines)]
    # Never all of them in one: they may be as large as everything else that their caller holds.
    return [framed(raw_of(piece), encoder) for piece in pieces_of(lines, size)]


def frames_of(units: Sequence[Unit], encoder: FrameEncoder) -> list[Framed]:
    """The units as compressed frames, in order; small ones that follow each other share a frame."""
    if len(units) == 1 and isinstance(only := units[0], bytes):
        return [framed(only, encoder)]
    frames: list[Framed] = []
    group: list[bytes] = []
    held = 0
    for unit in units:
        if not isinstance(unit, bytes):
            frames += _joined(group, encoder)
            if isinstance(unit, Compressing):
                frames.append(Framed(unit.encoded(), unit.raw_size))
            else:
                frames.append(unit)
            held = 0
        else:
            if held + len(unit) > GROUP_FRAME:
                frames += _joined(group, encoder)
                held = 0
            group.append(unit)
            held += len(unit)
    frames += _joined(group, encoder)
    return frames


def parts_of(
    frames: list[Framed], records: int, stored_max: int
) -> Iterator[tuple[list[Framed], int]]:
    """The frames of a group in parts of at most ``stored_max`` stored bytes, with their records.

    Nearly every group is one part; a larger one would make a segment that no reader takes.
    """
    if len(frames) == 1 or sum(len(frame.data) for frame in frames) <= stored_max:
        yield frames, records
        return
    decoder = FrameDecoder()
    part: list[Framed] = []
    held = lines = 0
    for frame in frames:
        if part and held + len(frame.data) > stored_max:
            yield part, lines
            part, held, lines = [], 0, 0
        part.append(frame)
        held += len(frame.data)
        lines += decoder.decode(Frame(0, frame.data, frame.raw_size)).lines
    yield part, lines


def _joined(group: list[bytes], encoder: FrameEncoder) -> list[Framed]:
    """The frame that holds ``group``, which is empty afterwards; none of nothing."""
    if not group:
        return []
    raw = b"".join(group)
    group.clear()
    return [framed(raw, encoder)]


class Group:
    """Lines that wait for the same commit, and the callers that wait for its outcome.

    Added to under the writer's lock, by any thread; settled once, by the thread that committed.
    """

    def __init__(self) -> None:
        self.units: list[Unit] = []
        self.records = 0
        self.raw_size = 0
        # One lock serves as the event: held until the group is settled.
        self._unsettled = threading.Lock()
        self._unsettled.acquire()
        self.settled = False
        """Whether everybody was told."""
        self._told: BaseException | Literal["durable"] | None = None
        self._waiters: dict[asyncio.AbstractEventLoop, list[Waiter]] = {}

    def settle(self, error: BaseException | None) -> None:
        """Tell everybody who waits: durable (None), or why not.

        Where it was interrupted, call it again: what it said first stays said.
        """
        if self._told is None:
            self._told = "durable" if error is None else error
            self.units = []  # the writer keeps the group until the next
        error = None if self._told == "durable" else self._told
        for loop, waiters in self._waiters.items():
            # One call for all that wait in one loop: waking it costs more than a future. A loop
            # that was closed meanwhile has nobody left who waits.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(_resolve, waiters, error)
        if self._unsettled.locked():
            self._unsettled.release()
        self.settled = True

    def wait(self) -> None:
        """Wait until it is durable; raises what kept it from it."""
        if not self.settled:
            with suppress(RuntimeError), self._unsettled:  # settled twice, after an interrupt
                pass
        if isinstance(self._told, BaseException):
            raise self._told

    def add_waiters(self, loop: asyncio.AbstractEventLoop, waiters: Sequence[Waiter]) -> None:
        """What coroutines of ``loop`` await; before the group is settled, under the writer's lock."""
        self._waiters.setdefault(loop, []).extend(waiters)


class Ticket:
    """What was appended and is not yet known to be durable."""

    def __init__(self, group: Group | None, lines: int) -> None:
        self._group = group
        self.lines = lines
        """How many lines were appended."""

    def wait(self) -> None:
        """Return when it is durable; raises :class:`SpoolError` if it could not be made so."""
        if self._group is not None:
            self._group.wait()


def _resolve(waiters: Sequence[Waiter], error: BaseException | None) -> None:
    for future, count in waiters:
        if future.done():  # its caller was cancelled
            continue
        if error is None:
            future.set_result(count)
        else:
            future.set_exception(error)
