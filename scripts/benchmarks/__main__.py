"""Measures the bridge beside simpler programs on the same records, in the same run, in turn."""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import appending
import buffers
import collector
import converting
import crossing
import draining
import memory
import opening
import reading
import renewing
import taking
from curves import curves
from plots import draw
from rows import Row
from table import as_markdown, as_text, write

from bridge.garbage import collect_seldom

Measure = Callable[[Path, int], list[Row]]

MEASURES: dict[str, Measure] = {
    "single": appending.single,
    "many": appending.many,
    "groups": appending.groups,
    "buffers": buffers.buffers,
    "verify": reading.verify,
    "protobuf": converting.converting,
    "drain": draining.drain,
    "replay": draining.replay,
    "small": draining.small,
    "collector": collector.collector,
    "crossing": crossing.crossing,
    "open": lambda folder, rounds: opening.opening(folder, rounds, opening.SEGMENTS),
    "idle": opening.idle,
    "disk": reading.disk,
    "memory": memory.memory,
    "taking": taking.taking,
    "renewing": renewing.renewing,
}
FULL: dict[str, Measure] = {
    "memory": memory.large,
    "crossing": crossing.large,
    "open": lambda folder, rounds: opening.opening(folder, rounds, opening.MANY_SEGMENTS),
    "taking": taking.many,
}
"""What takes hours, or much of a disk."""
ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "benchmarks.md"
ROUNDS = 5


def main() -> None:
    """Run what was asked for, print the table; with ``--write`` put it, with plots, into docs."""
    collect_seldom()
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("name", nargs="*", help=f"what to measure; all of: {', '.join(MEASURES)}")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often (default: 5)")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md and plots")
    parser.add_argument(
        "--full",
        action="store_true",
        help=f"instead, of {', '.join(FULL)}, the large ones: 10 GB drained, 20 GB carried across,"
        " 1,000,000 segments opened, 1,000,000 requests taken: hours, 40 GB of disk",
    )
    given = parser.parse_args()
    measures = FULL if given.full else MEASURES
    names: list[str] = given.name or list(measures)
    if unknown := sorted(set(names) - set(measures)):
        parser.error(f"there is no {', '.join(unknown)}; take of: {', '.join(measures)}")
    if given.rounds < 1:
        parser.error("--rounds: at least 1")
    if given.write and given.name and not given.full:
        parser.error("--write writes the whole table; name nothing with it")
    rows: list[Row] = []
    for name in names:
        sys.stderr.write(f"bench: {name}\n")
        with tempfile.TemporaryDirectory(prefix="bench-", dir=_disk()) as folder:
            found = measures[name](Path(folder), given.rounds)
        sys.stdout.write(as_text(found))
        if given.write and given.full:
            write(PAGE, name, as_markdown(found, given.rounds))
        rows += found
    if given.write and not given.full:
        with tempfile.TemporaryDirectory(prefix="bench-", dir=_disk()) as folder:
            plots = draw(PAGE.parent / "benchmarks", curves(Path(folder)))
        write(PAGE, "all", as_markdown(rows, given.rounds, plots))


def _disk() -> Path:
    """A folder on a real disk: the one for temporary files, or the project's own."""
    usual = Path(tempfile.gettempdir()).resolve()
    kinds = {}
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        kinds[where] = kind
    nearest = next(str(p) for p in (usual, *usual.parents) if str(p) in kinds)
    return ROOT if kinds[nearest] in ("tmpfs", "ramfs") else usual


if __name__ == "__main__":
    main()
