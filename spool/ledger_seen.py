"""What a person has seen of losses and of lower counts, so that only what is new is a problem.

Each act says what it covers and why, and stands in the audit for ever. Which numbers it covers is
marked until they are lost no more: what is lost a second time is new. Nothing else changes by it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from spool.lane import SEQ_MAX, Lane
from spool.ledger_audit import TEXT_MAX
from spool.ledger_db import Transaction
from spool.ledger_marks import Marks
from spool.ledger_spans import lane_id, need_lane, spans
from spool.ranges import Range, format_ranges, parse_ranges, without
from spool.states import State

LOST_SEEN = Marks("lost_seen")
_ALL = Range(1, SEQ_MAX)


@dataclass(frozen=True, slots=True)
class Seen:
    """One act, of one lane.

    ``numbers``: the segments of whose loss nobody had said so yet, as text, empty without any;
    ``segments`` how many. ``records``: what all lost segments of the lane hold at that moment.
    ``partial``: records that the beacon's own count lacked, and that nobody had seen yet. ``at`` in ms
    since 1970 UTC.
    """

    at: int
    node: str
    stream: str
    numbers: str
    segments: int
    records: int
    partial: int
    note: str


def unseen_lost(
    tx: Transaction, lane: Lane, within: Sequence[Range] | None, at: int, note: str
) -> Iterator[Seen]:
    """One, of what is lost ``within`` (all without), if any of it is new."""
    row = lane_id(tx, lane)
    if row is None:
        return
    lost = [span for span in spans(tx, row, 1, SEQ_MAX) if span.state is State.LOST]
    new = without([Range(span.first, span.last) for span in lost], LOST_SEEN.within(tx, row, _ALL))
    if within is not None:
        new = without(new, without([_ALL], within))
    if new:
        records = sum(span.totals.records for span in lost)
        yield Seen(
            at, lane.node, lane.stream, format_ranges(new), sum(map(len, new)), records, 0, note
        )


def unseen_partial(tx: Transaction, lane: Lane, at: int, note: str) -> Iterator[Seen]:
    """One, of records that the beacon's own count lacked, if any of them are new."""
    row = lane_id(tx, lane)
    if row is None:
        return
    (new,) = tx.execute("SELECT partial - partial_seen FROM lane WHERE id = ?", (row,)).fetchone()
    if new:
        yield Seen(at, lane.node, lane.stream, "", 0, 0, new, note)


def see(tx: Transaction, lane: Lane, act: Seen) -> None:
    """Enter ``act``, as it was just found in the same transaction."""
    row = need_lane(tx, lane)
    tx.execute(
        "INSERT INTO seen (at, lane, numbers, segments, records, partial, note)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            act.at, row, act.numbers, act.segments, act.records, act.partial,
            act.note[:TEXT_MAX],
        ),
    )  # fmt: skip
    tx.execute("UPDATE lane SET partial_seen = partial_seen + ? WHERE id = ?", (act.partial, row))
    for numbers in parse_ranges(act.numbers, limit=act.segments) if act.numbers else ():
        LOST_SEEN.note(tx, row, numbers)


def read_seen(tx: Transaction, since: int) -> list[Seen]:
    """Every act from ``since`` (ms since 1970 UTC) on, oldest first."""
    rows = tx.execute(
        "SELECT at, node, stream, numbers, segments, records, seen.partial, note"
        " FROM seen JOIN lane ON lane.id = seen.lane WHERE at >= ? ORDER BY seen.id",
        (since,),
    )
    return [Seen(*row) for row in rows]
