"""Whatever the bytes: a segment, or our error; the same of frames, heads and open files."""

import os
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from keys import dsse
from keys.errors import VerificationError
from spool import head, statement
from spool.frames import FRAME_RAW_MAX, MAGIC, FrameDecoder, frames
from spool.rewriting import examine, good_lines
from spool.segment import SEAL_MAGIC, Segment
from spool.totals import NOTHING
from tests.support.spools import KEY, lines_of, new_lane, raw_in, raw_of, records, seal_one, unit

KEYS = {KEY.public.id: KEY.public}
FRAME = unit(records(3)).data


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    lane = new_lane(tmp_path_factory.mktemp("spool"))
    seal_one(lane, records(3))
    return lane.segment(1).read_bytes()


def _segment(data: bytes) -> Segment:
    fd = os.memfd_create("segment")
    os.write(fd, data)
    return Segment(fd)


def _read(data: bytes) -> list[bytes] | None:
    """The lines of a segment that passes every check; None if it was refused."""
    try:
        with _segment(data) as segment:
            segment.check_place("n", "transactions", 1)
            segment.check_digest()
            segment.check_signature(KEYS)
            return lines_of(segment).splitlines()
    except VerificationError:
        return None


def _seal(envelope: bytes) -> bytes:
    size = len(envelope) + 12
    return SEAL_MAGIC + (size - 8).to_bytes(4, "little") + envelope + size.to_bytes(4, "little")


PIECES = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.sampled_from([FRAME, FRAME[:-1], MAGIC, SEAL_MAGIC, bytes(12), b"\x0c\0\0\0"]),
    ),
    max_size=6,
).map(b"".join)


@given(PIECES)
def test_any_bytes_are_no_segment_and_no_other_error(data: bytes) -> None:
    assert _read(data) is None


@given(PIECES, st.binary(max_size=200))
def test_any_envelope_under_a_well_formed_seal_is_refused(before: bytes, envelope: bytes) -> None:
    assert _read(before + _seal(envelope)) is None


@given(PIECES, st.binary(max_size=200))
def test_any_signed_payload_is_a_statement_or_refused(before: bytes, payload: bytes) -> None:
    assert _read(before + _seal(dsse.seal(statement.PAYLOAD_TYPE, payload, [KEY]))) is None


@given(st.data())
def test_an_edited_segment_is_refused_or_says_the_same(sealed: bytes, data: st.DataObject) -> None:
    begin = data.draw(st.integers(0, len(sealed)))
    end = data.draw(st.integers(begin, min(begin + 20, len(sealed))))
    edited = sealed[:begin] + data.draw(st.binary(max_size=20)) + sealed[end:]
    assert _read(edited) in (None, records(3))


@given(PIECES, st.integers(1, 5), st.integers(3, 500))
def test_frames_under_an_honest_seal_hold_what_was_signed_or_are_refused(
    stored: bytes, count: int, raw_size: int
) -> None:
    said = statement.Statement(
        node="n", stream="transactions", chain="c" * 32, seq=1, prev=statement.NO_DIGEST,
        records=count, size=len(stored), raw_size=max(raw_size, 2 * count),
        sha256=sha256(stored).hexdigest(), before=NOTHING, first_at=0, last_at=0,
        reason="size",
    )  # fmt: skip
    found = _read(stored + _seal(dsse.seal(statement.PAYLOAD_TYPE, statement.encode(said), [KEY])))
    if found is not None:
        assert (len(found), len(raw_of(found))) == (said.records, said.raw_size)


@given(PIECES)
@example(FRAME + FRAME)
def test_any_bytes_are_frames_of_whole_lines_or_refused(data: bytes) -> None:
    decoder = FrameDecoder()
    read = b""
    try:
        for frame in frames(lambda at, size: data[at : at + size], len(data)):
            raw = raw_in(frame, decoder)
            assert 0 < len(raw) <= FRAME_RAW_MAX
            assert raw.endswith(b"\n")
            read += frame.stored
    except VerificationError:
        return
    assert read == data


@given(PIECES)
def test_every_byte_of_an_open_file_is_good_bad_torn_or_a_zero_at_its_end(data: bytes) -> None:
    def read(at: int, size: int) -> bytes:
        return data[at : at + size]

    found = examine(read, len(data))
    stretches = sorted([*found.good, *found.bad])
    if found.torn:
        written = len(data.rstrip(b"\0"))
        stretches.append((written - found.torn, written))
    assert [begin for begin, _ in stretches] == [0, *(end for _, end in stretches)][:-1]
    assert not data[stretches[-1][1] if stretches else 0 :].strip(b"\0")
    held = b"".join(good_lines(read, found))
    assert (held.count(b"\n"), len(held)) == (found.totals.records, found.totals.raw_size)
    good = b"".join(data[begin:end] for begin, end in found.good)
    assert found.sha256 == sha256(good).hexdigest()


@given(st.binary(max_size=400))
@settings(max_examples=50)
def test_any_bytes_are_a_head_or_refused(data: bytes) -> None:
    try:
        decoded = head.decode(data)
    except VerificationError:
        return
    assert head.decode(head.encode(decoded)) == decoded


def test_the_golden_oracle_itself_reads_a_good_segment(sealed: bytes, tmp_path: Path) -> None:
    assert _read(sealed) == records(3)
    (tmp_path / "file").write_bytes(sealed)
    with Segment.open(tmp_path / "file") as segment:
        assert segment.stored_size == len(sealed)
