"""Frames: whole lines or a refusal, and no more memory than was promised."""

import resource
import tracemalloc
from collections.abc import Callable
from random import Random

import pytest
import zstandard

from keys.errors import VerificationError
from spool.frames import (
    BLOCK_MAX,
    FRAME_RAW_MAX,
    FRAME_STORED_MAX,
    MAGIC,
    MIB,
    CutShortError,
    FrameDecoder,
    FrameEncoder,
    FrameWalker,
    frames,
)
from tests.support.spools import raw_in, raw_of, records

RAW = raw_of(records(3))
GIB = 1024 * MIB


def _decoded(data: bytes) -> bytes:
    """All lines of ``data``, read as a reader of segments does."""
    decoder = FrameDecoder()
    found = frames(lambda at, size: data[at : at + size], len(data))
    return b"".join(raw_in(frame, decoder) for frame in found)


def _refusal(data: bytes) -> str:
    with pytest.raises(VerificationError) as caught:
        _decoded(data)
    return caught.value.id


def _encoded(raw: bytes) -> bytes:
    return FrameEncoder().encode(raw)


def _header(claims: int, *, window: int | None = None, flags: int = 0x04) -> bytes:
    """A frame header with eight bytes of content size."""
    if window is None:
        return MAGIC + bytes([0xC0 | 0x20 | flags]) + claims.to_bytes(8, "little")
    return MAGIC + bytes([0xC0 | flags, window]) + claims.to_bytes(8, "little")


def _block(kind: int, size: int, *, last: bool) -> bytes:
    return ((size << 3) | (kind << 1) | last).to_bytes(3, "little")


@pytest.mark.parametrize("size", [1, 2, 100, BLOCK_MAX - 1, BLOCK_MAX, BLOCK_MAX + 1, 3 * MIB])
def test_lines_that_were_encoded_are_decoded(size: int) -> None:
    raw = Random(size).randbytes(size).hex().encode()[: size - 1] + b"x\n"
    data = _encoded(raw) + _encoded(RAW)
    assert _decoded(data) == raw + RAW


def test_a_frame_of_8_mib_is_taken_and_one_of_a_byte_more_refused() -> None:
    raw = b"x" * (FRAME_RAW_MAX - 1) + b"\n"
    assert _decoded(_encoded(raw)) == raw
    assert _refusal(_encoded(b"x" + raw)) == "frame.too_large"


def test_8_mib_that_do_not_compress_fit_in_the_stored_limit() -> None:
    raw = Random(1).randbytes(FRAME_RAW_MAX - 1).replace(b"\n", b"x") + b"\n"
    data = _encoded(raw)
    assert FRAME_RAW_MAX < len(data) <= FRAME_STORED_MAX
    assert _decoded(data) == raw


@pytest.mark.parametrize("cut", range(1, len(_encoded(RAW))))
def test_a_frame_that_ends_early_is_refused_as_cut_short(cut: int) -> None:
    data = _encoded(RAW)[:cut]
    with pytest.raises(CutShortError) as caught:
        _decoded(data)
    assert caught.value.id == "frame.truncated"


@pytest.mark.parametrize("at", range(len(_encoded(RAW))))
def test_a_flipped_bit_is_refused_or_changes_no_line(at: int) -> None:
    for bit in range(8):
        data = bytearray(_encoded(RAW))
        data[at] ^= 1 << bit
        try:
            assert _decoded(bytes(data)) == RAW
        except VerificationError:
            continue


def test_bytes_after_a_frame_are_refused_as_no_frame() -> None:
    assert _refusal(_encoded(RAW) + b"junk") == "frame.magic"


def test_a_claim_of_4_gib_is_refused_before_anything_is_taken() -> None:
    assert _refusal(_header(4 * GIB) + bytes(100)) == "frame.too_large"


def test_a_gib_of_zeros_is_refused_with_little_memory() -> None:
    compressor = zstandard.ZstdCompressor(write_checksum=True).compressobj(size=GIB)
    zeros = bytes(MIB)
    bomb = b"".join(compressor.compress(zeros) for _ in range(1024)) + compressor.flush()
    assert len(bomb) < MIB
    _bounded(lambda: _refusal(bomb), "frame.too_large")


def test_a_frame_that_holds_more_than_it_states_is_refused_with_little_memory() -> None:
    blocks = b"".join(_block(1, BLOCK_MAX, last=n == 8191) + b"\n" for n in range(8192))
    bomb = _header(1000, window=0x68) + blocks + bytes(4)
    _bounded(lambda: _refusal(bomb), "frame.content")


def test_a_frame_of_endless_small_blocks_is_refused_at_the_stored_limit() -> None:
    blocks = (_block(0, 100, last=False) + bytes(100)) * (FRAME_STORED_MAX // 103 + 10)
    assert _refusal(_header(1000, window=0x68) + blocks) == "frame.too_large"


def _bounded(refuse: Callable[[], str], expected: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tracemalloc.start()
    try:
        assert refuse() == expected
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before  # KiB
    assert peak < 4 * FRAME_STORED_MAX
    assert grown < 64 * 1024


def test_a_frame_without_its_size_is_refused() -> None:
    data = zstandard.ZstdCompressor(write_checksum=True, write_content_size=False).compress(RAW)
    assert _refusal(data) == "frame.no_size"


def test_a_frame_without_a_checksum_is_refused() -> None:
    assert _refusal(zstandard.ZstdCompressor().compress(RAW)) == "frame.no_checksum"


def test_a_frame_with_a_dictionary_is_refused() -> None:
    samples: list[bytes | bytearray | memoryview] = [
        raw_of(records(5, f"s{n}", filler=n)) for n in range(200)
    ]
    dictionary = zstandard.train_dictionary(2048, samples)
    compressor = zstandard.ZstdCompressor(dict_data=dictionary, write_checksum=True)
    assert _refusal(compressor.compress(RAW)) == "frame.dictionary"


@pytest.mark.parametrize(
    ("window", "expected"),
    [(0x68, "frame.content"), (0x69, "frame.window"), (0xFF, "frame.header")],
)
def test_a_window_of_more_than_8_mib_is_refused(window: int, expected: str) -> None:
    body = _block(0, len(RAW), last=True) + RAW + bytes(4)
    assert _refusal(_header(len(RAW), window=window) + body) == expected


def test_an_empty_frame_is_refused() -> None:
    assert _refusal(_encoded(b"")) == "frame.empty"


def test_a_reserved_block_and_one_that_is_too_large_are_refused() -> None:
    for block in (_block(3, 10, last=True), _block(0, BLOCK_MAX + 1, last=True)):
        assert _refusal(_header(10) + block + bytes(200)) == "frame.block"


@pytest.mark.parametrize("raw", [b"no end", b"\nblank first\n", b"a\n\nb\n", b"\n", b"a\n\n"])
def test_a_frame_that_does_not_hold_whole_lines_is_refused(raw: bytes) -> None:
    assert _refusal(_encoded(raw)) == "frame.lines"


def test_other_formats_are_refused() -> None:
    others = (b"\x1f\x8b\x08" + bytes(30), b"\xfd7zXZ\0" + bytes(30), b'{"a":1}\n', MAGIC[::-1])
    for data in (*others, b"\x50\x2a\x4d\x18\x04\0\0\0abcd"):
        assert _refusal(data) == "frame.magic"


@pytest.mark.parametrize("piece", [1, 3, 1000])
def test_a_source_that_gives_less_than_asked_ends_there(piece: int) -> None:
    data = _encoded(RAW)
    walker = FrameWalker(lambda at, size: data[at : at + min(size, piece)], len(data))
    if piece >= len(data):
        assert walker.frame_at(0).end == len(data)
    else:
        with pytest.raises(VerificationError):
            walker.frame_at(0)


def test_frames_are_found_wherever_they_lie_among_the_pieces_that_are_read() -> None:
    rng = Random(2)
    raws = [rng.randbytes(rng.randrange(1, 200_000)).hex().encode() + b"\n" for _ in range(30)]
    data = b"".join(map(_encoded, raws))
    assert _decoded(data) == b"".join(raws)
