"""A frame that the disk never had whole is torn; one that it had and has changed is bad."""

from pathlib import Path
from random import Random

import pytest

from spool.frames import MAGIC, block_headers
from spool.lane import Lane
from spool.rewriting import Findings, examine
from tests.support.spools import leave_open, new_lane, records, unit


def _examined(data: bytes | bytearray) -> Findings:
    return examine(lambda at, size: bytes(data[at : at + size]), len(data))


def _killed(lane: Lane) -> tuple[Path, int]:
    """A file whose writer was killed after three small commits; where its last frame begins."""
    path = leave_open(lane, *([record] for record in records(3)))
    return path, path.read_bytes().rindex(MAGIC)


@pytest.mark.parametrize("cut", [True, False], ids=["to its end", "zeros behind it"])
def test_no_single_bit_can_make_the_last_acknowledged_frame_look_torn(
    tmp_path: Path, *, cut: bool
) -> None:
    path, last = _killed(new_lane(tmp_path))
    data = path.read_bytes()
    data = data.rstrip(b"\0") if cut else data
    end = len(data.rstrip(b"\0"))
    for bit in range(last * 8, end * 8):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        found = _examined(changed)
        # One bit of the header means nothing; with it the frame is as good as before.
        assert found.frames == 3 or (found.frames, bool(found.bad)) == (2, True), (
            f"bit {bit - last * 8} of the frame"
        )


def test_no_bit_of_a_length_can_make_a_frame_of_many_blocks_look_torn(tmp_path: Path) -> None:
    path = leave_open(
        new_lane(tmp_path),
        records(1),
        [b'{"x":"%b"}' % Random(1).randbytes(400_000).hex().encode()],
    )
    data = path.read_bytes()
    last = data.rindex(MAGIC)
    for at in block_headers(data[last:]):
        for bit in range(24):
            changed = bytearray(data)
            changed[last + at + bit // 8] ^= 1 << bit % 8
            assert _examined(changed).bad, f"block at {at}, bit {bit}"


@pytest.mark.parametrize("begin", [0, 100, 512, 700])
def test_a_frame_that_lacks_any_sector_is_torn(tmp_path: Path, begin: int) -> None:
    lane = new_lane(tmp_path)
    path = leave_open(lane, [b'{"x":"%b"}' % Random(2).randbytes(begin).hex().encode()])
    whole = unit([b'{"x":"%b"}' % Random(1).randbytes(1500).hex().encode()]).data
    good = _examined(path.read_bytes()).end
    data = path.read_bytes()[:good] + whole
    sectors = range(good // 512, len(data) // 512 + 1)
    for gone in sectors:
        lacking = bytearray(data)
        first, after = max(gone * 512, good), min((gone + 1) * 512, len(data))
        lacking[first:after] = bytes(after - first)
        found = _examined(lacking + bytes(3000))
        assert (found.frames, found.bad) == (1, []), f"sector {gone}"
        assert found.torn
