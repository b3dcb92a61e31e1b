"""When the spool will be full, when it will be drained: at the present rates, or nobody knows.

Numbers in, times out; None is "not at these rates, or too little is known to say".
"""

from dataclasses import dataclass

from spool.clock import MS, WALL_MS_MAX

HORIZON_MS = 10 * 366 * 86_400_000
"""Milliseconds: beyond ten years a forecast says "never"."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Bytes a second: of records that come and that are delivered, of disk that what comes takes."""

    taken: float | None
    stored: float | None
    sent: float | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """Times in ms since 1970 UTC.

    ``full_at``: only what was delivered could be deleted any more, and that is used up.
    ``drop_at``: from then on records that may be dropped are dropped and declared; billing never is.
    ``drained_at``: nothing is pending.
    """

    full_at: int | None
    drop_at: int | None
    drained_at: int | None


def forecast(at: int, rates: Rates, *, pending: int, room: int, droppable: bool) -> Forecast:
    """What follows from ``rates`` at the time ``at``.

    ``pending`` bytes of records are to be sent, ``room`` bytes of disk are left for what cannot be
    deleted; ``droppable`` says whether there is something that may be dropped.
    """
    full_at = _after(at, room, _growth(rates))
    outflow = (rates.sent or 0.0) - (rates.taken or 0.0)
    drained_at = _after(at, pending, outflow) if pending else None
    return Forecast(full_at, full_at if droppable else None, drained_at)


def _growth(rates: Rates) -> float:
    """Bytes of disk a second that what is not delivered grows by."""
    if not rates.taken or not rates.stored:
        return 0.0
    return rates.stored * (1 - (rates.sent or 0.0) / rates.taken)


def _after(at: int, size: int, per_s: float) -> int | None:
    if per_s <= 0:
        return None
    wait = max(size, 0) * MS / per_s
    return None if wait > HORIZON_MS or at + wait > WALL_MS_MAX else at + int(wait)
