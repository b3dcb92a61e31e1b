"""A daemon that is started on a disk without a free byte: the ballast gives way, and it takes care."""

import errno
from io import FileIO
from pathlib import Path

import pytest

from tests.support.bridges import Node, node_for
from tests.support.filesystems import small_tmpfs

pytestmark = pytest.mark.enable_socket
WITH = "spool: {path: spool, max_size: 64MiB, min_free: 0, ballast: 1MiB}"


def _fill(folder: Path) -> None:
    with (folder / "others").open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):  # to the last byte
            _write_on(file, b"x" * size)


def _write_on(file: FileIO, piece: bytes) -> None:
    try:
        while True:
            file.write(piece)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise


def _leave_stalled(node: Node) -> None:
    note = b'{"v":1,"stalled":{"part":"main thread","since":"2026-11-28T06:00:00.000Z"}}'
    (node.spool / "stalled.json").write_bytes(note)
    (node.spool / "stalled.json").chmod(0o600)


def _leave_lock(node: Node) -> None:
    """As a kill leaves it: what the lock says has its room already."""
    (node.spool / "sender.lock").write_bytes(b" " * 512)


@pytest.mark.parametrize("is_killed", [False, True])
def test_a_daemon_starts_on_a_full_disk_and_gives_the_ballast_up_for_it(
    tmp_path: Path, *, is_killed: bool
) -> None:
    with node_for(tmp_path, "http://127.0.0.1:9", more="egress: {mode: offline}\n") as node:
        text = node.config.read_text()
        assert "spool: {path: spool}" in text
        node.config.write_text(text.replace("spool: {path: spool}", WITH))
        for path in sorted(node.spool.rglob("*"), reverse=True):
            path.rmdir()
        node.spool.rmdir()
        with small_tmpfs(node.spool, "8m"):
            node.daemon.start()
            node.daemon.stop()
            assert (node.spool / "ballast").stat().st_size == 1 << 20
            if is_killed:
                _leave_lock(node)
                _leave_stalled(node)
            _fill(node.spool)
            assert node.bridge("status").stderr.count("[ledger.full]") == 1
            node.daemon.start()
            assert not (node.spool / "ballast").exists()
            assert '"event":"spool.ballast","message":"The disk is full;' in node.log.read_text()
            node.daemon.stop()
