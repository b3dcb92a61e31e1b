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
import taking
from curves import curves
from plots import draw
from rows import Row
from table import as_text, write

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
    "open": lambda folder, rounds: opening.opening(folder, rounds, full=False),
    "idle": opening.idle,
    "disk": reading.disk,
    "memory": lambda folder, _: memory.memory(folder, full=False),
    "taking": lambda folder, rounds: taking.taking(folder, rounds, full=False),
}
ROOT = Path(__file__).parents[2]
ROUNDS = 5


def main() -> None:
    """Run what was asked for, print the table; with ``--write`` put it, with plots, into docs."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("name", nargs="*", help=f"what to measure; all of: {', '.join(MEASURES)}")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often (default: 5)")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md and plots")
    parser.add_argument(
        "--full",
        action="store_true",
        help="drain 10 GB, carry 20 GB across, take 1,000,000 requests, open 1,000,000 segments:"
        " hours, 40 GB of disk",
    )
    given = parser.parse_args()
    names: list[str] = given.name or list(MEASURES)
    if unknown := sorted(set(names) - set(MEASURES)):
        parser.error(f"there is no {', '.join(unknown)}; take of: {', '.join(MEASURES)}")
    if given.rounds < 1:
        parser.error("--rounds: at least 1")
    if given.write and given.name:
        parser.error("--write writes the whole table; name nothing with it")
    measures = dict(MEASURES)
    if given.full:
        measures["crossing"] = lambda folder, rounds: [
            *crossing.crossing(folder, rounds),
            *crossing.large(folder),
        ]
        measures["memory"] = lambda folder, _: memory.memory(folder, full=True)
        measures["open"] = lambda folder, rounds: opening.opening(folder, rounds, full=True)
        measures["taking"] = lambda folder, rounds: taking.taking(folder, rounds, full=True)
    rows: list[Row] = []
    for name in names:
        sys.stderr.write(f"bench: {name}\n")
        with tempfile.TemporaryDirectory(prefix="bench-", dir=_disk()) as folder:
            rows += measures[name](Path(folder), given.rounds)
    sys.stdout.write(as_text(rows))
    if given.write:
        with tempfile.TemporaryDirectory(prefix="bench-", dir=_disk()) as folder:
            plots = draw(ROOT / "docs" / "benchmarks", curves(Path(folder)))
        write(ROOT / "docs" / "benchmarks.md", rows, given.rounds, plots)


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
