"""How sending went lately: what was delivered, and when anything moved last."""

from dataclasses import dataclass

from spool.ledger_db import Transaction
from spool.totals import NOTHING, Totals

ROWS_MAX = 20_000
"""Rows of the audit that are looked at; a busy hour has fewer."""
_DELIVERED = "delivered"


@dataclass(frozen=True, slots=True)
class Activity:
    """Times are ms since 1970 UTC, None for never, as far as the audit is kept.

    ``delivered`` is what the beacon took since ``since``, which is the moment that was asked for, or a
    later one if there was more to look at than is looked at. ``delivered_at`` is the last time that it
    took anything, ``attempted_at`` that anything was tried or answered. ``answered`` is what the newest
    answered request carried, and ``answered_at`` when.
    """

    since: int
    delivered: Totals
    delivered_at: int | None
    attempted_at: int | None
    answered: Totals = NOTHING
    answered_at: int | None = None


def activity(tx: Transaction, since: int) -> Activity:
    """What the newest rows say, from ``since`` (ms) on; costs nothing that grows with the ledger."""
    delivered, delivered_at, attempted_at = NOTHING, None, None
    answered, answered_at = NOTHING, None
    query = "SELECT at, verdict, records, raw_size FROM audit ORDER BY id DESC LIMIT ?"
    rows = tx.execute(query, (ROWS_MAX,))
    for seen, (at, verdict, records, raw_size) in enumerate(rows, start=1):
        attempted_at = at if attempted_at is None else attempted_at
        if answered_at is None and raw_size:
            answered, answered_at = Totals(records, raw_size), at
        if verdict == _DELIVERED:
            delivered_at = at if delivered_at is None else delivered_at
            if at >= since:
                delivered += Totals(records, raw_size)
        if at < since and delivered_at is not None:
            break
        if seen == ROWS_MAX:
            since = max(since, at)
    (tried,) = tx.execute("SELECT MAX(attempted_at) FROM batch").fetchone()
    times = [at for at in (attempted_at, tried) if at is not None]
    latest = max(times, default=None)
    return Activity(since, delivered, delivered_at, latest, answered, answered_at)
