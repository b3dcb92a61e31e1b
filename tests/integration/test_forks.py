"""A command that is a fork is what one that was started is, or tests that run forks prove less."""

import os
import select
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.commands import COMMAND, environment, make_node
from tests.support.forks import ForkedProcess, forked_command

RECORD = b'{"id":"%d"}\n'


def both(
    *arguments: str, stdin: bytes = b"", cwd: Path
) -> tuple["subprocess.CompletedProcess[bytes]", "subprocess.CompletedProcess[bytes]"]:
    """The command as a fork, and started."""
    forked, started = (
        subprocess.run(
            [*command, *arguments],
            input=stdin,
            capture_output=True,
            check=False,
            timeout=90,
            cwd=cwd,
            env=environment(),
        )
        for command in (forked_command(), COMMAND)
    )
    return forked, started


@pytest.mark.parametrize(
    "arguments",
    [["--version"], ["keys", "show", "--json"], ["verify"], ["no-such"], ["append", "logs"]],
)
def test_a_fork_says_what_a_started_command_says_and_ends_as_it_ends(
    tmp_path: Path, arguments: list[str]
) -> None:
    make_node(tmp_path)
    forked, started = both(*arguments, stdin=b"no record\n", cwd=tmp_path)
    assert (forked.returncode, forked.stdout, forked.stderr) == (
        started.returncode, started.stdout, started.stderr,
    )  # fmt: skip


def test_a_fork_reads_its_own_stdin_to_the_end(tmp_path: Path) -> None:
    make_node(tmp_path)
    (tmp_path / "license_key").chmod(0o600)
    given = b"".join(RECORD % n for n in range(30_000))  # more than a pipe holds
    forked, _ = both("append", "transactions", "--json", stdin=given, cwd=tmp_path)
    assert (forked.returncode, b'"records":30000' in forked.stdout) == (0, True), forked.stderr


def test_a_signal_reaches_a_fork_and_tells_how_it_ended(tmp_path: Path) -> None:
    config = make_node(tmp_path)
    with (tmp_path / "out").open("wb") as out:
        killed, forgotten = (
            ForkedProcess(
                ["--config", str(config), "testbeacon", "--listen", "127.0.0.1:0"], out.fileno()
            )
            for _ in range(2)
        )
    assert killed.poll() is None
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == killed.poll() == -signal.SIGKILL
    left = os.pidfd_open(forgotten.pid)
    forgotten.forget()
    assert select.select([left], [], [], 60)[0] == [left]
    os.close(left)
