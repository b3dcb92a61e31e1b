"""A daemon that is started on a disk without a free byte: the ballast gives way, and it takes care."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.support.bridges import node_for
from tests.support.filesystems import fill_up, small_quota, small_tmpfs

pytestmark = pytest.mark.enable_socket
MIB = 1 << 20
DISKS: dict[str, Callable[[Path], AbstractContextManager[Path]]] = {
    "tmpfs": lambda folder: small_tmpfs(folder, "8m"),
    "quota": lambda folder: small_quota(folder, 8 * MIB),
}


def _leave_stalled(spool: Path) -> None:
    note = b'{"v":1,"stalled":{"part":"main thread","since":"2026-11-28T06:00:00.000Z"}}'
    (spool / "stalled.json").write_bytes(note)
    (spool / "stalled.json").chmod(0o600)


def _leave_lock(spool: Path) -> None:
    """As a kill leaves it: what the lock says has its room already."""
    (spool / "sender.lock").write_bytes(b" " * 512)


@pytest.mark.parametrize("disk", list(DISKS))
@pytest.mark.parametrize("is_killed", [False, True])
def test_a_daemon_starts_on_a_full_disk_and_gives_the_ballast_up_for_it(
    tmp_path: Path, disk: str, *, is_killed: bool
) -> None:
    with (
        DISKS[disk](tmp_path / "small") as spool,
        node_for(tmp_path, "http://127.0.0.1:9", more="egress: {mode: offline}\n") as node,
    ):
        text = node.config.read_text()
        assert "spool: {path: spool}" in text
        small = f"spool: {{path: '{spool}', max_size: 64MiB, min_free: 0, ballast: 1MiB}}"
        node.config.write_text(text.replace("spool: {path: spool}", small))
        node.daemon.start()
        node.daemon.stop()
        assert (spool / "ballast").stat().st_size == MIB
        if is_killed:
            _leave_lock(spool)
            _leave_stalled(spool)
        fill_up(spool)
        assert node.bridge("status").stderr.count("[ledger.full]") == 1
        node.daemon.start()
        assert not (spool / "ballast").exists()
        assert '"event":"spool.ballast","message":"The disk is full;' in node.log.read_text()
        node.daemon.stop()
