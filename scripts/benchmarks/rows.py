"""A row of the table: two sides measured in turn, and how they stand to each other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

Side = Callable[[], float]
"""Runs once, and returns its figure: more is better."""


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured, against what, both figures, their ratio, the bound, and whether it holds.

    A row without a bound is there to be known; ``met`` is None then.
    """

    work: str
    against: str
    ours: str
    theirs: str
    ratio: str
    bound: str
    met: bool | None


def interleaved(rounds: int, *sides: Side) -> list[list[float]]:
    """The figures of each side, one a round; every other round goes through them backwards."""
    figures: list[list[float]] = [[] for _ in sides]
    for number in range(rounds):
        order = range(len(sides)) if number % 2 == 0 else reversed(range(len(sides)))
        for side in order:
            figures[side].append(sides[side]())
    return figures


def _ratios(top: Sequence[float], bottom: Sequence[float]) -> tuple[float, str]:
    each = [a / b for a, b in zip(top, bottom, strict=True)]
    middle = median(top) / median(bottom)
    return middle, f"{middle:.2f} ({min(each):.2f} to {max(each):.2f})"


def at_least(
    work: str,
    against: str,
    ours: Sequence[float],
    theirs: Sequence[float],
    unit: str,
    *,
    bound: float,
) -> Row:
    """Ours must be at least ``bound`` times theirs."""
    ratio, text = _ratios(ours, theirs)
    figures = [f"{median(side):,.0f} {unit}" for side in (ours, theirs)]
    return Row(work, against, figures[0], figures[1], text, f"≥ {bound:g}x", ratio >= bound)


def beside(
    work: str, against: str, ours: Sequence[float], theirs: Sequence[float], unit: str
) -> Row:
    """Ours beside theirs, without a bound."""
    figures = [f"{median(side):,.0f} {unit}" for side in (ours, theirs)]
    return Row(work, against, figures[0], figures[1], _ratios(ours, theirs)[1], "—", None)


def told(work: str, against: str, ours: float, theirs: float, unit: str) -> Row:
    """One figure beside another, both of the same run."""
    figures = [f"{side:,.2f} {unit}" for side in (ours, theirs)]
    return Row(work, against, figures[0], figures[1], f"{ours / theirs:.2f}", "—", None)


def at_most(
    work: str,
    against: str,
    ours: Sequence[float],
    theirs: Sequence[float],
    unit: str,
    *,
    bound: float,
) -> Row:
    """Ours must be at most ``bound`` times theirs."""
    ratio, text = _ratios(ours, theirs)
    figures = [f"{median(side):,.1f} {unit}" for side in (ours, theirs)]
    return Row(work, against, figures[0], figures[1], text, f"≤ {bound:g}x", ratio <= bound)


def fewer(work: str, against: str, ours: float, theirs: float, unit: str, *, bound: float) -> Row:
    """Theirs must be at least ``bound`` times ours."""
    figures = [f"{side:,.1f} {unit}" for side in (ours, theirs)]
    ratio = theirs / ours
    return Row(
        work, against, figures[0], figures[1], f"{ratio:.2f}", f"≥ {bound:g}x fewer", ratio >= bound
    )


def below(work: str, ours: float, limit: float, unit: str) -> Row:
    """Ours must be below ``limit``; there is no other side."""
    return Row(work, "—", f"{ours:,.1f} {unit}", "—", "—", f"< {limit:.3g} {unit}", ours < limit)


def below_beside(
    work: str, against: str, ours: float, theirs: float, unit: str, *, limit: float
) -> Row:
    """Ours must be below ``limit``; theirs, of the same minutes, says what the machine asks."""
    figures = [f"{side:,.2f} {unit}" for side in (ours, theirs)]
    ratio = f"{ours / theirs:.1f}" if theirs else "—"
    bound = f"< {limit:.3g} {unit}"
    return Row(work, against, figures[0], figures[1], ratio, bound, ours < limit)
