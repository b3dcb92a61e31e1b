"""A spool on a network file system is refused by whatever writes to it, unless somebody answers for it.

The kernel's list of mounts is another one here: for one process, in a mount namespace of its own.
"""

import subprocess
from pathlib import Path

import pytest

from tests.support.bridges import Node, node_for
from tests.support.commands import COMMAND, environment

pytestmark = pytest.mark.enable_socket
NOBODY = "http://127.0.0.1:9"
_SCRIPT = 'mount --bind "$0" /proc/$$/mountinfo && exec "$@"'


def on_nfs(node: Node, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command of the node where its folder seems to lie on NFS."""
    mounts = node.folder.parent / "mountinfo"
    mounts.write_text(
        "22 1 254:0 / / rw - ext4 /dev/vda rw\n"
        f"30 22 0:26 / {node.folder} rw - nfs4 nas:/export rw,vers=4.2\n"
    )
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", _SCRIPT, str(mounts), *COMMAND,
         "--config", str(node.config), *arguments],
        input='{"id":"a"}\n', capture_output=True, text=True, check=False, env=environment(),
    )  # fmt: skip
    if done.stderr.startswith(("unshare:", "mount:")):
        pytest.skip("this machine does not let a test have mounts of its own")
    return done


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--once"),
        ("append", "transactions"),
        ("export", "--to", "."),
        ("import", "/dev/null"),
        ("replay",),
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_network_file_system_is_refused_with_what_to_do(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    with node_for(tmp_path, NOBODY, more="egress: {mode: offline}\n") as node:
        before = sorted(node.spool.rglob("*"))
        done = on_nfs(node, *arguments)
        assert done.returncode == 78, done.stderr
        assert "spool.network_fs" in done.stderr
        assert "nfs4" in done.stderr
        assert "spool.allow_network_fs: true" in done.stderr
        assert sorted(node.spool.rglob("*")) == before


def test_who_answers_for_it_may_use_it(tmp_path: Path) -> None:
    with node_for(tmp_path, NOBODY, more="egress: {mode: offline}\n") as node:
        text = node.config.read_text()
        node.config.write_text(
            text.replace("spool: {path: spool", "spool: {path: spool, allow_network_fs: true")
        )
        assert node.config.read_text() != text
        for arguments in (("append", "transactions"), ("run", "--once")):
            done = on_nfs(node, *arguments)
            assert done.returncode == 0, done.stderr
