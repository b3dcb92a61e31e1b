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
    Frame,
    FrameDecoder,
    FrameEncoder,
    FrameWalker,
    block_headers,
    frames,
    lines_in,
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


@pytest.mark.parametrize("lines", [1, 300, 400, 1500])
def test_whoever_reads_a_frame_needs_256_kib_at_most_beside_it(lines: int) -> None:
    raw = raw_of(records(lines, filler=700))
    needed = zstandard.get_frame_parameters(_encoded(raw))
    assert needed.window_size == min(len(raw), MIB // 4)
    assert (needed.content_size, needed.has_checksum, needed.dict_id) == (len(raw), True, 0)


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


def test_a_frame_takes_the_room_of_its_bytes_not_of_what_it_might_have_become() -> None:
    raw, encoder = b'{"id":"1"}\n' * 90_000, FrameEncoder()
    tracemalloc.start()
    try:
        made = [encoder.encode(raw) for _ in range(10)]
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sum(map(len, made)) <= held < MIB // 10


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


def test_what_is_refused_says_at_which_byte_the_frame_begins() -> None:
    first = _encoded(RAW)
    good = bytearray(_encoded(RAW))
    good[-1] ^= 1
    unsized = zstandard.ZstdCompressor(write_checksum=True, write_content_size=False)
    blocks = (_block(0, 100, last=False) + bytes(100)) * (FRAME_STORED_MAX // 103 + 10)
    for data, problem in (
        (b"x" * 40, "magic"),
        (MAGIC + b"\x2c" + bytes(20), "header"),
        (_header(1, flags=0x05)[:9] + bytes(30), "dictionary"),
        (zstandard.ZstdCompressor().compress(RAW), "no_checksum"),
        (unsized.compress(RAW), "no_size"),
        (_header(FRAME_RAW_MAX + 1) + bytes(30), "too_large"),
        (_header(1000, window=0x68) + blocks, "too_large"),
        (_encoded(b""), "empty"),
        (_header(1, window=0x69) + bytes(30), "window"),
        (_header(10) + _block(3, 10, last=True) + bytes(30), "block"),
        (bytes(good), "content"),
        (_encoded(b"a"), "lines"),
        (_encoded(RAW)[:4], "truncated"),
        (_encoded(RAW)[:-1], "truncated"),
    ):
        with pytest.raises(VerificationError) as caught:
            _decoded(first + data)
        assert caught.value.id == f"frame.{problem}"
        assert f"byte {len(first)} " in caught.value.message, problem


def test_the_longest_header_there_is_is_read_whole() -> None:
    header = MAGIC + bytes([0xC0 | 0x04 | 0x03, 0x68]) + b"dict" + (10).to_bytes(8, "little")
    assert len(header) == 18
    assert _refusal(header) == "frame.dictionary"


def test_bytes_behind_what_was_cut_out_for_a_frame_are_refused() -> None:
    stored = _encoded(RAW)
    for frame in (Frame(0, stored + b"x", len(RAW)), Frame(0, stored * 2, len(RAW))):
        with pytest.raises(VerificationError) as caught:
            FrameDecoder().decode(frame)
        assert caught.value.id == "frame.content"


def test_a_frame_that_holds_less_than_was_claimed_for_it_is_refused() -> None:
    with pytest.raises(VerificationError) as caught:
        FrameDecoder().decode(Frame(7, _encoded(RAW), len(RAW) + 1))
    assert caught.value.id == "frame.content"
    assert "byte 7 " in caught.value.message


def test_small_frames_behind_a_large_one_are_no_part_of_its_size() -> None:
    large = Random(3).randbytes(FRAME_RAW_MAX - 1).replace(b"\n", b"x") + b"\n"
    assert _decoded(_encoded(large) + _encoded(RAW) * 3) == large + RAW * 3


def _walked(data: bytes) -> int:
    """Where its first frame ends; nothing is decompressed."""
    return FrameWalker(lambda at, size: data[at : at + size], len(data)).frame_at(0).end


def test_a_frame_may_be_as_large_as_its_limit_before_its_last_block() -> None:
    def blocks(size: int) -> bytes:
        full, rest = divmod(size, BLOCK_MAX + 3)
        many = (_block(0, BLOCK_MAX, last=False) + bytes(BLOCK_MAX)) * full
        return many + _block(0, rest - 3, last=False) + bytes(rest - 3)

    header = _header(1000, window=0x68)
    end = _block(0, 1, last=True) + b"x" + bytes(4)
    for more, taken in ((0, True), (1, False)):
        data = header + blocks(FRAME_STORED_MAX - len(header) + more) + end
        if taken:
            assert _walked(data) == len(data)
        else:
            with pytest.raises(VerificationError, match="stored in more than"):
                _walked(data)


def test_small_frames_are_read_many_at_a_time_and_nothing_behind_the_end_is() -> None:
    data = _encoded(RAW) * 100
    asked: list[tuple[int, int]] = []

    def read(at: int, size: int) -> bytes:
        asked.append((at, size))
        return (data + b"a seal")[at : at + size]

    assert len(list(frames(read, len(data)))) == 100
    assert asked == [(0, len(data))]
    asked.clear()
    with pytest.raises(CutShortError):
        list(frames(read, len(data) - 1))
    assert max(at + size for at, size in asked) == len(data) - 1


def test_headers_of_blocks_are_found_up_to_the_last_one_or_the_first_bad_one() -> None:
    raw, rle = _block(0, 10, last=False) + bytes(10), _block(1, 9, last=False) + b"x"
    largest = _block(0, BLOCK_MAX, last=False) + bytes(BLOCK_MAX)
    last = _block(0, 2, last=True) + bytes(2)
    header = _header(100)
    begin = len(header)
    starts = [begin, begin + 13, begin + 17, begin + 20 + BLOCK_MAX]
    whole = header + raw + rle + largest + last
    assert list(block_headers(whole + raw)) == starts
    assert list(block_headers(whole[: starts[3] + 3])) == starts
    assert list(block_headers(whole[: starts[3] + 2])) == starts[:3]
    for bad in (_block(3, 1, last=False), _block(0, BLOCK_MAX + 1, last=False)):
        assert list(block_headers(header + raw + bad + rle)) == starts[:2]
    assert list(block_headers(MAGIC)) == []


def test_lines_are_counted_by_their_ends() -> None:
    for raw, count in ((b"", 0), (b"a\n", 1), (b"a\nb\n", 2), (b"a\nb", 1)):
        assert lines_in(raw) == count
