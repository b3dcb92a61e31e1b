"""Frames that a reader must refuse, under a seal that is right about their bytes.

(name, error, why, frames, lines, changes to the statement).
"""

import gzip
from collections.abc import Iterator
from typing import Any

from tests.golden.build import LINES, block, checksum, frame, windowed

_MAGIC = b"\x28\xb5\x2f\xfd"
_FRAME = frame(LINES)
_ONE, _TWO = LINES.splitlines(keepends=True)
_SIZE = len(LINES).to_bytes(4, "little")
_BLOCK = block(LINES, last=True)
_RLE_BLOCKS = 8192

Row = tuple[str, str, str, bytes, bytes, dict[str, Any]]


def bad_frames() -> Iterator[Row]:
    """Every one of them."""
    yield from _headers()
    yield from _bodies()
    yield from _lines()


def _headers() -> Iterator[Row]:
    def row(name: str, error: str, why: str, frames: bytes) -> Row:
        return name, f"frame.{error}", why, frames, LINES, {}

    one = _SIZE[:1] if len(LINES) < 256 else _SIZE
    assert one == _SIZE[:1], "the lines fit in a size of one byte"
    body = _BLOCK + checksum(LINES)
    yield row(
        "dictionary", "dictionary", "it cannot be read alone", _MAGIC + b"\xa5\x07" + _SIZE + body
    )
    yield row(
        "no-checksum", "no_checksum", "a flipped bit would pass", _MAGIC + b"\xa0" + _SIZE + _BLOCK
    )
    yield row(
        "no-content-size", "no_size", "no bound before memory is taken", _MAGIC + b"\x04\x50" + body
    )
    yield row(
        "window-16-mib", "window", "more memory than every decoder has", windowed(LINES, 0x70)
    )
    yield row(
        "reserved-bit", "header", "not for this version of zstd", _MAGIC + b"\xac" + _SIZE + body
    )
    wide = _MAGIC + b"\xe4" + (2**32).to_bytes(8, "little") + body
    yield row("claims-4-gib", "too_large", "a few bytes that ask for memory", wide)
    yield row(
        "claims-8-mib-and-one",
        "too_large",
        "one byte over the limit",
        frame(LINES, claims=2**23 + 1),
    )
    yield row(
        "skippable-among-frames",
        "magic",
        "bytes that zstd passes over",
        b"\x5a\x2a\x4d\x18\x03\0\0\0abc" + _FRAME,
    )
    yield row("junk-after-the-frames", "magic", "the frames do not fill the size", _FRAME + b"junk")
    yield row("gzip-under-a-seal", "magic", "another compression", gzip.compress(LINES, mtime=0))
    yield row("old-magic", "magic", "zstd before its format was fixed", b"\x27" + _FRAME[1:])


def _bodies() -> Iterator[Row]:
    def row(name: str, error: str, why: str, frames: bytes) -> Row:
        return name, f"frame.{error}", why, frames, LINES, {}

    bomb = block(b"\n", last=False, kind=1, size=2**17) * (_RLE_BLOCKS - 1)
    bomb += block(b"\n", last=True, kind=1, size=2**17)
    yield row(
        "bomb-1-gib",
        "too_large",
        "32 KiB that become 1 GiB",
        frame(LINES, claims=2**30, blocks=bomb),
    )
    bomb = bomb[-4 * 256 :]
    yield row("bomb-that-lies", "content", "1 KiB that becomes 32 MiB", frame(LINES, blocks=bomb))
    yield row(
        "bomb-without-size",
        "no_size",
        "1 KiB that becomes 32 MiB",
        _MAGIC + b"\x04\x50" + bomb + checksum(LINES),
    )
    yield row(
        "checksum-flipped",
        "content",
        "its content is another",
        _FRAME[:-1] + bytes([_FRAME[-1] ^ 1]),
    )
    for name, claims in ("less", len(LINES) + 1), ("more", len(LINES) - 1):
        lying = frame(LINES, claims=claims)
        yield (
            f"holds-{name}-than-stated",
            "frame.content",
            "a lie",
            lying,
            LINES,
            {"raw_size": claims},
        )
    yield row(
        "block-reserved",
        "block",
        "no block of zstd",
        frame(LINES, blocks=block(LINES, last=True, kind=3)),
    )
    large = block(b"{", last=False, kind=1, size=2**17 + 1)
    yield row(
        "block-too-large",
        "block",
        "more than a decoder must hold",
        frame(LINES, blocks=large + _BLOCK),
    )
    yield row("frame-truncated", "truncated", "it ends before its checksum", _FRAME[:-3])
    yield row("frame-truncated-in-a-block", "truncated", "it ends in a record", _FRAME[:-40])
    yield row(
        "frame-truncated-in-the-header", "truncated", "it ends in its size", _FRAME + _FRAME[:6]
    )
    yield row(
        "frame-without-end",
        "truncated",
        "no last block",
        frame(LINES, blocks=block(LINES, last=False))[:-4],
    )
    yield row("frame-empty", "empty", "frames without number cost nothing", frame(b"") + _FRAME)


def _lines() -> Iterator[Row]:
    lines = "frame.lines"
    cut = LINES[:-1]
    yield "line-without-end", lines, "a record cut off", frame(cut), cut, {"records": 2}
    split = frame(LINES[:40]) + frame(LINES[40:])
    yield "line-over-two-frames", lines, "a frame must stand alone", split, LINES, {}
    blank = _ONE + b"\n" + _TWO
    yield "line-blank", lines, "a record of nothing", frame(blank), blank, {"records": 3}
    first = b"\n" + LINES
    yield "line-blank-first", lines, "a record of nothing", frame(first), first, {"records": 3}
    count, why = "segment.count", "other sums than were signed"
    yield "records-one-more", count, why, _FRAME, LINES, {"records": 3}
    yield "records-one-less", count, why, _FRAME, LINES, {"records": 1}
    yield "raw-size-one-more", count, why, _FRAME, LINES, {"raw_size": len(LINES) + 1}
    yield "raw-size-one-less", count, why, _FRAME, LINES, {"raw_size": len(LINES) - 1}
    yield "frame-twice", count, "the same records again", _FRAME * 2, LINES, {}
