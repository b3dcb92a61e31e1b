"""What takes compression off gives the body, an error, and never much at once."""

import gc
import gzip
import tracemalloc
import weakref
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from random import Random

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from bridge.intake.encodings import (
    MEMBERS_MAX,
    STEP,
    WINDOW_MAX,
    check_codings,
    decoder_for,
)
from bridge.intake.refusals import RefusalError


def _raw_deflate(data: bytes) -> bytes:
    made = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return made.compress(data) + made.flush()


def _zstd_without_size(data: bytes) -> bytes:
    made = zstandard.ZstdCompressor(write_checksum=True).compressobj()
    return made.compress(data) + made.flush()


FORMS: Mapping[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "deflate, raw": ("deflate", _raw_deflate),
    "zlib": ("zlib", zlib.compress),
    "zstd": ("zstd", zstandard.ZstdCompressor().compress),
    "zstd, size unknown": ("zstd", _zstd_without_size),
}
BODIES = [b"", b"a", b"hello " * 1000, bytes(STEP), bytes(STEP + 1), Random(1).randbytes(100_000)]


def decoded(coding: str, data: bytes, cut: int = 10**9) -> bytes:
    made: list[bytes] = []
    decoder = decoder_for(coding, made.append)
    for at in range(0, len(data), cut):
        decoder.feed(data[at : at + cut])
    decoder.finish()
    assert all(len(piece) <= STEP for piece in made)
    return b"".join(made)


def refused(coding: str, data: bytes) -> str:
    with pytest.raises(RefusalError) as refusal:
        decoded(coding, data)
    assert refusal.value.status == 400
    return refusal.value.id


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("body", BODIES, ids=lambda body: str(len(body)))
def test_a_body_comes_out_as_it_went_in_and_no_beginning_of_it_does(form: str, body: bytes) -> None:
    coding, encode = FORMS[form]
    stored = encode(body)
    for cut in (1, 7, len(stored) + 1):
        if len(stored) // cut < 20_000:
            assert decoded(coding, stored, cut) == body
    for end in {*range(min(60, len(stored))), len(stored) - 5, len(stored) - 1} - {len(stored)}:
        if 0 <= end < len(stored):
            assert refused(coding, stored[:end]) == "intake.encoding_broken"
    for more in (b"x", b"\0", b"more bytes than a head has, and none of any format"):
        assert refused(coding, stored + more) == "intake.encoding_broken"


def test_gzip_of_many_members_and_zstd_of_many_frames_are_one_body() -> None:
    parts = [b"a" * 10, b"", b"b" * 100_000]
    assert decoded("gzip", b"".join(map(gzip.compress, parts))) == b"".join(parts)
    skippable = b"\x50\x2a\x4d\x18\x03\0\0\0abc"
    frames = map(zstandard.ZstdCompressor().compress, parts)
    assert decoded("zstd", skippable.join(frames) + skippable) == b"".join(parts)


def test_members_without_number_are_refused() -> None:
    empty = gzip.compress(b"")
    assert decoded("gzip", empty * MEMBERS_MAX) == b""
    assert refused("gzip", empty * (MEMBERS_MAX + 1)) == "intake.encoding_broken"


def test_a_sink_that_wants_no_more_ends_a_bomb_after_one_step() -> None:
    class EnoughError(Exception):
        pass

    made = 0

    def sink(piece: bytes) -> None:
        nonlocal made
        made += len(piece)
        raise EnoughError

    for coding, encode in FORMS.values():
        made = 0
        with pytest.raises(EnoughError):
            decoder_for(coding, sink).feed(encode(bytes(50_000_000)))
        assert 0 < made <= STEP


@contextmanager
def nobody_collecting() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("body", [b"whole", b""], ids=["whole", "broken"])
def test_a_decoder_that_nobody_holds_is_gone_at_once(form: str, body: bytes) -> None:
    coding, encode = FORMS[form]
    made: list[bytes] = []
    with nobody_collecting():
        decoder = decoder_for(coding, made.append)
        with suppress(RefusalError):
            decoder.feed(encode(body) if body else b"broken")
            decoder.finish()
        held = weakref.ref(decoder)
        del decoder
        assert held() is None


@pytest.mark.parametrize("form", FORMS)
def test_a_bomb_that_was_refused_leaves_no_memory_behind(form: str) -> None:
    class EnoughError(Exception):
        pass

    def sink(_: bytes) -> None:
        raise EnoughError

    coding, encode = FORMS[form]
    bomb = encode(bytes(10 * STEP))
    many = 50
    tracemalloc.start()
    try:
        with nobody_collecting():
            for _ in range(many):
                with pytest.raises(EnoughError):
                    decoder_for(coding, sink).feed(bomb)
            gc.collect()
            assert tracemalloc.get_traced_memory()[0] < many * STEP // 4
    finally:
        tracemalloc.stop()


def test_a_zstd_frame_with_a_larger_window_is_refused() -> None:
    def with_window(log: int) -> bytes:
        wanted = zstandard.ZstdCompressionParameters(window_log=log, write_content_size=0)
        made = zstandard.ZstdCompressor(compression_params=wanted).compressobj()
        return made.compress(b"x" * 1000) + made.flush()

    assert WINDOW_MAX.bit_length() == 24
    assert decoded("zstd", with_window(23)) == b"x" * 1000
    assert refused("zstd", with_window(24)) == "intake.encoding_broken"


@given(
    coding=st.sampled_from(["gzip", "deflate", "zlib", "zstd"]),
    head=st.sampled_from([b"", b"\x1f\x8b\x08", b"\x78\x9c", b"\x28\xb5\x2f\xfd"]),
    rest=st.binary(max_size=200),
    cut=st.integers(1, 50),
)
def test_any_bytes_are_a_body_or_a_refusal(coding: str, head: bytes, rest: bytes, cut: int) -> None:
    try:
        decoded(coding, head + rest, cut)
    except RefusalError as refusal:
        assert refusal.id == "intake.encoding_broken"  # noqa: PT017 - both ends are right


@pytest.mark.parametrize("values", [[], ["identity"], ["Identity "], [""]])
def test_no_coding_is_no_coding(values: list[str]) -> None:
    assert check_codings(values) is None


@pytest.mark.parametrize(
    "values",
    [
        ["br"],
        ["snappy"],
        ["lz4"],
        ["compress"],
        ["gzip, gzip"],
        ["gzip", "zstd"],
        ["identity,gzip"],
    ],
)
def test_other_codings_and_several_are_told_which_are_taken(values: list[str]) -> None:
    with pytest.raises(RefusalError) as refusal:
        check_codings(values)
    assert refusal.value.status == 415
    assert "gzip" in refusal.value.hint
    assert "zstd" in refusal.value.hint
    assert refusal.value.headers == {"Accept-Encoding": "gzip, zstd"}


def test_names_of_codings_are_taken_in_any_case() -> None:
    assert [check_codings([name]) for name in ("GZIP", " Zstd", "zlib")] == ["gzip", "zstd", "zlib"]
