"""Runs the command line in a process of its own, whose system calls fail where they are told to.

The process is a fork of this one, which has imported everything already, and waits until ``strace`` has
it: so the n-th call of a kind is one of the command's, not one of Python's start, and a run takes a
fraction of a second.
"""

import importlib
import json
import os
import pkgutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bridge
from bridge.cli.main import run as run_command
from bridge.cli.standardfiles import make_sure_of_standard_files

CALLS = (
    "write", "pwrite64", "pwritev", "pwritev2", "copy_file_range", "fsync", "fdatasync", "rename",
    "unlink", "ftruncate", "mkdir", "rmdir",
)  # fmt: skip
"""What changes a disk, as Python and SQLite ask for it; a ``pwritev`` is one or the other."""
KINDS = ("EIO", "ENOSPC", "EDQUOT", "EROFS", "SIGKILL", "short")
SHORT = ("pwrite64", "pwritev", "pwritev2")
"""Calls that may take less than they were given; here nothing, which is an honest answer."""
for _module in pkgutil.walk_packages(bridge.__path__, "bridge."):
    importlib.import_module(_module.name)

TIMEOUT_S = 90.0
KILLED = -int(signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens at the ``when``-th ``call`` of a thread."""

    call: str
    kind: str
    when: int

    @property
    def inject(self) -> str:
        """As ``strace`` takes it."""
        what = {"SIGKILL": "signal=KILL", "short": "retval=0"}.get(self.kind, f"error={self.kind}")
        return f"inject={self.call}:{what}:when={self.when}"


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended (negative: by which signal), and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def answer(self) -> Mapping[str, Any]:
        """Its JSON; empty where it said none."""
        try:
            found: Mapping[str, Any] = json.loads(self.out)
        except ValueError:
            return {}
        return found


def run(
    arguments: Sequence[str | Path],
    folder: Path,
    *,
    stdin: Path | None = None,
    tracing: Sequence[str] = (),
    meanwhile: Callable[[int], None] = lambda _: None,
) -> Ended:
    """Run ``bridge`` with ``arguments``; files of its words go to ``folder``.

    While it runs, ``meanwhile`` is called with its process id, again and again.
    """
    out, err = folder / "out", folder / "err"
    waits, go = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.close(go)
            _connect(stdin or Path(os.devnull), out, err)
            os.read(waits, 1)
            make_sure_of_standard_files()
            code = run_command([str(each) for each in arguments])
            sys.stdout.flush()
            os._exit(code)
        finally:
            os._exit(70)
    os.close(waits)
    tracer = None
    if tracing:
        tracer = _attached(pid, tracing)
    os.write(go, b"!")
    os.close(go)
    status = _waited(pid, meanwhile)
    if tracer is not None:
        tracer.communicate()
    return Ended(os.waitstatus_to_exitcode(status), out.read_text(), err.read_text())


def _connect(stdin: Path, out: Path, err: Path) -> None:
    sys.stdout.flush()
    for path, flags, fd in (
        (stdin, os.O_RDONLY, 0),
        (out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 1),
        (err, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 2),
    ):
        os.dup2(os.open(path, flags, 0o600), fd)


def _attached(pid: int, tracing: Sequence[str]) -> "subprocess.Popen[str]":
    command = ["strace", "-f", "-p", str(pid), *tracing]
    tracer = subprocess.Popen(  # noqa: S603 - our own words
        command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert tracer.stderr is not None  # noqa: S101 - a pipe was asked for
    said = tracer.stderr.readline()
    if "attached" not in said:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise SystemExit(f"torture: strace cannot attach to a process here: {said}")
    return tracer


def _waited(pid: int, meanwhile: Callable[[int], None]) -> int:
    end = time.monotonic() + TIMEOUT_S
    while time.monotonic() < end:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return status
        meanwhile(pid)
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise TimeoutError(f"a command did not end within {TIMEOUT_S:.0f} s")


def injecting(fault: Fault, folder: Path) -> list[str]:
    """How to trace for ``fault``: the call must be traced too, or nothing is injected."""
    return ["-o", str(folder / "trace"), "-e", f"trace={fault.call}", "-e", fault.inject]


def counting(folder: Path) -> list[str]:
    """How to trace for :func:`counted`."""
    return ["-o", str(folder / "trace"), "-e", f"trace={','.join(CALLS)}", "-e", "signal=none"]


def counted(folder: Path) -> Counter[str]:
    """How often each call was made, at most, by one thread: that is how ``strace`` counts."""
    each: Counter[tuple[str, str]] = Counter()
    for line in (folder / "trace").read_text().splitlines():
        thread, _, rest = line.partition(" ")
        call = rest.strip().partition("(")[0]
        if call in CALLS:
            each[thread, call] += 1
    most: Counter[str] = Counter()
    for (_, call), count in each.items():
        most[call] = max(most[call], count)
    return most
