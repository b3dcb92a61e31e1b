"""Zeros are laid ahead while nobody waits for them, and where that fails nothing is lost."""

import errno
import os
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from spool.lane import Lane
from spool.openfile import open_files
from spool.tail import LAID_MAX, SMALL
from spool.writer import Writer
from tests.support.books import lines
from tests.support.disks import FastDisk
from tests.support.spools import KEY, recover


class _Watching(FastDisk):
    """Knows for each writing of zeros how many bytes waited to become durable; may fail one."""

    def __init__(self) -> None:
        self.writer: Writer | None = None
        self.waited: list[int] = []
        self.sizes: list[int] = []
        self.failures: list[OSError] = []

    def write(self, fd: int, pieces: Sequence[bytes], at: int) -> None:
        if not any(pieces[0]):
            assert self.writer is not None
            self.sizes.append(len(pieces[0]))
            self.waited.append(self.writer.waiting)
            if self.failures and not self.waited[-1]:
                raise self.failures.pop()
        super().write(fd, pieces, at)


def _made(count: int) -> list[bytes]:
    """Records that zstd makes about half as long."""
    source = random.Random(1)
    return [
        b'{"id":"%d","x":"%b"}' % (n, source.randbytes(2000).hex().encode()) for n in range(count)
    ]


def _append(writer: Writer, made: Sequence[bytes]) -> None:
    for record in made:
        writer.submit([record]).wait()  # by the committer, as for coroutines


def test_after_the_first_zeros_hardly_anybody_waits_for_the_next(tmp_path: Path) -> None:
    disk, made = _Watching(), _made(500)
    with Writer(tmp_path, "transactions", node="n", signer=KEY, disk=disk) as writer:
        disk.writer = writer
        _append(writer, made)
    assert disk.waited[0] > 0
    assert len(disk.waited) > 4
    # Who was told may be back before the committer has come to the zeros; without them all wait.
    assert disk.waited[1:].count(0) > len(disk.waited) // 2
    assert max(disk.sizes) == LAID_MAX
    assert lines(Lane(tmp_path, "n", "transactions"), KEY) == made


def test_a_file_of_one_commit_and_one_of_large_ones_have_no_zeros(tmp_path: Path) -> None:
    disk = _Watching()
    with Writer(tmp_path, "transactions", node="n", signer=KEY, disk=disk) as writer:
        disk.writer = writer
        _append(writer, _made(1))
    with Writer(tmp_path, "transactions", node="n", signer=KEY, disk=disk) as writer:
        disk.writer = writer
        for _ in range(3):
            writer.submit(_made(4 * SMALL // 1000)).wait()
    assert disk.waited == []


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_where_zeros_cannot_be_laid_ahead_what_comes_is_durable_all_the_same(
    tmp_path: Path, code: int
) -> None:
    disk, made = _Watching(), _made(300)
    lane = Lane(tmp_path, "n", "transactions")
    writer = Writer(tmp_path, "transactions", node="n", disk=disk)
    disk.writer = writer
    disk.failures.append(OSError(code, os.strerror(code)))
    _append(writer, made)
    assert not disk.failures
    writer.close()
    # A disk that failed ends the file; one that is full only has no room for zeros.
    assert len(list(open_files(lane))) == (2 if code == errno.EIO else 1)
    recover(lane)
    assert sorted(lines(lane, KEY)) == sorted(made)
