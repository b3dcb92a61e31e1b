"""What the daemon tells of a part that does nothing any more arrives in the status, or nothing does."""

from pathlib import Path

import pytest

from spool.stalledfile import PARTS, Stalled, read_stalled, write_stalled
from tests.support.spools import FAST


@pytest.mark.parametrize("part", PARTS)
def test_a_stalled_part_is_read_as_it_was_written_until_all_move_again(
    tmp_path: Path, part: str
) -> None:
    assert read_stalled(tmp_path) is None
    write_stalled(FAST, tmp_path, part, 1_800_000_000_000)
    assert read_stalled(tmp_path) == Stalled(part, "2027-01-15T08:00:00.000Z")
    write_stalled(FAST, tmp_path, None, 1_800_000_000_000)
    assert read_stalled(tmp_path) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"junk",
        b'{"v":2,"stalled":{"part":"intake","since":"2027-01-15T08:00:00.000Z"}}',
        b'{"v":1}',
        b'{"v":1,"stalled":"intake"}',
        b'{"v":1,"stalled":{"part":"intake"}}',
        b'{"v":1,"stalled":{"part":"other","since":"2027-01-15T08:00:00.000Z"}}',
        b'{"v":1,"stalled":{"part":"intake","since":"\\u001b[31m"}}',
        b'{"v":1,"stalled":{"part":"intake","since":"2027-01-15T08:00:00.000Z"}}' + b" " * 1024,
    ],
)
def test_what_the_daemon_did_not_write_tells_nothing(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "stalled.json").write_bytes(data)
    assert read_stalled(tmp_path) is None
