"""Curves as SVG, drawn by gnuplot; the same figures give the same file."""

import subprocess
from collections.abc import Iterable
from pathlib import Path

from curves import Curve

_HEAD = """\
set terminal svg size 640,400 font "sans-serif,12" background "white" noenhanced
set output
set title "{title}"
set xlabel "{across}"
set ylabel "{up}"
set key outside bottom center horizontal
set grid
set yrange [0:*]
"""
_LOG = """\
set logscale x
set format x "%.0s%c"
"""


def draw(folder: Path, some: Iterable[Curve]) -> list[str]:
    """Write one file for each curve; their names. Raises what gnuplot's absence raises."""
    folder.mkdir(exist_ok=True)
    names = []
    for curve in some:
        parts = [f"'-' using 1:2 with linespoints linewidth 2 title \"{n}\"" for n in curve.lines]
        data = "".join(
            "".join(f"{across:g} {up:g}\n" for across, up in line) + "e\n"
            for line in curve.lines.values()
        )
        head = _HEAD.format(title=curve.title, across=curve.across, up=curve.up)
        script = f"{head}{_LOG if curve.log else ''}plot {', '.join(parts)}\n{data}"
        done = subprocess.run(
            ["gnuplot"],  # noqa: S607 - wherever the machine has it
            input=script.encode(),
            stdout=subprocess.PIPE,
            check=True,
        )
        name = f"{curve.name}.svg"
        (folder / name).write_bytes(done.stdout)
        names.append(name)
    return names
