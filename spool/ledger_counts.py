"""How many segments, records and bytes of a lane stand where.

A record is counted once, where its segment stands; an exception is counted as quarantined wherever
its segment stands, and as lost once it was given up. So the sums over all states are what was sealed,
at every moment.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

from spool.ledger_audit import DISCARDED
from spool.ledger_db import Transaction
from spool.ledger_seen import LOST_SEEN
from spool.ledger_spans import Span
from spool.states import State


@dataclass(frozen=True, slots=True)
class LaneCounts:
    """One lane.

    ``head`` is the highest number known to the ledger, ``first_pending`` the lowest pending one.
    ``in_doubt``: records delivered after an attempt of unknown outcome, once for each such attempt:
    so often they may be there beside the one that was answered. ``partial``: records that
    the beacon's own count lacked. ``lost_seen``: lost segments that a person has seen;
    ``partial_seen``: so many of ``partial``. ``exceptions``: single records that nobody has dealt
    with. ``gaps``:
    numbers that the ledger never knew between those of one chain. ``bytes_pending``: bytes of records.
    """

    node: str
    stream: str
    head: int
    segments: Mapping[State, int]
    records: Mapping[State, int]
    in_doubt: int
    partial: int
    lost_seen: int
    partial_seen: int
    exceptions: int
    gaps: int
    bytes_pending: int
    first_pending: int | None

    @classmethod
    def none(cls, node: str, stream: str) -> Self:
        """Of a lane of which the ledger knows nothing."""
        nothing = dict.fromkeys(State, 0)
        return cls(node, stream, 0, nothing, nothing, 0, 0, 0, 0, 0, 0, 0, None)

    def and_pending(self, spans: Sequence[Span]) -> Self:
        """With pending ``spans`` above all that the ledger knows."""
        if not spans:
            return self
        segments = sum(span.last - span.first + 1 for span in spans)
        records = sum(span.totals.records for span in spans)
        pending = State.PENDING
        return replace(
            self,
            head=spans[-1].last,
            segments={**self.segments, pending: self.segments[pending] + segments},
            records={**self.records, pending: self.records[pending] + records},
            bytes_pending=self.bytes_pending + sum(span.totals.raw_size for span in spans),
            first_pending=spans[0].first if self.first_pending is None else self.first_pending,
        )


def counts(tx: Transaction) -> list[LaneCounts]:
    """All lanes, by node and stream; forks are counted with the lane whose numbers they have."""
    query = (
        "SELECT id, node, stream, in_doubt, partial, partial_seen FROM lane"
        " ORDER BY node, stream, fork"
    )
    found: dict[tuple[str, str], LaneCounts] = {}
    for row in tx.execute(query).fetchall():
        one = _lane(tx, row)
        lane = one.node, one.stream
        found[lane] = _both(found[lane], one) if lane in found else one
    return list(found.values())


def _both(lane: LaneCounts, fork: LaneCounts) -> LaneCounts:
    return replace(
        lane,
        segments={state: lane.segments[state] + fork.segments[state] for state in State},
        records={state: lane.records[state] + fork.records[state] for state in State},
        in_doubt=lane.in_doubt + fork.in_doubt,
        partial=lane.partial + fork.partial,
        lost_seen=lane.lost_seen + fork.lost_seen,
        partial_seen=lane.partial_seen + fork.partial_seen,
        exceptions=lane.exceptions + fork.exceptions,
        bytes_pending=lane.bytes_pending + fork.bytes_pending,
        first_pending=fork.first_pending if lane.first_pending is None else lane.first_pending,
    )


def _lane(tx: Transaction, row: tuple[int, str, str, int, int, int]) -> LaneCounts:
    lane, node, stream, in_doubt, partial, partial_seen = row
    segments = dict.fromkeys(State, 0)
    records = dict.fromkeys(State, 0)
    head, bytes_pending, first_pending = 0, 0, None
    query = (
        "SELECT state, SUM(last - first + 1), SUM(records), SUM(raw_size), MIN(first), MAX(last)"
        " FROM span WHERE lane = ? GROUP BY state"
    )
    for name, count, held, raw_size, first, last in tx.execute(query, (lane,)):
        state = State(name)
        segments[state], records[state] = count, held
        head = max(head, last)
        if state is State.PENDING:
            bytes_pending, first_pending = raw_size, first
    exceptions = 0
    for state, given_up, count in _exceptions(tx, lane):
        exceptions += 0 if given_up else count
        records[state] -= count
        records[State.LOST if given_up else State.QUARANTINED] += count
    return LaneCounts(
        node=node,
        stream=stream,
        head=head,
        segments=segments,
        records=records,
        in_doubt=in_doubt,
        partial=partial,
        lost_seen=LOST_SEEN.count(tx, lane),
        partial_seen=partial_seen,
        exceptions=exceptions,
        gaps=_gaps(tx, lane),
        bytes_pending=bytes_pending,
        first_pending=first_pending,
    )


def _exceptions(tx: Transaction, lane: int) -> list[tuple[State, bool, int]]:
    query = (
        "SELECT (SELECT state FROM span WHERE span.lane = exception.lane"
        " AND span.first <= exception.seq ORDER BY span.first DESC LIMIT 1) AS state,"
        " verdict = ? AS given_up, COUNT(*) FROM exception WHERE lane = ? GROUP BY state, given_up"
    )
    found = tx.execute(query, (DISCARDED, lane))
    return [(State(name), bool(given_up), count) for name, given_up, count in found]


def _gaps(tx: Transaction, lane: int) -> int:
    query = (
        "SELECT COALESCE(SUM(held), 0) FROM (SELECT MAX(last) - MIN(first) + 1"
        " - SUM(last - first + 1) AS held FROM span WHERE lane = ? GROUP BY chain)"
    )
    (missing,) = tx.execute(query, (lane,)).fetchone()
    return int(missing)
