"""How much comes and goes, from the newest seals and the audit.

Nobody has to run for it, and a restart forgets nothing. Where there is too little to measure, there is
no rate.
"""

from dataclasses import dataclass

from spool.clock import MS
from spool.lane import Lane
from spool.ledger_activity import Activity
from spool.recent import newest_seals

TAKEN_OVER_MS = 3_600_000
"""Milliseconds over which what comes is measured: while nothing leaves, a seal comes every ten
minutes."""
SENT_OVER_MS = 300_000
"""Milliseconds over which what leaves is measured: the present, not the outage before it."""
EVIDENCE_MS = 10_000
"""Milliseconds below which a rate would be a guess."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a lane took lately: bytes of records, and bytes of disk, a second; None: nobody knows.

    ``stored_per_record`` bytes of disk that a record takes, None before the first seal;
    ``newest_at`` when its newest sealed record was accepted, ms since 1970 UTC.
    """

    raw_per_s: float | None = None
    stored_per_s: float | None = None
    stored_per_record: float | None = None
    newest_at: int | None = None


def taken(lane: Lane, at: int) -> Taken:
    """What the newest seals of ``lane`` say of the time before ``at`` (ms). Raises :class:`OSError`."""
    begin = at - TAKEN_OVER_MS
    raw = stored = all_stored = all_records = 0
    newest: int | None = None
    first = at
    older = False
    for said in newest_seals(lane, begin):
        if said.last_at is None or said.first_at is None:
            continue  # a heartbeat or a loss: nothing came
        newest = said.last_at if newest is None else max(newest, said.last_at)
        all_stored, all_records = all_stored + said.size, all_records + said.records
        if said.last_at < begin:
            older = True
        else:
            raw, stored, first = raw + said.raw_size, stored + said.size, said.first_at
    if newest is None:
        return Taken()
    # Where nothing older was read, there may have been more before: then less time counts.
    seconds = (at - (min(begin, first) if older else first)) / MS
    if seconds * MS < EVIDENCE_MS:
        return Taken(None, None, all_stored / all_records, newest)
    return Taken(raw / seconds, stored / seconds, all_stored / all_records, newest)


def sent_per_s(activity: Activity, up_since: int, at: int) -> float | None:
    """Bytes of records a second that the beacon took since it could; None where nothing was."""
    span = at - max(activity.since, up_since)
    if not activity.delivered.raw_size or span < EVIDENCE_MS:
        return None
    return activity.delivered.raw_size * MS / span
