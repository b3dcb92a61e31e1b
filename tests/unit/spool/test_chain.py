"""The chain: no number twice, nothing acknowledged passed over, whatever happened to the head."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from keys.ed25519 import SigningKey
from keys.errors import VerificationError
from spool.chain import Chain
from spool.clock import SYSTEM_CLOCK
from spool.discovery import discover
from spool.frontier import Frontier, write_frontier
from spool.head import Head, decode, folder_mark, read_head, write_head
from spool.lane import Lane
from spool.ledger import Ledger
from spool.ranges import ChainRanges, Range
from spool.sealing import Sealer
from spool.segment import Segment
from spool.statement import NO_CHAIN, NO_DIGEST, Follows
from tests.support.books import lines, statements
from tests.support.spools import (
    FAST,
    KEY,
    new_lane,
    open_tail,
    records,
    recover,
    seal_one,
    sealer,
)

MILLION = 1_000_000


def _head(lane: Lane) -> Head:
    head = read_head(lane)
    assert head is not None
    return head


def _chain(lane: Lane) -> Chain:
    return Chain(FAST, lane, KEY, SYSTEM_CLOCK)


def _digest(lane: Lane, seq: int) -> str:
    with Segment.open(lane.segment(seq)) as segment:
        return segment.digest


def _aside(lane: Lane) -> list[Path]:
    found = (lane.spool / "quarantine").iterdir()
    return [path for path in found if not path.name.endswith(".reason.json")]


def test_the_first_segment_of_a_lane_is_number_1_and_follows_nothing(tmp_path: Path) -> None:
    said = seal_one(new_lane(tmp_path), records(1))
    assert (said.seq, said.prev, said.follows) == (1, NO_DIGEST, None)


def test_a_lost_head_begins_a_chain_at_the_next_million_that_says_what_it_follows(
    tmp_path: Path,
) -> None:
    lane = new_lane(tmp_path)
    old = [seal_one(lane, records(1, f"o{n}")) for n in range(3)]
    lane.head.unlink()
    said = seal_one(lane, records(1, "new"))
    assert said.seq == MILLION
    assert said.follows == Follows(old[0].chain, 3, _digest(lane, 3), "head_lost")
    assert said.chain != old[0].chain
    assert len(lines(lane, KEY)) == 4


def test_recovery_gives_a_lane_that_lost_its_head_a_new_one(tmp_path: Path) -> None:
    lane = new_lane(tmp_path)
    seal_one(lane, records(2))
    lane.head.unlink()
    recover(lane)
    assert [said.reason for said, _ in statements(lane, KEY)] == ["size", "heartbeat"]
    assert lines(lane, KEY) == records(2)


@pytest.mark.parametrize("data", [b"", b"{}", b"junk", bytes(300), b"x" * 5000])
def test_a_head_that_is_none_is_kept_aside_and_counts_as_lost(tmp_path: Path, data: bytes) -> None:
    lane = new_lane(tmp_path)
    seal_one(lane, records(1))
    lane.head.write_bytes(data)
    assert seal_one(lane, records(1, "new")).seq == MILLION
    (aside,) = _aside(lane)
    assert aside.read_bytes() == data


def _symlink(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.mkdir()
    (path / "x").write_bytes(b"x")


def _file(path: Path) -> None:
    path.write_bytes(b"junk")


PLANTS = [_symlink, _fifo, _folder, _file]


@pytest.mark.parametrize("plant", PLANTS)
def test_whatever_lies_in_the_heads_place_is_moved_out_of_the_way(
    tmp_path: Path, plant: Callable[[Path], None]
) -> None:
    lane = new_lane(tmp_path)
    seal_one(lane, records(1))
    lane.head.unlink()
    plant(lane.head)
    assert seal_one(lane, records(1, "new")).seq == MILLION
    assert _head(lane).seq == MILLION


@pytest.mark.parametrize("plant", PLANTS)
def test_junk_in_the_next_numbers_place_is_set_aside_unread_and_the_number_used(
    tmp_path: Path, plant: Callable[[Path], None]
) -> None:
    lane = new_lane(tmp_path)
    seal_one(lane, records(1))
    plant(lane.segment(2))
    assert seal_one(lane, records(1, "new")).seq == 2
    assert lines(lane, KEY) == records(1) + records(1, "new")
    (aside,) = _aside(lane)
    assert aside.name.endswith("000000000002.ndjson.zst")
    assert lane.segment(2).is_file()


def test_a_good_segment_of_a_stranger_in_the_next_place_is_set_aside(tmp_path: Path) -> None:
    lane = new_lane(tmp_path)
    seal_one(lane, records(1))
    before = lane.head.read_bytes()
    stranger = Sealer(FAST, lane, SigningKey(bytes(32)), SYSTEM_CLOCK)
    stranger.seal(open_tail(lane, [records(1, "stranger")]).filled(), "size")
    lane.head.write_bytes(before)
    assert seal_one(lane, records(1, "new")).seq == 2
    assert lines(lane, KEY) == records(1) + records(1, "new")


def test_our_own_segment_that_does_not_link_to_the_head_is_set_aside(tmp_path: Path) -> None:
    lane = new_lane(tmp_path)
    seal_one(lane, records(1))
    before = _head(lane)
    seal_one(lane, records(1, "second"))
    write_head(FAST, lane, replace(before, digest="a" * 64))
    assert seal_one(lane, records(1, "new")).seq == 2
    assert len(_aside(lane)) == 1


def test_a_half_done_sealing_whose_bytes_rotted_is_not_taken_over(tmp_path: Path) -> None:
    lane = new_lane(tmp_path)
    seal_one(lane, records(1))
    before = lane.head.read_bytes()
    seal_one(lane, records(1, "second"))
    lane.head.write_bytes(before)
    data = bytearray(lane.segment(2).read_bytes())
    data[20] ^= 1
    lane.segment(2).write_bytes(data)
    recover(lane)
    assert _head(lane).seq == 1
    assert seal_one(lane, records(1, "new")).seq == 2


@pytest.mark.parametrize("behind", [1, 2, 3])
def test_sealings_that_never_reached_the_head_are_taken_over(tmp_path: Path, behind: int) -> None:
    lane = new_lane(tmp_path)
    seal_one(lane, records(1))
    before = lane.head.read_bytes()
    for n in range(behind):
        seal_one(lane, records(1, f"s{n}"))
    lane.head.write_bytes(before)
    assert seal_one(lane, records(1, "new")).seq == behind + 2
    assert len(lines(lane, KEY)) == behind + 2
    assert not (tmp_path / "quarantine").exists()


def test_a_copied_spool_begins_a_chain_that_follows_the_head_it_was_copied_with(
    tmp_path: Path,
) -> None:
    first = new_lane(tmp_path / "first")
    seal_one(first, records(2))
    shutil.copytree(tmp_path / "first", tmp_path / "copy", symlinks=True)
    copy = Lane(tmp_path / "copy", "n", "transactions")
    said = seal_one(copy, records(1, "copy"))
    assert said.seq == MILLION
    head = _head(first)
    assert said.follows == Follows(head.chain, 1, head.digest, "moved")
    assert seal_one(copy, records(1, "more")).seq == MILLION + 1
    assert seal_one(first, records(1, "first")).seq == 2


def test_a_spool_that_was_only_renamed_goes_on_with_its_chain(tmp_path: Path) -> None:
    seal_one(new_lane(tmp_path / "first"), records(2))
    (tmp_path / "first").rename(tmp_path / "second")
    assert seal_one(Lane(tmp_path / "second", "n", "transactions"), records(1)).seq == 2


def test_a_copy_whose_folder_got_the_same_inode_number_is_known_for_a_copy(
    tmp_path: Path,
) -> None:
    lane = new_lane(tmp_path)
    old = seal_one(lane, records(1))
    aside = tmp_path / "aside"
    aside.mkdir()
    for path in list(lane.folder.iterdir()):
        path.rename(aside / path.name)
    lane.folder.rmdir()
    lane.folder.mkdir()  # ext4 gives it the number that was freed just now
    for path in list(aside.iterdir()):
        path.rename(lane.folder / path.name)
    if folder_mark(lane) == lane.folder.stat().st_ino:
        pytest.skip("this file system tells no generation of an inode")
    said = seal_one(lane, records(1, "new"))
    assert said.seq == MILLION
    assert said.follows == Follows(old.chain, 1, _digest(lane, 1), "moved")


def test_a_head_with_the_inode_number_of_its_folder_alone_still_counts(tmp_path: Path) -> None:
    lane = new_lane(tmp_path)
    seal_one(lane, records(1))
    write_head(FAST, lane, replace(_head(lane), folder=lane.folder.stat().st_ino))
    assert seal_one(lane, records(1, "new")).seq == 2
    assert _head(lane).folder == folder_mark(lane)


def test_a_half_done_beginning_of_a_copys_chain_is_followed_not_passed_over(
    tmp_path: Path,
) -> None:
    lane = new_lane(tmp_path)
    seal_one(lane, records(1))
    moved = replace(_head(lane), folder=folder_mark(lane) + 1)
    write_head(FAST, lane, moved)
    begun = seal_one(lane, records(1, "begun"))
    write_head(FAST, lane, moved)  # the crash came before the head
    said = seal_one(lane, records(1, "new"))
    assert said.seq == 2 * MILLION
    assert said.follows == Follows(begun.chain, MILLION, _digest(lane, MILLION), "moved")


def test_a_copy_that_was_made_while_its_node_was_sealing_takes_over_what_links(
    tmp_path: Path,
) -> None:
    lane = new_lane(tmp_path)
    seal_one(lane, records(1))
    old = _head(lane)
    seal_one(lane, records(1, "later"))
    write_head(FAST, lane, replace(old, folder=old.folder + 1))
    said = seal_one(lane, records(1, "new"))
    assert said.follows == Follows(old.chain, 2, _digest(lane, 2), "moved")


def test_no_number_is_used_again_when_head_and_segments_are_gone_but_the_frontier_is_not(
    tmp_path: Path,
) -> None:
    lane = new_lane(tmp_path)
    chain = seal_one(lane, records(1)).chain
    write_frontier(FAST, lane, Frontier([ChainRanges(chain, (Range(1, MILLION + 5),))]))
    lane.segment(1).unlink()
    lane.head.unlink()
    said = seal_one(lane, records(1, "new"))
    assert said.seq == 2 * MILLION
    assert said.follows == Follows(chain, MILLION + 5, NO_DIGEST, "head_lost")


def test_no_number_is_used_again_that_only_a_fork_has(tmp_path: Path) -> None:
    lane = new_lane(tmp_path)
    lane.forks.mkdir()
    (lane.forks / f"{3 * MILLION:012d}-{'a' * 16}.ndjson.zst").write_bytes(b"")
    said = seal_one(lane, records(1, "new"))
    assert said.seq == 4 * MILLION
    assert said.follows == Follows(NO_CHAIN, 3 * MILLION, NO_DIGEST, "head_lost")


def test_where_the_last_segment_cannot_be_read_its_chain_is_still_named(tmp_path: Path) -> None:
    lane = new_lane(tmp_path)
    chain = seal_one(lane, records(1)).chain
    seal_one(lane, records(1))
    lane.head.unlink()
    lane.segment(2).write_bytes(b"junk")
    said = seal_one(lane, records(1, "new"))
    assert said.follows == Follows(chain, 2, NO_DIGEST, "head_lost")


def test_losing_the_head_again_and_again_uses_no_number_twice(tmp_path: Path) -> None:
    lane = new_lane(tmp_path)
    numbers = []
    for n in range(4):
        numbers.append(seal_one(lane, records(1, f"n{n}")).seq)
        lane.head.unlink()
    recover(lane)
    assert numbers == [1, MILLION, 2 * MILLION, 3 * MILLION]
    assert len(lines(lane, KEY)) == 4


def test_a_lane_in_order_is_left_as_it_is(tmp_path: Path) -> None:
    lane = new_lane(tmp_path)
    assert sealer(lane).settle_head() is None
    seal_one(lane, records(1))
    before = lane.head.read_bytes()
    assert sealer(lane).settle_head() is None
    assert lane.head.read_bytes() == before
    assert _chain(lane).next().seq == 2


@pytest.mark.parametrize("left", [0, 3])
def test_a_head_below_what_the_ledger_knows_begins_a_new_chain_above_it(
    tmp_path: Path, left: int
) -> None:
    lane = new_lane(tmp_path)
    for _ in range(3):
        seal_one(lane, records(1))
    if not left:  # the whole lane is gone, and the ledger is not
        shutil.rmtree(lane.folder)
        lane = new_lane(tmp_path)
    ours = sealer(lane)
    assert ours.settle_head(left) is None  # nothing above it is known
    begun = ours.settle_head(5)
    assert begun is not None
    assert (begun.reason, begun.seq) == ("heartbeat", MILLION)
    assert begun.follows is not None
    assert begun.follows.seq == (left or 5)
    # Whoever knows nothing of the ledger goes on from there.
    assert seal_one(lane, records(1)).seq == MILLION + 1
    assert ours.settle_head(5) is None


def test_a_head_of_another_version_counts_as_lost_and_says_that_it_is_no_head(
    tmp_path: Path,
) -> None:
    lane = new_lane(tmp_path)
    seal_one(lane, records(1))
    data = lane.head.read_bytes()
    assert decode(data).seq == 1
    with pytest.raises(VerificationError, match="head") as caught:
        decode(data.replace(b'"v":1', b'"v":2'))
    assert caught.value.id == "document.field"


def test_a_head_that_was_set_back_gives_out_no_number_that_the_ledger_has(tmp_path: Path) -> None:
    lane = new_lane(tmp_path)
    seal_one(lane, records(1, "a"))
    early = lane.head.read_bytes()
    seal_one(lane, records(1, "b"))
    with Ledger.open(tmp_path, clock=SYSTEM_CLOCK) as ledger:
        discover(ledger, lane)
    # A part of a copy was put back, and whoever appends comes before the daemon.
    lane.head.write_bytes(early)
    lane.segment(2).unlink()
    said = seal_one(lane, records(1, "c"))
    assert said.seq == MILLION
    with Ledger.open(tmp_path, clock=SYSTEM_CLOCK) as ledger:
        assert discover(ledger, lane)
        assert [(span.first, span.last) for span in ledger.spans(lane)] == [
            (1, 2),
            (MILLION, MILLION),
        ]


def test_whoever_seals_gives_no_number_twice_though_the_head_is_set_back_meanwhile(
    tmp_path: Path,
) -> None:
    lane = new_lane(tmp_path)
    seals = sealer(lane)
    seals.heartbeat()
    early = lane.head.read_bytes()
    seals.heartbeat()
    lane.head.write_bytes(early)
    lane.segment(2).unlink()
    assert seals.heartbeat().seq == MILLION


def test_a_ledger_that_cannot_be_read_keeps_nobody_from_sealing(tmp_path: Path) -> None:
    lane = new_lane(tmp_path)
    (tmp_path / "ledger.lock").touch()
    (tmp_path / "ledger.db").write_bytes(b"no ledger at all")
    assert seal_one(lane, records(1)).seq == 1
