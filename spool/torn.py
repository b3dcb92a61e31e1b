"""Tells a frame that never reached the disk as a whole from one that did and has changed since.

The last commit before a crash was not acknowledged: of its sectors any may be missing, and then zeros
stand in their place, or nothing. What was acknowledged is complete, whatever has become of a bit in
it. So the end of a file is torn where bytes are missing, and bad where none are.
"""

from itertools import pairwise

from keys.errors import VerificationError
from spool.frames import (
    FRAME_STORED_MAX,
    CutShortError,
    FrameDecoder,
    FrameWalker,
    ReadAt,
    block_headers,
)
from spool.segment import SEAL_MAGIC

SECTOR = 512
"""Bytes that a disk writes whole or not at all, at the least."""
_PIECE = 512 * SECTOR
_CHECKSUM = 4
_HEADER_MAX = 18
_BLOCK_HEADER = 3


def is_torn(read: ReadAt, offset: int, written: int) -> bool:
    """Whether the bytes from ``offset`` to ``written``, no good frame among them, are torn.

    Behind ``written`` there is nothing, or nothing but zeros.
    """
    if SEAL_MAGIC.startswith(read(offset, min(len(SEAL_MAGIC), written - offset))):
        return True  # a seal whose rename never came
    if _lacks_a_sector(read, offset, written):
        return True
    data = read(offset, min(FRAME_STORED_MAX, written - offset))
    try:
        FrameWalker(lambda at, size: data[at : at + size], len(data)).frame_at(0)
    except CutShortError:
        return not _is_whole_but_for_a_bit(data)
    except VerificationError:
        return False
    return False


def _lacks_a_sector(read: ReadAt, offset: int, end: int) -> bool:
    """Whether what a sector holds of the bytes from ``offset`` to ``end`` is all zeros."""
    while offset < end:
        piece = read(offset, min(_PIECE - offset % _PIECE, end - offset))
        first = SECTOR - offset % SECTOR
        cuts = [0, *range(first, len(piece), SECTOR), len(piece)]
        if not all(piece[begin:after].strip(b"\0") for begin, after in pairwise(cuts)):
            return True
        offset += len(piece)
    return False


def _is_whole_but_for_a_bit(data: bytes) -> bool:
    """Whether ``data``, which seems to end too soon, is a whole frame in which one bit has changed.

    Only a bit of a length can make a frame seem longer than it is, so only those are tried.
    """
    decoder = FrameDecoder()
    # A checksum may end in zeros, which were taken for zeros laid ahead.
    padded = data + bytes(_CHECKSUM)
    places = [range(min(_HEADER_MAX, len(data)))]
    places += [range(at, min(at + _BLOCK_HEADER, len(data))) for at in block_headers(data)]
    for at in {each for place in places for each in place}:
        for bit in range(8):
            tried = bytearray(padded)
            tried[at] ^= 1 << bit
            if _is_frame(decoder, bytes(tried), len(data)):
                return True
    return False


def _is_frame(decoder: FrameDecoder, tried: bytes, least: int) -> bool:
    """Whether ``tried`` begins with a good frame that ends at ``least`` or within its zeros."""
    try:
        frame = FrameWalker(lambda at, size: tried[at : at + size], len(tried)).frame_at(0)
        if frame.end < least:
            return False
        decoder.decode(frame)
    except VerificationError:
        return False
    return True
