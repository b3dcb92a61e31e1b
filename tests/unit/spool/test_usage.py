"""How much a spool holds is known again and again without reading what did not change."""

import os
import time
from pathlib import Path

from spool.ballast import Ballast
from spool.durable import OsDisk
from spool.usage import SETTLED_NS, Usage, bytes_below, held_by


def shard(spool: Path, *sizes: int) -> Path:
    folder = spool / "n" / "logs" / "sealed" / "00000000"
    folder.mkdir(parents=True, exist_ok=True)
    for number, size in enumerate(sizes):
        (folder / f"{number:012d}.ndjson.zst").write_bytes(b"x" * size)
    return folder


def settle(folder: Path) -> None:
    """As if nothing had changed in it for a while."""
    then = time.time_ns() - 2 * SETTLED_NS
    os.utime(folder, ns=(then, then))


def test_all_files_below_a_folder_count(tmp_path: Path) -> None:
    shard(tmp_path, 5, 7)
    (tmp_path / "ledger.db").write_bytes(b"x" * 100)
    (tmp_path / "link").symlink_to("/dev/zero")
    assert bytes_below(tmp_path) == 5 + 7 + 100 + len("/dev/zero")


def test_the_ballast_is_no_part_of_what_a_spool_may_hold(tmp_path: Path) -> None:
    shard(tmp_path, 5)
    assert held_by(tmp_path) == 5
    assert Ballast(OsDisk(), tmp_path, 1000).take(2000)
    assert (held_by(tmp_path), bytes_below(tmp_path)) == (5, 1005)


def test_what_a_node_called_sealed_writes_counts_as_it_grows(tmp_path: Path) -> None:
    lane = tmp_path / "sealed" / "logs"
    (lane / "open").mkdir(parents=True)
    settle(lane)
    usage = Usage()
    for size in (3, 9):
        (lane / "open" / "one.ndjson.zst").write_bytes(b"x" * size)
        assert usage.bytes_below(tmp_path) == size


def test_a_folder_of_sealed_segments_is_read_again_only_when_it_changed(tmp_path: Path) -> None:
    usage, folder = Usage(), shard(tmp_path, 5)
    settle(folder)
    assert usage.bytes_below(tmp_path) == 5
    before = folder.stat()
    (folder / "000000000000.ndjson.zst").write_bytes(b"x" * 50)  # as nothing of ours does
    assert folder.stat().st_mtime_ns == before.st_mtime_ns
    assert usage.bytes_below(tmp_path) == 5
    shard(tmp_path, 50, 1)
    assert usage.bytes_below(tmp_path) == 51


def test_a_folder_that_changed_just_now_is_not_trusted_to_stay_so(tmp_path: Path) -> None:
    usage, folder = Usage(), shard(tmp_path, 5)
    assert usage.bytes_below(tmp_path) == 5
    now = folder.stat().st_mtime_ns
    shard(tmp_path, 5, 6)
    os.utime(folder, ns=(now, now))  # both changes in one tick of the kernel's clock
    assert usage.bytes_below(tmp_path) == 11


def test_a_node_that_is_named_like_such_a_folder_is_read_every_time(tmp_path: Path) -> None:
    usage, node = Usage(), tmp_path / "00000000"
    (node / "logs" / "open").mkdir(parents=True)
    settle(node)
    assert usage.bytes_below(tmp_path) == 0
    (node / "logs" / "open" / "w.ndjson.zst").write_bytes(b"x")
    assert usage.bytes_below(tmp_path) == 1
