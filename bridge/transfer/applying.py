"""What a node makes of a receipt: it moves what is named, as an answer of the beacon would.

As far as the digests in it are of segments of ours; delivered stays delivered, nothing is deleted, and
a receipt that is no newer than what was applied changes nothing.
"""

import os
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path

from bridge.transfer.bundle import ReturnBundle
from bridge.transfer.receipt import LaneReceipt, Refused, Span
from keys.errors import VerificationError, shown
from spool.clock import Clock
from spool.discovery import said_by, totals_around, totals_before
from spool.head import Head, read_head
from spool.lane import SEQ_MAX, Lane
from spool.ledger import DISCARDED, By, Ledger, RecordException, State
from spool.ledger import Span as Known
from spool.ranges import Range, without
from spool.segment import Segment
from spool.states import may_move

_WORD = "receipt"
_NUMBER_MAX = SEQ_MAX // 2
"""The highest number that a receipt may move a lane to: whoever has a relay's key could use up all that
are left. No node comes so far; with a segment each tenth of a millisecond it would take over a year."""


@dataclass(slots=True)
class Applied:
    """What a receipt did: records that it moved, by state, and what it asks for."""

    stale: bool = False
    delivered: int = 0
    quarantined: int = 0
    pending: int = 0
    missing: int = 0
    foreign: list[tuple[str, int]] = field(default_factory=list)
    """Stream and number of spans whose digest is not that of a segment of ours."""
    forks: list[tuple[str, int]] = field(default_factory=list)
    """Stream and number of segments there of which others have the numbers."""
    forked: list[str] = field(default_factory=list)
    """The streams in whose present chain somebody else gave out numbers."""
    ahead: dict[str, int] = field(default_factory=dict)
    """By stream the highest number of the present chain that is known there, and not here any more."""


def apply(
    ledger: Ledger, spool: Path, node: str, found: ReturnBundle, clock: Clock, *, dry_run: bool
) -> Applied:
    """Let the receipt in ``found`` move what it names; twice, or late, changes nothing.

    Which chains the node has to leave is told each time: whoever has to may have been killed before.
    Raises :class:`VerificationError` ``bundle.recipient`` where it is for another node,
    ``receipt.number`` or ``receipt.record``; then nothing was changed.
    """
    receipt = found.receipt
    if receipt.node != node:
        raise VerificationError(
            "bundle.recipient",
            f"The return bundle is for {shown(receipt.node)}, and this is {node}.",
            "Carry it to its recipient; nothing was changed.",
        )
    applied = Applied()
    seen = ledger.newest_receipt(receipt.relay)
    # A relay that was restored counts from lower serials, and its clock goes on.
    applied.stale = receipt.serial <= seen.serial and receipt.made_at <= seen.made_at
    for told in receipt.lanes:
        _look_at_chain(read_head(Lane(spool, node, told.stream)), told, applied)
    if applied.stale:
        return applied
    missing = []
    heard = [_heard(Lane(spool, node, told.stream), told) for told in receipt.lanes]
    for each in heard:
        _apply_lane(ledger, each, applied, at=clock.wall_ms(), dry_run=dry_run)
        wanted = still_wanted(ledger, each.lane, each.told.missing, receipt.relay)
        missing += [(each.lane, numbers) for numbers in wanted]
        applied.missing += sum(map(len, wanted))
    if not dry_run:
        ledger.note_receipt(
            receipt.relay, receipt.serial, receipt.made_at, missing, found.manifest.accepts
        )
    return applied


def still_wanted(ledger: Ledger, lane: Lane, missing: Sequence[Range], relay: str) -> list[Range]:
    """Of the numbers that ``relay`` never got, those that nobody else has brought, or is to bring.

    What went out by HTTP, or to another relay, is missing there, and to pack it would have it counted
    twice.
    """
    there = [Range(s.first, s.last) for s in ledger.spans(lane, State.DELIVERED)]
    return without(missing, [*there, *ledger.packed_for_others(lane, relay)])


@dataclass(frozen=True, slots=True)
class _Heard:
    """What a receipt tells of a lane: which of its spans end with a segment that we sealed.

    Each comes with the records in it that were refused.
    """

    lane: Lane
    head: Head | None
    told: LaneReceipt
    ours: Sequence[tuple[Span, Sequence[Refused]]]


def _heard(lane: Lane, told: LaneReceipt) -> _Heard:
    """Judged before anything moves; raises :class:`VerificationError` ``receipt.record``."""
    head = read_head(lane)
    if head is None:
        return _Heard(lane, None, told, ())
    named = [(span, told.refused) for span in told.spans]
    named += [(fork.span, fork.refused) for fork in told.forks]
    ours = [(span, refused) for span, refused in named if _is_ours(lane, head, span)]
    for span, refused in ours:
        _check_records(lane, head, span, refused)
    return _Heard(lane, head, told, ours)


def _check_records(lane: Lane, head: Head, span: Span, refused: Sequence[Refused]) -> None:
    """The books count what is refused off what is delivered: it must be records that there are."""
    last = {each.seq: each.line for each in _among(refused, span.first, span.last)}
    for seq, line in last.items():
        held = totals_before(lane, head, seq + 1) - totals_before(lane, head, seq)
        if line >= held.records:
            raise VerificationError(
                "receipt.record",
                f"The receipt says that record {line} of {lane.stream} {seq} was refused, and "
                f"that segment holds {held.records}.",
                "Nothing was changed. Ask the relay's operator: its books are not of this spool.",
            )


def _among(refused: Sequence[Refused], first: int, last: int) -> Sequence[Refused]:
    """Those of ``refused``, which are in order, that are of these segments."""
    begin = bisect_left(refused, first, key=attrgetter("seq"))
    return refused[begin : bisect_right(refused, last, begin, key=attrgetter("seq"))]


def _look_at_chain(head: Head | None, told: LaneReceipt, applied: Applied) -> None:
    """Whether others give out numbers of the chain that has this ``head``, or it was set back.

    Raises :class:`VerificationError` ``receipt.number``.
    """
    if head is None:
        return
    for span in told.spans:
        if span.chain == head.chain and span.last > head.seq:
            if span.last > _NUMBER_MAX:
                raise VerificationError(
                    "receipt.number",
                    f"The receipt says that {told.stream} has come to segment {span.last}.",
                    "No node comes so far, and nothing was changed. Who else holds the relay's key?",
                )
            applied.ahead[told.stream] = span.last
    if any(fork.span.chain == head.chain for fork in told.forks):
        applied.forked.append(told.stream)


def _apply_lane(ledger: Ledger, heard: _Heard, applied: Applied, *, at: int, dry_run: bool) -> None:
    stream, known = heard.told.stream, {span for span, _ in heard.ours}
    applied.foreign += [
        (stream, span.last)
        for span in heard.told.spans
        if span not in known and not _went(ledger, heard, span)
    ]
    applied.forks += [(stream, fork.span.first) for fork in heard.told.forks]
    if heard.head is None:
        return
    for span, refused in heard.ours:
        _apply_span(ledger, heard.lane, span, refused, applied=applied, at=at, dry_run=dry_run)


def _went(ledger: Ledger, heard: _Heard, span: Span) -> bool:
    """Whether the last segment of ``span`` was delivered and deleted since: none can compare it then.

    A receipt tells of all that ever came, and this node keeps its segments for some time only. Of the
    last one the head has the digest.
    """
    lane, head = heard.lane, heard.head
    if head is None or (span.chain == head.chain and span.last >= head.seq):
        return False
    if os.path.lexists(lane.segment(span.last)):
        return False
    held = ledger.spans_among(lane, Range(span.last, span.last))
    return [(each.chain, each.state) for each in held] == [(span.chain, State.DELIVERED)]


def _is_ours(lane: Lane, head: Head, span: Span) -> bool:
    """Whether the last segment of ``span`` is the one that we sealed; links vouch for those before."""
    if (head.chain, head.seq, head.digest) == (span.chain, span.last, span.digest):
        return True
    try:
        with Segment.open(lane.segment(span.last)) as segment:
            return (segment.statement.chain, segment.digest) == (span.chain, span.digest)
    except FileNotFoundError:
        pass
    except VerificationError:
        return False
    after = said_by(lane, span.last + 1)
    return after is not None and (after.chain, after.prev) == (span.chain, span.digest)


def _apply_span(
    ledger: Ledger,
    lane: Lane,
    span: Span,
    refused: Sequence[Refused],
    *,
    applied: Applied,
    at: int,
    dry_run: bool,
) -> None:
    target = State(span.state)
    for known, part in _stretches(ledger, lane, span):
        before, after = totals_around(lane, known, part)
        records = (after - before).records
        if target is State.PENDING:
            applied.pending += records
            continue
        if known.state is target is State.DELIVERED:
            applied.delivered += _taken_since(ledger, lane, part, refused, dry_run=dry_run)
        if not may_move(known.state, target, By.RECEIPT):
            continue
        exceptions = [
            RecordException(each.seq, each.line, at, each.code, each.status, each.text or _WORD)
            for each in _among(refused, part.first, part.last)
        ]
        moved = (
            len(part)
            if dry_run
            else ledger.confirm(
                lane, part, target, before=before, after=after, exceptions=exceptions
            )
        )
        if moved and target is State.DELIVERED:
            applied.delivered += records - len(exceptions)
            applied.quarantined += len(exceptions)
        elif moved:
            applied.quarantined += records


def _taken_since(
    ledger: Ledger, lane: Lane, part: Range, refused: Sequence[Refused], *, dry_run: bool
) -> int:
    """How many records of ``part``, which is delivered, were refused once, and are not any more.

    The relay sent them again. What was given up here stays so.
    """
    still = {(each.seq, each.line) for each in _among(refused, part.first, part.last)}
    once = [
        (each.seq, each.line)
        for each in ledger.exceptions(lane, part)
        if each.verdict != DISCARDED and (each.seq, each.line) not in still
    ]
    return len(once) if dry_run or not once else ledger.taken_since(lane, once)


def _stretches(ledger: Ledger, lane: Lane, span: Span) -> Iterator[tuple[Known, Range]]:
    """What the ledger has of the numbers of ``span``, in that chain, and which of them each has."""
    for known in ledger.spans_among(lane, Range(span.first, span.last)):
        first, last = max(known.first, span.first), min(known.last, span.last)
        if first <= last and known.chain == span.chain:
            yield known, Range(first, last)
