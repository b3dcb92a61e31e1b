"""A sample of ``scripts/torture``: real processes, whose system calls fail or kill them."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TORTURE = [sys.executable, str(ROOT / "scripts" / "torturing" / "torture.py")]


pytestmark = [
    pytest.mark.enable_socket,
    pytest.mark.slow,
    # Some hundred processes, each with a tracer: a loaded machine needs long.
    pytest.mark.timeout(900),
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not here"),
]


def tortured(*arguments: str) -> str:
    """What it says of this much, of which nothing may be wrong."""
    done = subprocess.run(
        [*TORTURE, *arguments], capture_output=True, text=True, check=False, timeout=890
    )
    if "strace cannot attach" in done.stderr:
        pytest.skip("this machine does not let a process trace another")
    assert done.returncode == 0, done.stdout + done.stderr
    assert ", 0 wrong, " in done.stdout
    return done.stdout


def test_attack_116_no_failure_kill_or_full_disk_costs_what_was_acknowledged() -> None:
    # Every 37th: a sample that hits all kinds of faults and calls, and takes some seconds.
    said = tortured("append", "seal", "run", "export", "import", "--every", "37")
    for kind in ("EIO", "ENOSPC", "SIGKILL"):
        assert f" {kind} " in said


def test_attack_116_a_daemon_killed_while_it_takes_and_sends_loses_and_invents_nothing() -> None:
    assert "daemon   SIGKILL" in tortured("daemon", "--every", "120")
