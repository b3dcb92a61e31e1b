"""A frame's records are judged while they are compressed, by two threads if the other one can begin."""

from collections.abc import Callable, Sequence

from spool.beside import Compressor
from spool.frames import FrameEncoder
from spool.group import Unit, framed, raw_of, units_of

BESIDE = 128 * 1024
"""Raw bytes from which it is worth its while: less is compressed while another thread begins."""


def judged_beside(
    piece: Sequence[bytes],
    judge: Callable[[Sequence[bytes]], list[bytes]],
    compressor: Compressor,
    encoder: FrameEncoder,
) -> tuple[list[Unit], int]:
    """The units of what ``judge`` makes of ``piece``, and how many lines; ``encoder`` is the caller's.

    ``piece`` is what :func:`~spool.judging.as_bytes` gave: what is judged must be what is compressed.
    Raises what ``judge`` does.
    """
    raw = raw_of(piece)
    if len(raw) < BESIDE:
        lines = judge(piece)
        return units_of(lines, encoder), len(lines)
    beside = compressor.begin(raw)
    del raw
    try:
        lines = judge(piece)
    finally:
        left = beside.take_back()
    if lines != list(piece):
        return units_of(lines, encoder), len(lines)
    return [beside if left is None else framed(left, encoder)], len(lines)
