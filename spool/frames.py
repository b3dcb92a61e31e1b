"""zstd frames: whole lines in, whole lines out, and no byte trusted before it is bounded.

The only importer of ``zstandard``. A data frame (RFC 8878, section 3.1.1) of ours states its content
size and carries a checksum, names no dictionary, needs a window of at most 8 MiB and holds at most
8 MiB of whole lines. The library's own limit is ignored when a frame states its size, and its stream
reader ends a truncated frame without an error; so frames are walked here, block by block, without
decompressing, then cut out and decompressed one by one.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import SEEK_END, BytesIO
from typing import NamedTuple

import zstandard

from keys.errors import VerificationError

MIB = 1024 * 1024
FRAME_RAW_MAX = 8 * MIB
"""Bytes of lines in one frame: what a reader must be ready to hold."""
WINDOW_MAX = 8 * MIB
"""Bytes of window a decoder must support; RFC 8878 recommends exactly this for interchange."""
FRAME_STORED_MAX = FRAME_RAW_MAX + FRAME_RAW_MAX // 128 + 64 * 1024
"""Bytes of one stored frame: incompressible data grows by 3 bytes a block of 128 KiB, no more."""
BLOCK_MAX = 128 * 1024
"""Bytes of one block, RFC 8878 section 3.1.1.2.4."""
LEVEL = 1
"""As small as level 3 on telemetry records, and 1.6 times as fast."""
WINDOW_LOG = 18
"""A match is looked for in the last 256 KiB: where there are more, an eighth quicker than in 512, and a
two hundredth larger."""

MAGIC = b"\x28\xb5\x2f\xfd"
SKIPPABLE = tuple(bytes([n]) + b"\x2a\x4d\x18" for n in range(0x50, 0x60))
_HEADER_MAX = 18
_CHECKSUM = 4
_READ = 256 * 1024
"""Bytes read at a time; for verification twice as fast as reading all in one."""
_READ_MORE = 2 * MIB
"""Bytes read where that is less than a frame: for records that hardly shrink. Few frames are larger,
and what is read is held."""

_RLE, _RESERVED = 1, 3
"""Block types, RFC 8878 section 3.1.1.2.2."""

ReadAt = Callable[[int, int], bytes]
"""``read(offset, size)``: at most ``size`` bytes from ``offset``; fewer only at the end."""


class FrameEncoder:
    """Compresses lines into frames; one for each thread, for it keeps its working memory."""

    def __init__(self) -> None:
        self._compressor = zstandard.ZstdCompressor(
            compression_params=zstandard.ZstdCompressionParameters(
                compression_level=LEVEL,
                window_log=WINDOW_LOG,
                write_checksum=True,
                write_content_size=True,
                write_dict_id=False,
            )
        )

    def encode(self, raw: bytes) -> bytes:
        """One frame that holds ``raw``: whole lines, at most :data:`FRAME_RAW_MAX` bytes."""
        stored = self._compressor.compress(raw)
        # The library's own object keeps the room of what it might have become: more than ``raw`` has.
        return bytes(memoryview(stored))


class CutShortError(VerificationError):
    """The bytes end before the frame does."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One data frame as it is stored: where it begins, its bytes, how much it claims to hold."""

    offset: int
    stored: bytes
    raw_size: int

    @property
    def end(self) -> int:
        """The offset of the first byte after it."""
        return self.offset + len(self.stored)


def _bad(problem: str, message: str, offset: int) -> VerificationError:
    return VerificationError(
        f"frame.{problem}",
        f"The frame at byte {offset} {message}.",
        "Do not use this file; take it from its source again, or see quarantine/ and the audit.",
    )


def _cut_short(offset: int) -> CutShortError:
    return CutShortError(
        "frame.truncated",
        f"The frame at byte {offset} is cut short.",
        "Take the file from its source again.",
    )


def _header(data: bytes, offset: int) -> tuple[int, int]:
    """(bytes of the header, bytes that the frame claims to hold); all limits are checked."""
    if data[:4] != MAGIC[: len(data)]:
        raise _bad("magic", "does not begin like a zstd data frame", offset)
    try:
        size = zstandard.frame_header_size(data)
        parameters = zstandard.get_frame_parameters(data)
    except zstandard.ZstdError as error:
        if len(data) < _HEADER_MAX:
            raise _cut_short(offset) from error
        raise _bad("header", "has a header that zstd does not allow", offset) from error
    if parameters.dict_id:
        raise _bad("dictionary", "asks for a dictionary", offset)
    if not parameters.has_checksum:
        raise _bad("no_checksum", "has no checksum", offset)
    if parameters.content_size == zstandard.CONTENTSIZE_UNKNOWN:
        raise _bad("no_size", "does not state how much it holds", offset)
    if parameters.content_size > FRAME_RAW_MAX:
        raise _bad("too_large", f"claims to hold more than {FRAME_RAW_MAX} bytes", offset)
    if parameters.content_size == 0:
        raise _bad("empty", "holds nothing", offset)
    if parameters.window_size > WINDOW_MAX:
        raise _bad("window", f"needs a window of more than {WINDOW_MAX} bytes", offset)
    return size, parameters.content_size


def _stored_size(data: bytes, start: int, header: int, offset: int) -> int | None:
    """Bytes of the frame at ``data[start:]``, walked block by block; None if ``data`` ends first."""
    position, last = start + header, False
    while not last:
        if position - start > FRAME_STORED_MAX:
            raise _bad("too_large", f"is stored in more than {FRAME_STORED_MAX} bytes", offset)
        if len(data) < position + 3:
            return None
        block = int.from_bytes(data[position : position + 3], "little")
        last = bool(block & 1)
        kind, size = block >> 1 & 3, block >> 3
        if kind == _RESERVED or size > BLOCK_MAX:
            raise _bad("block", "has a block that zstd does not allow", offset)
        position += 3 + (1 if kind == _RLE else size)
    position += _CHECKSUM
    return position - start if position <= len(data) else None


def block_headers(data: bytes) -> Iterator[int]:
    """Where ``data``, which begins like a data frame, has the headers of its blocks.

    The walk ends where ``data`` does, or at a block that zstd does not allow.
    """
    try:
        position = zstandard.frame_header_size(data)
    except zstandard.ZstdError:
        return
    last = False
    while not last and position + 3 <= len(data):
        yield position
        block = int.from_bytes(data[position : position + 3], "little")
        last = bool(block & 1)
        kind, size = block >> 1 & 3, block >> 3
        if kind == _RESERVED or size > BLOCK_MAX:
            return
        position += 3 + (1 if kind == _RLE else size)


class FrameWalker:
    """Finds the data frames in ``read``'s bytes before ``end``, reading ahead in large pieces.

    Takes at most twice :data:`FRAME_STORED_MAX` bytes of memory, whatever the bytes claim.
    """

    def __init__(self, read: ReadAt, end: int) -> None:
        self._read = read
        self._end = end
        self._start = 0
        self._data = b""

    def _hold(self, offset: int, size: int) -> None:
        """See to it that ``size`` bytes from ``offset`` on are held, or all that there are."""
        size = min(size, self._end - offset)
        if offset < self._start or offset + size > self._start + len(self._data):
            self._data = b""  # what was held goes first: a large frame's bytes are held once
            self._data = self._read(offset, min(max(size, _READ), self._end - offset))
            self._start = offset

    def frame_at(self, offset: int) -> Frame:
        """The data frame that begins at ``offset``; not decompressed.

        Raises :class:`CutShortError` where it would end after the end, else
        :class:`VerificationError` ``frame.*``.
        """
        for size in (_HEADER_MAX, _READ, _READ_MORE, FRAME_STORED_MAX + BLOCK_MAX):
            self._hold(offset, size)
            start = offset - self._start
            header, raw_size = _header(self._data[start : start + _HEADER_MAX], offset)
            stored = _stored_size(self._data, start, header, offset)
            if stored is not None:
                return Frame(offset, self._data[start : start + stored], raw_size)
        raise _cut_short(offset)


class RawFrame(NamedTuple):
    """What a frame holds: whole lines with their line ends, and how many."""

    raw: bytes
    lines: int


def lines_in(raw: bytes) -> int:
    """How many lines with their line ends ``raw`` holds."""
    # Where lines are as long as records are, bytes.count takes seven times as long.
    return len(raw) - len(raw.replace(b"\n", b""))


def frames(read: ReadAt, end: int) -> Iterator[Frame]:
    """The data frames that fill the first ``end`` bytes exactly. Raises like the walker."""
    walker = FrameWalker(read, end)
    offset = 0
    while offset < end:
        frame = walker.frame_at(offset)
        yield frame
        offset = frame.end


class FrameDecoder:
    """Decompresses frames; one for each thread, for it keeps its working memory."""

    def __init__(self) -> None:
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=WINDOW_MAX)
        self._room = BytesIO()

    def decode(self, frame: Frame) -> RawFrame:
        """The lines of ``frame``.

        Raises :class:`VerificationError`: ``frame.content`` where the checksum or the size is
        wrong, ``frame.lines`` where it does not hold whole, non-empty lines.
        """
        try:
            raw = self._decompressor.decompress(
                frame.stored, max_output_size=frame.raw_size, allow_extra_data=False
            )
        except zstandard.ZstdError as error:
            raise _bad("content", "does not decompress to what it states", frame.offset) from error
        return RawFrame(raw, _count(BytesIO(raw), len(raw), frame))

    def count(self, frame: Frame) -> int:
        """How many lines ``frame`` holds; judged and refused as by :meth:`decode`.

        Takes two thirds of the time: where nobody wants the lines, their memory is used again.
        """
        self._make_room(frame.raw_size)
        try:
            # The room is as large as the frame says, so the library takes it in one step.
            with (
                self._room.getbuffer() as room,
                self._decompressor.stream_reader(frame.stored) as reader,
            ):
                held = reader.readinto(room)
        except zstandard.ZstdError as error:
            raise _bad("content", "does not decompress to what it states", frame.offset) from error
        self._room.seek(0)
        return _count(self._room, held, frame)

    def _make_room(self, size: int) -> None:
        self._room.truncate(size)
        if self._room.seek(0, SEEK_END) < size:
            self._room.seek(size - 1)
            self._room.write(b"\0")


def _count(lines: BytesIO, held: int, frame: Frame) -> int:
    """How many ``lines`` there are, in ``held`` bytes; raises unless that is what ``frame`` states."""
    if held != frame.raw_size:
        raise _bad("content", "does not hold as many bytes as it states", frame.offset)
    # One pass that counts, too; to look for two line ends in a row takes five times as long.
    sizes = list(map(len, lines))
    lines.seek(-1, SEEK_END)
    if lines.read() != b"\n" or 1 in sizes:
        raise _bad("lines", "does not hold whole, non-empty lines", frame.offset)
    return len(sizes)
