"""The doctor's way of working: checks run one after the other, and none stops the others.

A check returns what it saw, in a few words, or raises the error that names what is wrong.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from keys.errors import BridgeError
from spool.durable import explained

WORST_FIRST = (78, 4, 5, 7, 6, 3)
"""Exit codes: of several that apply the first is told."""


class NotLookedAtError(Exception):
    """A check that has nothing to look at; its text says why."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at, under a stable id."""

    id: str
    look: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found: ``ok`` None where there was nothing to look at; ``note`` says what it saw."""

    id: str
    ok: bool | None
    note: str
    problem: BridgeError | None = None


def run(checks: Iterable[Check]) -> Iterator[Finding]:
    """Every check's finding, in order, as soon as it is there."""
    for check in checks:
        try:
            yield Finding(check.id, ok=True, note=check.look())
        except NotLookedAtError as error:
            yield Finding(check.id, ok=None, note=str(error))
        except (BridgeError, OSError) as error:
            problem = (
                explained(error, "look what is there") if isinstance(error, OSError) else error
            )
            yield Finding(check.id, ok=False, note=problem.message, problem=problem)


def exit_code(findings: Iterable[Finding]) -> int:
    """0, or the first of 78, 4, 5, 7, 6, 3 that a problem has; every other problem is a 3."""
    codes = {each.problem.exit_code for each in findings if each.problem is not None}
    if not codes:
        return 0
    return next((code for code in WORST_FIRST if code in codes), WORST_FIRST[-1])
