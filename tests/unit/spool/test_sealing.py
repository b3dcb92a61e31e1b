"""Sealing: an open file becomes the next segment, whole and in order, or stays where it is."""

import threading
from pathlib import Path

import pytest

from keys.ed25519 import SigningKey
from keys.errors import VerificationError
from spool.chain import chain_lock
from spool.clock import SYSTEM_CLOCK
from spool.errors import SpoolError
from spool.head import read_head
from spool.keeper import Keeper
from spool.openfile import open_files
from spool.sealing import Sealer
from spool.segment import Segment
from spool.statement import Lost
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
    unit,
)


def test_the_statements_of_a_chain_link_and_sum_up(tmp_path: Path) -> None:
    lane = new_lane(tmp_path)
    seal_one(lane, records(2))
    sealer(lane).heartbeat()
    seal_one(lane, records(3))
    said = [statement for statement, _ in statements(lane, KEY)]
    assert [statement.seq for statement in said] == [1, 2, 3]
    assert said[2].before == said[0].totals
    head = read_head(lane)
    assert head is not None
    assert (head.seq, head.after) == (3, said[2].after)


def test_the_digest_of_the_head_is_that_of_the_last_statement(tmp_path: Path) -> None:
    lane = new_lane(tmp_path)
    seal_one(lane, records(2))
    head = read_head(lane)
    with Segment.open(lane.segment(1)) as segment:
        assert head is not None
        assert head.digest == segment.digest


def test_many_small_frames_become_few_and_no_line_is_changed(tmp_path: Path) -> None:
    lane = new_lane(tmp_path)
    groups = [[record] for record in records(50)]
    tail = open_tail(lane, groups)
    size = tail.size
    said = sealer(lane).seal(tail.filled(), "size")
    assert said.size < size / 4
    assert lines(lane, KEY) == records(50)
    with Segment.open(lane.segment(1)) as segment:
        assert len(list(segment.stored_frames())) == 1


def test_frames_that_are_full_are_sealed_as_they_are(tmp_path: Path) -> None:
    lane = new_lane(tmp_path)
    groups = [records(50, name, filler=1000) for name in "ab"]
    tail = open_tail(lane, groups)
    stored = tail.path.read_bytes()[: tail.size]
    sealer(lane).seal(tail.filled(), "size")
    assert lane.segment(1).read_bytes().startswith(stored)


def test_while_several_files_wait_they_are_sealed_as_they_are_and_the_last_ones_rewritten(
    tmp_path: Path,
) -> None:
    lane = new_lane(tmp_path)
    keeper = Keeper(lane, KEY, None, FAST, SYSTEM_CLOCK, lambda *_: False)
    for name in "abcd":
        tail = open_tail(lane, [[record] for record in records(10, name)])
        keeper.complete.append((tail, "size", False))
    keeper.finish()
    frames = []
    for seq in range(1, 5):
        with Segment.open(lane.segment(seq)) as segment:
            frames.append(len(list(segment.stored_frames())))
    assert frames == [10, 10, 1, 1]
    assert lines(lane, KEY) == [each for name in "abcd" for each in records(10, name)]


def test_a_loss_record_and_a_heartbeat_hold_no_bytes_before_their_seal(tmp_path: Path) -> None:
    lane = new_lane(tmp_path)
    hand = sealer(lane)
    hand.heartbeat()
    hand.declare_lost(Lost("1", 3, 70, "test"))
    said = [statement for statement, _ in statements(lane, KEY)]
    assert [statement.reason for statement in said] == ["heartbeat", "loss"]
    assert said[1].lost == Lost("1", 3, 70, "test")
    assert not open_files(lane)


def test_a_file_that_rotted_before_its_sealing_is_not_sealed_as_if_it_were_whole(
    tmp_path: Path,
) -> None:
    lane = new_lane(tmp_path)
    tail = open_tail(lane, [[record] for record in records(5)])
    data = bytearray(tail.path.read_bytes())
    data[tail.size // 2] ^= 1
    tail.path.write_bytes(data)
    with pytest.raises(OSError, match="does not hold what was written"):
        sealer(lane).seal(tail.filled(), "size")
    assert read_head(lane) is None
    (done,) = recover(lane)
    assert done.bad > 0
    reasons = [said.reason for said, _ in statements(lane, KEY)]
    assert reasons == ["loss", "recovered"]
    assert lines(lane, KEY) == [*records(5)[:2], *records(5)[3:]]


def test_cutting_back_a_file_that_rotted_leaves_it_for_recovery(tmp_path: Path) -> None:
    lane = new_lane(tmp_path)
    tail = open_tail(lane, [[record] for record in records(3)])
    tail.path.write_bytes(bytes(tail.size))
    with pytest.raises(OSError, match="does not hold what was written"):
        tail.cut_back()
    assert open_files(lane) == [tail.path]


def test_what_was_never_acknowledged_is_cut_off(tmp_path: Path) -> None:
    lane = new_lane(tmp_path)
    tail = open_tail(lane, [records(2)])
    FAST.write(tail.fd, [unit(records(2, "failed")).data], tail.size)
    sealer(lane).seal(tail.cut_back(), "recovered")
    assert lines(lane, KEY) == records(2)


def test_sealers_of_several_threads_use_every_number_once(tmp_path: Path) -> None:
    lane = new_lane(tmp_path)
    tails = [open_tail(lane, [records(1, f"t{n}")]) for n in range(16)]

    def seal(share: int) -> None:
        hand = Sealer(FAST, lane, KEY, SYSTEM_CLOCK)
        for tail in tails[share::4]:
            hand.seal(tail.filled(), "size")

    threads = [threading.Thread(target=seal, args=(share,)) for share in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [said.seq for said, _ in statements(lane, KEY)] == list(range(1, 17))
    assert sorted(lines(lane, KEY)) == sorted(records(1, f"t{n}")[0] for n in range(16))


def test_a_segment_of_another_key_is_not_ours(tmp_path: Path) -> None:
    lane = new_lane(tmp_path)
    seal_one(lane, records(1))
    with pytest.raises(VerificationError) as caught:
        list(statements(lane, SigningKey(bytes(32))))
    assert caught.value.id == "key.untrusted"


def test_the_sealed_file_keeps_the_lock_until_it_is_sealed_and_then_is_nobodys(
    tmp_path: Path,
) -> None:
    lane = new_lane(tmp_path)
    tail = open_tail(lane, [records(1)])
    assert recover(lane) == []
    sealer(lane).seal(tail.filled(), "size")
    assert recover(lane) == []
    assert lines(lane, KEY) == records(1)


def test_whoever_waits_in_vain_for_another_process_that_seals_says_so(tmp_path: Path) -> None:
    lane = new_lane(tmp_path)
    hand = Sealer(FAST, lane, KEY, SYSTEM_CLOCK, lock_wait_s=0.05)
    tail = open_tail(lane, [records(1)])
    with chain_lock(lane):  # as by one that was stopped in the midst of it
        for seal in (hand.heartbeat, hand.settle_head, lambda: hand.seal(tail.filled(), "age")):
            with pytest.raises(SpoolError) as locked:
                seal()
            assert locked.value.id == "lane.locked"
    assert list(lane.sealed_numbers()) == []
    recover(lane)
    assert lines(lane, KEY) == records(1)
