"""A process of another user, root too, changes nothing in a spool: all would pass for planted."""

import os
import subprocess
from pathlib import Path

import pytest

from spool.errors import SpoolError
from spool.owner import check_owner
from spool.writer import Writer
from tests.support.bridges import Node, node_for
from tests.support.commands import COMMAND, environment
from tests.support.filesystems import as_any_user

NOBODY = "http://127.0.0.1:9"
pytestmark = [
    pytest.mark.enable_socket,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away"),
]


def give_away(node: Node) -> None:
    """The spool is of another user; the keys and the configuration stay root's, as mounted ones are."""
    for path in (node.spool, *node.spool.rglob("*")):
        os.chown(path, 12345, 12345)


COMMANDS = [
    ("run", "--once"),
    ("append", "transactions"),
    ("export", "--to", "."),
    ("import", "/dev/null"),
    ("replay",),
]


def test_root_changes_nothing_in_the_spool_of_another_user(tmp_path: Path) -> None:
    with node_for(tmp_path, NOBODY, more="egress: {mode: offline}\n") as node:
        node.bridge("append", "transactions", stdin=b'{"id":"a"}\n')
        give_away(node)
        before = {path: path.lstat().st_mtime_ns for path in node.spool.rglob("*")}
        for arguments in COMMANDS:
            done = node.bridge(*arguments, stdin=b'{"id":"b"}\n')
            assert done.returncode == 5, (arguments, done.stderr)
            assert "spool.owner" in done.stderr
            assert "uid 12345" in done.stderr
        assert {path: path.lstat().st_mtime_ns for path in node.spool.rglob("*")} == before


def test_a_lane_of_another_user_is_told_though_the_spools_folder_is_roots(tmp_path: Path) -> None:
    with Writer(tmp_path, "transactions", node="n") as writer:
        writer.append([b'{"id":"a"}'])
    check_owner(tmp_path)
    os.chown(tmp_path / "n" / "transactions", 12345, 12345)
    with pytest.raises(SpoolError) as refused:
        check_owner(tmp_path)
    assert refused.value.id == "spool.owner"
    with pytest.raises(SpoolError) as refused:
        Writer(tmp_path, "transactions", node="n")
    assert refused.value.id == "spool.owner"
    Writer(tmp_path, "langgraph", node="n").close()


def test_a_closed_folder_of_another_user_in_a_spool_holds_up_nothing(tmp_path: Path) -> None:
    with node_for(tmp_path, NOBODY, more="egress: {mode: offline}\n") as node:
        closed = node.spool / "lost+found"  # the spool is the top of a disk of its own
        closed.mkdir(mode=0o700, parents=True)
        os.chown(closed, 12345, 12345)
        for arguments in [("append", "transactions"), ("run", "--once")]:
            done = subprocess.run(
                [*as_any_user(), *COMMAND, "--config", node.config, *arguments],
                input=b'{"id":"a"}\n', capture_output=True, check=False, env=environment(),
            )  # fmt: skip
            assert done.returncode == 0, (arguments, done.stderr)
            assert b"disk.permission" not in done.stderr
