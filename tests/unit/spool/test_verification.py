"""Verifying files, folders, lanes and spools: what is wrong is named, and the rest goes on."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keys.ed25519 import PublicKey, SigningKey
from spool.chain import begin_lane
from spool.clock import SYSTEM_CLOCK
from spool.durable import OS_DISK
from spool.head import read_head, write_head
from spool.lane import Lane
from spool.recovery import Recovery
from spool.segment import Segment, make_seal
from spool.statement import Lost
from spool.verdicts import Item
from spool.verification import verify
from tests.golden import generate
from tests.support.spools import FAST, KEY, leave_open, new_lane, records, seal_one, sealer

GOLDEN = Path(generate.__file__).parent
BAD: list[dict[str, str]] = json.loads((GOLDEN / "bad.json").read_bytes())
GOOD: list[dict[str, Any]] = json.loads((GOLDEN / "good.json").read_bytes())


def ours(_node: str) -> Mapping[str, PublicKey]:
    return {KEY.public.id: KEY.public}


def look(*paths: Path, keep: bool = False) -> list[Item]:
    return list(verify(paths, ours, records=keep))


def problems(*paths: Path, keep: bool = False) -> list[tuple[str, str]]:
    return [(item.path.name, item.problem.id) for item in look(*paths, keep=keep) if item.problem]


def notes(*paths: Path) -> list[tuple[str, str]]:
    return [(item.kind, item.note) for item in look(*paths) if item.note]


@pytest.fixture
def lane(tmp_path: Path) -> Lane:
    """A lane with the segments 1 to 5."""
    lane = new_lane(tmp_path / "spool")
    for n in range(5):
        seal_one(lane, records(3, f"s{n}"))
    return lane


def reseal(path: Path, target: Path, key: SigningKey = KEY, **changes: Any) -> str:  # noqa: ANN401
    """The segment at ``path`` with another statement, well signed, at ``target``; its digest."""
    with Segment.open(path) as segment:
        said = replace(segment.statement, **changes)
    seal, digest = make_seal(said, key)
    target.write_bytes(path.read_bytes()[: said.size] + seal)
    return digest


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_a_good_spool_lane_and_file_have_no_problem(lane: Lane) -> None:
    for path in (lane.spool, lane.spool / "n", lane.folder, lane.spool.parent):
        items = look(path)
        assert [item.kind for item in items] == ["segment"] * 5 + ["head"]
        assert all(item.ok and item.note is None for item in items)
        assert [item.said.seq for item in items if item.said] == [1, 2, 3, 4, 5]
    for path in (lane.sealed, lane.segment(1).parent, lane.segment(3)):
        assert all(item.ok for item in look(path))


@pytest.mark.parametrize("row", BAD, ids=lambda row: Path(row["file"]).name)
def test_a_golden_defect_is_named(row: dict[str, str]) -> None:
    assert row["error"] in [problem for _, problem in problems(GOLDEN / row["file"])]


def test_the_golden_good_files_are_good_as_one_folder() -> None:
    items = look(GOLDEN / "good", keep=True)
    assert [item for item in items if item.problem] == []
    assert len([item for item in items if item.kind == "segment"]) == len(GOOD)


def test_one_bad_segment_does_not_hide_the_others(lane: Lane) -> None:
    flip(lane.segment(2), 20)
    assert problems(lane.spool) == [("000000000002.ndjson.zst", "segment.digest")]
    with lane.segment(4).open("ab") as file:
        file.write(b"x")
    assert problems(lane.spool) == [
        ("000000000002.ndjson.zst", "segment.digest"),
        ("000000000004.ndjson.zst", "segment.no_seal"),
    ]


def test_a_segment_taken_out_of_the_middle_is_a_gap(lane: Lane) -> None:
    lane.segment(3).unlink()
    assert problems(lane.spool) == [("transactions", "chain.gap")]
    (item,) = [item for item in look(lane.spool) if item.problem]
    assert item.problem is not None
    assert "3 of n/transactions" in item.problem.message


def test_a_gap_beside_a_bad_first_segment_is_seen_too(lane: Lane) -> None:
    lane.segment(1).write_bytes(b"")
    lane.segment(2).unlink()
    assert problems(lane.spool) == [
        ("000000000001.ndjson.zst", "segment.blank"),
        ("transactions", "chain.gap"),
    ]


def test_a_gap_that_a_loss_record_names_is_a_note(lane: Lane) -> None:
    lane.segment(3).unlink()
    sealer(lane).declare_lost(Lost("3", 3, None, "missing"))
    assert problems(lane.spool) == []
    assert notes(lane.spool) == [("gap", "3 of n/transactions are not here; declared lost")]
    lane.segment(4).unlink()
    assert problems(lane.spool) == [("transactions", "chain.gap")]


def test_the_oldest_segment_held_is_the_anchor(lane: Lane) -> None:
    lane.segment(1).unlink()
    lane.segment(2).unlink()
    assert problems(lane.spool) == []
    assert notes(lane.spool) == [("segment", "the oldest one here; 6 records before it are not")]


@pytest.mark.parametrize("cut", [[5], [4, 5], [1, 2, 3, 4, 5]])
def test_a_tail_that_was_cut_off_is_seen_by_the_head(lane: Lane, cut: list[int]) -> None:
    for seq in cut:
        lane.segment(seq).unlink()
    assert problems(lane.spool) == [("transactions", "chain.gap")]


@pytest.mark.parametrize("name", ["sealed", "open"])
def test_a_node_may_be_called_as_a_folder_of_a_lane_is(tmp_path: Path, name: str) -> None:
    lane = Lane(tmp_path / "spool", name, "logs")
    begin_lane(OS_DISK, lane)
    seal_one(lane, records(3, "a"))
    seal_one(new_lane(tmp_path / "spool"), records(3, "b"))
    assert [item.kind for item in look(lane.spool) if item.said] == ["segment", "segment"]
    assert problems(lane.spool) == []
    lane.segment(1).unlink()
    assert problems(lane.spool) != []


def test_exchanged_places_are_named(lane: Lane) -> None:
    aside = lane.spool / "aside"
    lane.segment(2).rename(aside)
    lane.segment(3).rename(lane.segment(2))
    aside.rename(lane.segment(3))
    assert problems(lane.spool)[:2] == [
        ("000000000002.ndjson.zst", "segment.place"),
        ("000000000003.ndjson.zst", "segment.place"),
    ]
    assert problems(lane.segment(2)) == [("000000000002.ndjson.zst", "segment.place")]


def test_a_segment_of_another_lane_is_named(lane: Lane) -> None:
    shutil.copytree(lane.folder, lane.spool / "other" / "transactions")
    assert [problem for _, problem in problems(lane.spool)] == ["segment.place"] * 5


def test_a_well_signed_segment_that_links_to_another_breaks_the_chain_once(lane: Lane) -> None:
    reseal(lane.segment(3), lane.segment(3), prev="1" * 64)
    found = problems(lane.spool)
    assert found == [
        ("000000000003.ndjson.zst", "chain.broken"),
        ("000000000004.ndjson.zst", "chain.broken"),
    ]


def test_totals_that_run_backwards_over_a_gap_break_the_chain(lane: Lane) -> None:
    lane.segment(2).unlink()
    with Segment.open(lane.segment(3)) as segment:
        before = replace(segment.statement.before, records=1)
    reseal(lane.segment(3), lane.segment(3), before=before)
    assert ("000000000003.ndjson.zst", "chain.broken") in problems(lane.spool)


def test_a_stranger_s_segment_is_not_trusted(lane: Lane) -> None:
    reseal(lane.segment(5), lane.segment(5), SigningKey(b"\7" * 32))
    assert problems(lane.spool) == [("000000000005.ndjson.zst", "key.untrusted")]


def test_a_head_that_disagrees_lags_or_is_no_head_is_named(lane: Lane) -> None:
    head = read_head(lane)
    assert head is not None
    write_head(FAST, lane, replace(head, digest="1" * 64))
    assert problems(lane.spool) == [("head", "head.disagrees")]
    write_head(FAST, lane, replace(head, seq=2))
    assert problems(lane.spool) == [("head", "head.disagrees")]
    lane.head.write_bytes(b"junk")
    assert problems(lane.spool) == [("head", "head.form")]
    lane.head.unlink()
    assert problems(lane.spool) == []
    assert notes(lane.spool) == [("head", "there is none: nothing says where the chain ends")]


def test_one_segment_above_the_head_is_a_note_and_two_are_a_problem(lane: Lane) -> None:
    before = lane.head.read_bytes()
    seal_one(lane, records(2, "later"))
    lane.head.write_bytes(before)
    assert problems(lane.spool) == []
    assert [kind for kind, _ in notes(lane.spool)] == ["segment"]
    seal_one(lane, records(2, "again"))
    lane.head.write_bytes(before)
    assert problems(lane.spool) == [("head", "head.behind")]


def test_a_new_chain_after_a_lost_head_is_noted(lane: Lane) -> None:
    lane.head.unlink()
    seal_one(lane, records(2, "new"))
    assert problems(lane.spool) == []
    ((kind, note),) = notes(lane.spool)
    assert (kind, note[:12]) == ("segment", "a new chain;")


def test_a_new_chain_that_follows_something_else_is_named(lane: Lane) -> None:
    lane.head.unlink()
    said = seal_one(lane, records(2, "new"))
    assert said.follows is not None
    path = lane.segment(said.seq)
    reseal(path, path, follows=replace(said.follows, digest="1" * 64))
    assert (path.name, "chain.follows") in problems(lane.spool)
    reseal(path, path, follows=replace(said.follows, seq=2))
    assert (path.name, "chain.follows") in problems(lane.spool)


def test_the_end_of_a_chain_that_another_follows_cannot_be_cut_off(lane: Lane) -> None:
    lane.head.unlink()
    seal_one(lane, records(2, "new"))
    lane.segment(5).unlink()
    assert problems(lane.spool) == [("transactions", "chain.gap")]


def test_a_beginning_of_a_chain_that_is_gone_is_a_gap(lane: Lane) -> None:
    lane.head.unlink()
    first = seal_one(lane, records(2, "new")).seq
    seal_one(lane, records(2, "newer"))
    lane.segment(first).unlink()
    (item,) = [item for item in look(lane.spool) if item.problem]
    assert item.problem is not None
    assert item.problem.message.startswith(f"{first} of ")


def test_what_is_open_is_named_and_not_verified(lane: Lane) -> None:
    path = leave_open(lane, records(3))
    assert problems(lane.spool) == []
    assert [item.path for item in look(lane.spool) if item.kind == "open"] == [path]
    assert [item.kind for item in look(path)] == ["open"]
    assert [item.kind for item in look(lane.open)] == ["open"]


def test_what_was_set_aside_is_passed_over(lane: Lane) -> None:
    flip(lane.segment(2), 20)
    Recovery(FAST, sealer(lane), SYSTEM_CLOCK).rescue(2)
    assert problems(lane.spool, lane.spool.parent) == []


def test_a_fork_is_verified_and_noted(lane: Lane) -> None:
    lane.forks.mkdir()
    aside = lane.spool.parent / "fork"
    digest = reseal(lane.segment(5), aside, policy="1" * 64)
    fork = lane.forks / f"{5:012d}-{digest[:16]}.ndjson.zst"
    aside.rename(fork)
    assert problems(lane.spool) == problems(fork) == problems(lane.forks) == []
    assert notes(lane.spool) == [("segment", "a fork: another segment has its number")]
    wrong = fork.with_name(f"{5:012d}-{'0' * 16}.ndjson.zst")
    fork.rename(wrong)
    assert problems(lane.spool) == problems(wrong) == [(wrong.name, "segment.place")]


@pytest.mark.parametrize("planted", ["link", "fifo", "folder", "hard link"])
def test_what_is_planted_in_a_number_s_place_is_not_read(lane: Lane, planted: str) -> None:
    path = lane.segment(5)
    aside = lane.spool.parent / "aside"
    if planted == "hard link":
        aside.hardlink_to(path)
    else:
        path.rename(aside)
    if planted == "link":
        path.symlink_to(aside)
    elif planted == "fifo":
        os.mkfifo(path)
    elif planted == "folder":
        path.mkdir()
    assert problems(lane.spool) == [(path.name, "file.kind")]


@pytest.mark.parametrize("place", ["sealed", "."])
def test_a_linked_folder_is_not_followed(lane: Lane, place: str) -> None:
    path = lane.folder / place
    aside = lane.spool.parent / "aside"
    path.rename(aside)
    path.symlink_to(aside)
    items = look(lane.spool)
    assert not any(item.kind == "segment" for item in items)
    assert any(not item.ok for item in items)


def test_names_in_a_plain_folder_do_not_matter_for_the_chain(lane: Lane, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    for seq, name in enumerate("ebadc", 1):
        shutil.copy(lane.segment(seq), plain / f"{name}.ndjson.zst")
    items = look(plain)
    assert [item.said.seq for item in items if item.said] == [1, 2, 3, 4, 5]
    assert all(item.ok for item in items)
    reseal(lane.segment(3), plain / "a.ndjson.zst", policy="1" * 64)
    assert problems(plain) == [("d.ndjson.zst", "chain.broken")]
    reseal(lane.segment(3), plain / "z.ndjson.zst", policy="2" * 64)
    assert ("z.ndjson.zst", "chain.fork") in problems(plain)


def test_a_hole_in_a_plain_folder_is_a_note(lane: Lane, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    for seq in (1, 4):
        shutil.copy(lane.segment(seq), plain)
    assert problems(plain) == []
    assert notes(plain) == [("gap", "2-3 of n/transactions are not here")]
    assert notes(*sorted(plain.iterdir())) == notes(plain)


def test_files_named_in_any_order_are_no_break(lane: Lane) -> None:
    assert problems(lane.segment(4), lane.segment(2), lane.segment(3), lane.segment(2)) == []


def test_what_is_missing_empty_or_holds_nothing_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert problems(tmp_path / "none") == [("none", "file.missing")]
    assert problems(tmp_path / "folder") == [("folder", "verify.nothing")]
    (tmp_path / "empty").touch()
    assert problems(tmp_path / "empty") == [("empty", "segment.blank")]


def test_lines_are_parsed_only_when_that_is_asked_for(tmp_path: Path) -> None:
    lane = new_lane(tmp_path / "spool")
    seal_one(lane, [b'{"id":"a"}', b"[1]"])
    seal_one(lane, [b'{"id":"a"}', b'{"id":'])
    assert problems(lane.spool) == []
    assert [problem for _, problem in problems(lane.spool, keep=True)] == [
        "record.form",
        "record.json",
    ]
    (first, *_) = [item.problem for item in look(lane.spool, keep=True) if item.problem]
    assert first.message.startswith("Line 2: ")
