"""The segment reader: each check by its own error, in the order that was promised."""

import itertools
import os
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest

from keys.ed25519 import SigningKey
from keys.errors import VerificationError
from spool.filled import Filled
from spool.frames import FrameDecoder, FrameEncoder
from spool.lane import SEQ_MAX
from spool.ranges import RANGES_MAX, Range, format_ranges
from spool.segment import SEAL_MAGIC, SEGMENT_STORED_MAX, Segment, check_link, make_seal
from spool.statement import Lost, Statement
from spool.totals import Totals
from tests.support.spools import FAST, KEY, new_lane, raw_of, records, seal_one, sealer

KEYS = {KEY.public.id: KEY.public}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    lane = new_lane(tmp_path / "spool")
    seal_one(lane, records(2, "a", filler=50_000), records(2, "b", filler=50_000))
    return Path(shutil.copy(lane.segment(1), tmp_path / "segment"))


def _read(path: Path) -> list[bytes]:
    with Segment.open(path) as segment:
        segment.check_place("n", "transactions", 1)
        segment.check_digest()
        segment.check_signature(KEYS)
        return b"".join(raw for raw, _ in segment.raw_frames(FrameDecoder())).splitlines()


def _refusal(path: Path) -> str:
    with pytest.raises(VerificationError) as caught:
        _read(path)
    return caught.value.id


def test_a_sealed_segment_reads_as_what_was_appended(path: Path) -> None:
    assert _read(path) == records(2, "a", filler=50_000) + records(2, "b", filler=50_000)


def test_a_segment_with_a_second_name_is_not_read_unless_it_need_not_be_ours(
    path: Path, tmp_path: Path
) -> None:
    (tmp_path / "second").hardlink_to(path)
    assert _refusal(path) == "file.kind"
    with Segment.open(path, own=False) as segment:
        assert segment.statement.seq == 1


def test_every_truncation_is_refused(path: Path) -> None:
    data = path.read_bytes()
    for size in range(len(data)):
        path.write_bytes(data[:size])
        _refusal(path)


def test_every_flipped_byte_is_refused(path: Path) -> None:
    data = path.read_bytes()
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x41]) + data[at + 1 :])
        _refusal(path)


@pytest.mark.parametrize("more", [b"\n", bytes(4), b"x" * 100])
def test_trailing_bytes_are_refused(path: Path, more: bytes) -> None:
    path.write_bytes(path.read_bytes() + more)
    assert _refusal(path) in ("segment.no_seal", "segment.size")


def test_leading_bytes_are_refused(path: Path) -> None:
    path.write_bytes(b"x" + path.read_bytes())
    assert _refusal(path) == "segment.size"


def test_a_second_seal_is_refused(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data + data[data.rindex(SEAL_MAGIC) :])
    assert _refusal(path) == "segment.size"


@pytest.mark.parametrize("size", [0, 1, 11, 70_000])
def test_an_empty_or_zeroed_file_is_refused(path: Path, size: int) -> None:
    path.write_bytes(bytes(size))
    assert _refusal(path) == "segment.blank"


@pytest.mark.parametrize("ranges", [300, RANGES_MAX])
def test_a_seal_that_declares_many_numbers_lost_is_read_whole(tmp_path: Path, ranges: int) -> None:
    numbers = format_ranges(Range(SEQ_MAX - 4 * n, SEQ_MAX - 4 * n + 1) for n in range(1, ranges))
    lane = new_lane(tmp_path / "spool")
    said = replace(
        seal_one(lane, records(1, "a")),
        records=0,
        raw_size=0,
        size=0,
        first_at=None,
        last_at=None,
        reason="loss",
        lost=Lost(numbers, None, None, "budget"),
    )
    seal, digest = make_seal(said, KEY)
    path = tmp_path / "segment"
    path.write_bytes(seal)

    assert len(seal) > 8192
    with Segment.open(path) as segment:
        assert (segment.statement, segment.digest) == (said, digest)


def test_a_file_above_the_limit_is_refused_unread(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(SEGMENT_STORED_MAX + 1)  # zeros that take no room
    assert _refusal(path) == "segment.too_large"


def test_a_place_that_is_not_its_own_is_refused(path: Path) -> None:
    for place in (("m", "transactions", 1), ("n", "logs", 1), ("n", "transactions", 2)):
        with Segment.open(path) as segment, pytest.raises(VerificationError) as caught:
            segment.check_place(*place)
        assert caught.value.id == "segment.place"


def test_a_key_that_is_not_trusted_is_another_error_than_a_bad_signature(path: Path) -> None:
    other = SigningKey(bytes(32)).public
    with Segment.open(path) as segment:
        with pytest.raises(VerificationError) as caught:
            segment.check_signature({other.id: other})
        assert caught.value.id == "key.untrusted"
        with pytest.raises(VerificationError) as caught:
            segment.check_signature({KEY.public.id: other})
        assert caught.value.id == "signature.bad"


def _said(frames_of: Callable[[bytes], bytes], tmp_path: Path, **other: int) -> Path:
    """A segment whose seal is signed and whose frames are not what it says."""
    lane = new_lane(tmp_path)
    hand = sealer(lane)
    made = records(2)
    stored = frames_of(raw_of(made))
    tail = lane.open / "20261123T090000000Z-0123456789ab.ndjson.zst"
    tail.write_bytes(stored)
    fd = FAST.open_write(tail)
    totals = Totals(other.get("records", 2), other.get("raw_size", len(raw_of(made))))
    said = Filled(tail, fd, len(stored), totals, 1, sha256(stored).hexdigest(), 0, 0)
    hand.seal(said, "size")
    return lane.segment(1)


def test_a_signed_segment_that_holds_another_number_of_records_is_refused(tmp_path: Path) -> None:
    encode = FrameEncoder().encode
    assert _refusal(_said(encode, tmp_path / "a", records=1)) == "segment.count"
    assert _refusal(_said(encode, tmp_path / "b", raw_size=20)) == "segment.count"
    assert _refusal(_said(encode, tmp_path / "c", raw_size=999)) == "segment.count"


def test_a_reader_that_closes_leaves_no_descriptor(path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a folder of the kernel
    path_of_junk = path.with_name("junk")
    path_of_junk.write_bytes(b"junk")
    for _ in range(5):
        _read(path)
        _refusal(path_of_junk)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - the same


def test_attack_108_a_file_that_is_swapped_while_it_is_read_does_not_mix(path: Path) -> None:
    with Segment.open(path) as segment:
        path.unlink()
        path.write_bytes(b"another")
        segment.check_digest()
        lines = b"".join(raw for raw, _ in segment.raw_frames(FrameDecoder()))
    assert len(lines.splitlines()) == 4


def test_attack_108_a_small_file_that_is_changed_after_it_was_hashed_is_read_as_it_was(
    path: Path,
) -> None:
    with Segment.open(path) as segment:
        segment.check_digest()
        path.write_bytes(bytes(segment.stored_size))
        found = b"".join(raw for raw, _ in segment.raw_frames(FrameDecoder()))
    assert found.splitlines() == records(2, "a", filler=50_000) + records(2, "b", filler=50_000)


def test_attack_108_a_race_of_renames_shows_one_segment_or_the_other_and_never_a_mixture(
    tmp_path: Path,
) -> None:
    lane = new_lane(tmp_path)
    kinds = [records(40, "a"), records(90, "b")]
    for lines in kinds:
        seal_one(lane, lines)
    wanted = {b"".join(line + b"\n" for line in lines) for lines in kinds}
    path, stop = lane.segment(1), threading.Event()
    copies = [tmp_path / "one", tmp_path / "two"]
    for copy, seq in zip(copies, (1, 2), strict=True):
        shutil.copy(lane.segment(seq), copy)

    def swap() -> None:
        while not stop.is_set():
            for copy in copies:
                shutil.copy(copy, tmp_path / "next")
                (tmp_path / "next").rename(path)

    thread = threading.Thread(target=swap)
    thread.start()
    seen = set()
    try:
        end = time.monotonic() + 20
        for count in itertools.count():
            with Segment.open(path) as segment:
                segment.check_digest()
                segment.check_signature(KEYS)
                found = b"".join(raw for raw, _ in segment.raw_frames(FrameDecoder()))
            assert found in wanted
            seen.add(found)
            if (count > 200 and len(seen) == 2) or time.monotonic() > end:
                break
    finally:
        stop.set()
        thread.join()
    assert seen == wanted  # else there was no race


def test_statements_link_only_to_their_own_successor(tmp_path: Path) -> None:
    lane = new_lane(tmp_path)
    for n in range(3):
        seal_one(lane, records(1, f"n{n}"))
    said: list[tuple[Statement, str]] = []
    for seq in (1, 2, 3):
        with Segment.open(lane.segment(seq)) as segment:
            said.append((segment.statement, segment.digest))
    check_link(*said[0], said[1][0])
    check_link(*said[1], said[2][0])
    wrong = [(said[0], said[2]), (said[1], said[1]), (said[1], said[0])]
    for previous, later in wrong:
        with pytest.raises(VerificationError) as caught:
            check_link(*previous, later[0])
        assert caught.value.id == "chain.broken"


def test_a_segment_within_a_file_is_read_to_its_own_end_and_leaves_the_file_open(
    path: Path, tmp_path: Path
) -> None:
    stored = path.read_bytes()
    carrier = tmp_path / "carrier"
    carrier.write_bytes(b"before" + stored + stored)
    fd = os.open(carrier, os.O_RDONLY)
    try:
        for base in (len(b"before"), len(b"before") + len(stored)):
            with Segment.within(fd, base, len(stored)) as segment:
                assert segment.stored_size == len(stored)
                segment.check_digest()
                segment.check_signature(KEYS)
                lines = b"".join(raw for raw, _ in segment.raw_frames(FrameDecoder()))
            assert len(lines.splitlines()) == 4
        for size in (len(stored) - 1, len(stored) + 1):
            with pytest.raises(VerificationError):
                Segment.within(fd, len(b"before"), size)
        os.fstat(fd)
    finally:
        os.close(fd)


def test_a_segment_of_many_pieces_has_the_digest_of_all_its_bytes(tmp_path: Path) -> None:
    lane = new_lane(tmp_path)
    rng = Random(5)
    made = [b'{"x":"%s"}' % rng.randbytes(50_000).hex().encode() for _ in range(12)]
    seal_one(lane, made)
    assert lane.segment(1).stat().st_size > 2 * 256 * 1024
    assert _read(lane.segment(1)) == made


def test_a_medium_that_gives_other_frames_than_were_verified_is_found_out_by_who_asks_for_proof(
    tmp_path: Path,
) -> None:
    lane = new_lane(tmp_path)
    rng = Random(5)
    made = [b'{"x":"%s"}' % rng.randbytes(50_000).hex().encode() for _ in range(24)]
    seal_one(lane, made[:12], made[12:])
    path = lane.segment(1)
    with Segment.open(path) as segment:
        segment.check_digest()
        good = [raw for raw, _ in segment.raw_frames(FrameDecoder(), prove=True)]
        frames = [frame.stored for frame in segment.stored_frames()]
        assert len(frames) > 1
        with path.open("r+b") as file:  # as many records and bytes, each frame good
            file.write(b"".join(reversed(frames)))
        found = segment.raw_frames(FrameDecoder(), prove=True)
        shown: list[bytes] = []
        with pytest.raises(VerificationError) as caught:
            shown.extend(raw for raw, _ in found)
        assert sorted(shown) == sorted(good) != shown
    assert caught.value.id == "segment.digest"


def test_a_file_at_the_limit_is_not_too_large_and_one_of_text_is_not_blank(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(0)
        file.truncate(SEGMENT_STORED_MAX)
    assert _refusal(path) == "segment.blank"
    path.write_bytes(b"X" * 100)
    assert _refusal(path) == "segment.no_seal"


def test_a_seal_without_an_envelope_is_one_and_its_envelope_is_refused(path: Path) -> None:
    path.write_bytes(SEAL_MAGIC + (4).to_bytes(4, "little") + (12).to_bytes(4, "little"))
    assert _refusal(path) == "json.form"


def test_statements_that_do_not_link_are_named_with_their_chain(tmp_path: Path) -> None:
    lane = new_lane(tmp_path)
    first, second, third = (seal_one(lane, records(1, f"n{n}")) for n in range(3))
    with Segment.open(lane.segment(1)) as segment, pytest.raises(VerificationError) as caught:
        check_link(first, segment.digest, third)
    assert all(each in caught.value.message for each in ("segment 1", "Segment 3", second.chain))
