"""The walk over a segment's frames."""

import io

import zstandard

from keys.errors import VerificationError
from spool.frames import FRAME_RAW_MAX, MAGIC, FrameDecoder, frames
from tests.fuzz.harness import Harness
from tests.golden.bad_frames import bad_frames
from tests.golden.build import LINES, frame, windowed


def tried(data: bytes) -> bool:
    """Compared with zstd's own reader, frame by frame."""
    decoder = FrameDecoder()
    read = 0
    with zstandard.ZstdDecompressor().stream_reader(
        io.BytesIO(data), read_across_frames=True
    ) as plain:
        try:
            for found in frames(lambda at, size: data[at : at + size], len(data)):
                raw = decoder.decode(found).raw
                assert 0 < len(raw) <= FRAME_RAW_MAX
                assert raw.endswith(b"\n")
                assert b"\n\n" not in raw
                assert plain.read(len(raw)) == raw
                assert found.offset == read
                read += len(found.stored)
        except VerificationError:
            return False
    assert read == len(data)
    return True


def seeds() -> list[bytes]:
    """Good frames, and each bad one of the golden files that is small."""
    bad = [row[3] for row in bad_frames() if len(row[3]) < 1024]
    return [frame(LINES), windowed(LINES), frame(LINES) + windowed(LINES), *bad]


HARNESS = Harness(
    "frames",
    "Frames hold what zstd itself reads from them, whole lines and all of the bytes, or are refused.",
    tried,
    seeds,
    (MAGIC, b"\x5a\x2a\x4d\x18", frame(LINES), b"\x01\0\0", b"\n"),
    rounds=4000,
)
