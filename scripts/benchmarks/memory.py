"""What the writer and the drain take of memory, each in a process of its own."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from rows import Row, below
from sink import sink
from spools import MIB, fill

WRITER_MAX = 40
"""MiB above its input."""
DRAIN_MAX = 150
"""MiB of the whole process."""
WITHIN = 1.1
"""How much larger the largest may be than the smallest."""
BACKLOGS = {"10 MB": 10 * 10**6, "1 GB": 10**9}
FULL = {"10 GB": 10 * 10**9}
_CHILD = Path(__file__).with_name("process.py")


def memory(folder: Path, _: int) -> list[Row]:
    """The writer above its input; the drain of small and large backlogs."""
    writer = _run("write", str(folder / "w"))
    return [
        below("memory, writer above its input", writer, WRITER_MAX, "MiB"),
        *_drains(folder, BACKLOGS),
    ]


def large(folder: Path, _: int) -> list[Row]:
    """The drain of backlogs up to a very large one."""
    return _drains(folder, BACKLOGS | FULL)


def _drains(folder: Path, backlogs: Mapping[str, int]) -> list[Row]:
    rows: list[Row] = []
    found: list[float] = []
    with sink() as url:
        for name, size in backlogs.items():
            spool = folder / name.replace(" ", "")
            fill(spool, size)
            found.append(backlog_memory(spool, url))
            rows.append(
                below(f"memory, drain of {name}, requests of 1 MiB", found[-1], DRAIN_MAX, "MiB")
            )
    spread = max(found) / min(found)
    rows.append(
        Row(
            "memory, the largest of these drains",
            "the smallest",
            f"{max(found):,.1f} MiB",
            f"{min(found):,.1f} MiB",
            f"{spread:.2f}",
            f"≤ {WITHIN:g}x",
            spread <= WITHIN,
        )
    )
    return rows


def backlog_memory(spool: Path, url: str) -> float:
    """MiB that a process held at most which drained all of ``spool``."""
    return _run("drain", str(spool), url)


def _run(*arguments: str) -> float:
    """Peak memory in MiB that the child says."""
    command = [sys.executable, str(_CHILD), *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)  # noqa: S603
    return int(done.stdout) * 1024 / MIB
