"""The head's file at the bounds of its fields, and the mark of the folder that it was written in."""

import fcntl
import hashlib
import os
from array import array
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from keys.errors import VerificationError
from spool.head import Head, decode, encode, folder_mark, read_head, write_head
from spool.lane import SEQ_MAX
from spool.statement import COUNT_MAX
from spool.totals import NOTHING, Totals
from tests.support.disks import FastDisk
from tests.support.spools import new_lane

HEAD = Head("c" * 32, 3, 7, "d" * 64, Totals(5, 500), 12)
GETVERSION = 0x80087601


@pytest.mark.parametrize(
    "head",
    [
        HEAD,
        replace(HEAD, first=1, seq=1, after=NOTHING, folder=0),
        replace(HEAD, first=7),
        replace(HEAD, first=SEQ_MAX, seq=SEQ_MAX, after=Totals(COUNT_MAX, COUNT_MAX)),
        replace(HEAD, folder=2**64 - 1),
    ],
)
def test_a_head_at_its_bounds_is_read_as_it_was_written(head: Head) -> None:
    assert decode(encode(head)) == head


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ((b'"first":3', b'"first":8'), "head.sense"),
        ((b'"first":3', b'"first":0'), "document.field"),
        ((b'"seq":7', b'"seq":0'), "document.field"),
        ((b'"seq":7', b'"seq":%d' % (SEQ_MAX + 1)), "document.field"),
        ((b'"records":5', b'"records":-1'), "document.field"),
        ((b'"raw_size":500', b'"raw_size":-1'), "document.field"),
        ((b'"folder":"12"', b'"folder":"%d"' % 10**20), "document.field"),
        ((b'"folder":"12"', b'"folder":12'), "document.field"),
        ((b'"v":1', b'"v":2'), "document.field"),
        ((b'"v":1', b'"v":1,"more":1'), "document.unknown_key"),
    ],
)
def test_a_head_beyond_its_bounds_is_none(change: tuple[bytes, bytes], problem: str) -> None:
    with pytest.raises(VerificationError) as caught:
        decode(encode(HEAD).replace(*change))
    assert caught.value.id == problem


def test_a_head_with_a_second_name_is_not_believed(tmp_path: Path) -> None:
    lane = new_lane(tmp_path)
    lane.folder.mkdir(parents=True, exist_ok=True)
    write_head(FastDisk(), lane, HEAD)
    assert read_head(lane) == HEAD
    os.link(lane.head, tmp_path / "second")
    assert read_head(lane) is None


def telling(generation: int) -> Callable[[int, int, "array[int]"], int]:
    """As a file system does that tells the generation of an inode."""

    def ioctl(_fd: int, request: int, into: "array[int]") -> int:
        assert request == GETVERSION
        into[0] = generation
        return 0

    return ioctl


def test_a_folder_is_known_by_inode_and_generation_in_a_form_that_outlives_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lane = new_lane(tmp_path)
    lane.folder.mkdir(parents=True, exist_ok=True)
    inode = lane.folder.stat().st_ino
    marks = set()
    for generation in (0, 7, 2**32 - 1):
        monkeypatch.setattr(fcntl, "ioctl", telling(generation))
        said = hashlib.sha256(b"%d %d" % (inode, generation)).digest()
        assert folder_mark(lane) == int.from_bytes(said[:8], "big")
        marks.add(folder_mark(lane))
    assert len(marks) == 3


def test_where_no_generation_is_told_the_inodes_number_is_the_mark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ioctl(*_: object) -> int:
        raise OSError

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    lane = new_lane(tmp_path)
    lane.folder.mkdir(parents=True, exist_ok=True)
    assert folder_mark(lane) == lane.folder.stat().st_ino
