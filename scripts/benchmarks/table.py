"""The rows as a table, in a terminal and in the page that holds the last one."""

import os
import platform
import re
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import zstandard
from rows import Row

HEADS = ("work", "against", "ours", "theirs", "ratio (lowest to highest)", "bound", "met")


def _cells(row: Row) -> tuple[str, ...]:
    met = {True: "yes", False: "**no**", None: "—"}[row.met]
    return (row.work, row.against, row.ours, row.theirs, row.ratio, row.bound, met)


def as_text(rows: Sequence[Row]) -> str:
    """A few lines a row, for terminals of any width."""
    said = []
    for row in rows:
        met = {True: "met", False: "MISSED", None: "for its own sake"}[row.met]
        said.append(
            f"{row.work}\n  {row.ours}; {row.against}: {row.theirs}; "
            f"ratio {row.ratio}, bound {row.bound}: {met}\n"
        )
    return "".join(said)


def as_markdown(rows: Sequence[Row], rounds: int, plots: Sequence[str] = ()) -> str:
    """The table and the plots, with what they were measured on."""
    lines = [HEADS, ("---",) * len(HEADS), *map(_cells, rows)]
    table = "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
    drawn = "".join(f"\n![{Path(name).stem}](benchmarks/{name})\n" for name in plots)
    return f"{_machine()}, {rounds} rounds:\n\n{table}{drawn}"


def _machine() -> str:
    cpus = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    name = cpus[0] if cpus else platform.machine()
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores ({name}), "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}, zstd {'.'.join(map(str, zstandard.ZSTD_VERSION))}"
    )


def write(page: Path, name: str, table: str) -> None:
    """Put the table between the page's two marks of that name."""
    text = page.read_text()
    begin, end = (f"<!-- {mark} of table: {name} -->\n" for mark in ("begin", "end"))
    before, _, rest = text.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        message = f"{page} lacks the marks of the table {name}"
        raise SystemExit(message)
    page.write_text(f"{before}{begin}\n{table}\n{end}{after}")
