"""A process that lives while nothing flows: backlog without progress, and who cannot be its cause.

An outage is no lack of progress as long as the beacon is tried again and again.
"""

from dataclasses import dataclass

from bridge.operate.problem import Problem
from bridge.terminal import counted
from spool.clock import MS, rfc3339
from spool.egressfile import FLOWING
from spool.ledger_activity import Activity

STUCK_MS = 15 * 60_000
"""Milliseconds without a delivery, with egress up; a segment waits ten minutes at most to be sealed."""
UNTRIED_MS = 2 * 3_600_000
"""Milliseconds without an attempt, with egress down: the beacon can ask for an hour's patience."""
BEGIN_MS = 2 * 60_000
"""Milliseconds that a daemon, or an egress that just came up, has for its first delivery."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """Records that could leave: how many, since when the oldest waits (ms since 1970 UTC)."""

    records: int
    oldest_at: int


def no_progress(
    at: int,
    backlog: Backlog,
    activity: Activity,
    *,
    state: str,
    since: int,
    rate: int | None = None,
) -> Problem | None:
    """The problem, if there is one.

    ``state`` of egress and the moment (ms) ``since`` when both it and the daemon are as they are.
    ``rate``, in bytes a second, is kept by silence after a request, which counts as what moves.
    """
    if state in FLOWING:
        moved, patience, what = activity.delivered_at, STUCK_MS, "nothing was delivered"
        begun = since + BEGIN_MS
    elif state == "down":
        moved, patience, what = activity.attempted_at, UNTRIED_MS, "nothing was tried"
        begun = since + UNTRIED_MS
    else:
        return None
    moving_until = max(backlog.oldest_at, moved or 0, _quiet_until(activity, rate))
    if at < begun or at - moving_until < patience:
        return None
    last = "ever" if moved is None else f"since {rfc3339(moved)}"
    return Problem(
        "egress.no_progress",
        f"{counted(backlog.records, 'record waits', 'records wait')} since "
        f"{rfc3339(backlog.oldest_at)}, egress is {state}, and "
        f"{what} {last}.",
        "Run: bridge doctor; then restart the daemon, and report its log if that helps.",
    )


def _quiet_until(activity: Activity, rate: int | None) -> int:
    """Until when the newest request keeps the others waiting: a large one at a low rate, for hours."""
    if rate is None or activity.answered_at is None:
        return 0
    return activity.answered_at + activity.answered.raw_size * MS // rate
