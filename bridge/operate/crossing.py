"""What crossed the gap, or did not: exported and never confirmed, asked for again, forked."""

from collections.abc import Callable, Iterator, Sequence

from bridge.operate.problem import Problem
from bridge.terminal import counted
from spool.clock import rfc3339
from spool.lane import Lane
from spool.ledger import Ledger
from spool.ranges import Range, format_ranges


def _more(others: int) -> str:
    return f"; so {counted(others, 'does', 'do')} more" if others else ""


_SHOWN = 200
"""Characters of numbers in a message."""


def _numbers(ranges: Sequence[Range]) -> str:
    """The first of them: none is cut short, which would be another number."""
    text = format_ranges(ranges)
    return text if len(text) <= _SHOWN else f"{text[: text.rindex(',', 0, _SHOWN)]} and more"


Gaps = Callable[[Lane], Sequence[Range]]
"""The numbers of an imported lane that have not come."""


def crossing(
    ledger: Ledger, lanes: Sequence[Lane], at: int, overdue: int | None, gaps: Gaps
) -> Iterator[Problem]:
    """What of it needs a person at the time ``at``; ``overdue`` ms without a receipt are too long.

    None: nobody waits for receipts. ``gaps`` tells what an imported lane lacks.
    """
    since = ledger.exported_since()
    # A time that is still to come was told by a clock that was ahead: nobody knows how long it is.
    if overdue is not None and since is not None and abs(at - since) > overdue:
        yield Problem(
            "transfer.overdue",
            f"What was exported at {rfc3339(since)} is not confirmed yet.",
            "Ask the relay for a return bundle, or pack it again: bridge export --again --to DIR",
        )
    for lane in lanes:
        name = f"{lane.node}/{lane.stream}"
        if lane.imported.exists():
            if missing := gaps(lane):
                yield Problem(
                    "transfer.gap",
                    f"Of {name} the numbers {_numbers(missing)} never came here.",
                    f"Give the node what asks for it: bridge export --for {lane.node} --to DIR; "
                    "where nothing goes back, its operator.",
                )
            if forks := ledger.forks(lane):
                yield Problem(
                    "transfer.fork",
                    f"{counted(len(forks), 'segment', 'segments')} of {name} "
                    f"{'has' if len(forks) == 1 else 'have'} a number that another one has, first "
                    f"{forks[0][0]}; all of them are sent.",
                    "Ask the node's operator which machine made the others; both are kept.",
                )
            if unlinked := ledger.unlinked(lane):
                yield Problem(
                    "transfer.unlinked",
                    f"Segment {unlinked[0]} of {name} follows another one than came here"
                    f"{_more(len(unlinked) - 1)}.",
                    "Ask the node's operator for all that has the number before it: two machines may "
                    "seal in one name.",
                )
        elif missing := ledger.missing(lane):
            yield Problem(
                "transfer.missing",
                f"A relay never got the numbers {_numbers(missing)} of {name}.",
                "Pack them again: bridge export --resend RETURN-BUNDLE --to DIR",
            )
