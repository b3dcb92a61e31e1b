"""What left, by the ledger and by those that were put aside before it.

Every request that was answered, in the order of answers, every bundle that was written, and whether one
record or one segment left. What is answered rests on what is held: a deleted segment is not read any
more, yet its number, what the beacon said of it, and the bundles it is in are still known as long as
the audit is kept.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from spool.errors import SpoolError
from spool.lane import Lane, lanes
from spool.ledger import AuditRow, Batch, Ledger, RecordException, Seen, State
from spool.ledger_audit import DISCARDED, WITHDRAWN
from spool.ledger_bundles import Packed, Written
from spool.ledger_kept import kept_audit, kept_bundles, kept_ledgers, kept_seen

NOT_CARRIED = "not_carried"
"""The verdict on segments without records: no request was made for them."""

Damaged = Callable[[Path, SpoolError], None]
"""Is told of a kept ledger that cannot be read any further."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record or a whole segment (``line`` None) is: its chain and number, lines from 0.

    ``seq`` is None in a file that is not sealed yet, ``digest`` None where there is no seal.
    """

    lane: Lane
    chain: str
    seq: int | None
    line: int | None = None
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of what is at a place.

    ``answers`` to requests that carried it, oldest first, and requests that were withdrawn without one;
    ``attempts`` that wait for an answer;
    ``exceptions`` the beacon's refusals of it; ``bundles`` that it is in; ``state`` by the ledger, None
    where it knows nothing: of the segment, or of a record that went another way than its segment.
    ``not_carried``: its route has no request for what holds no records.
    """

    place: Place
    state: State | None
    answers: Sequence[AuditRow]
    attempts: Sequence[Batch]
    exceptions: Sequence[RecordException]
    bundles: Sequence[Written] = ()
    not_carried: bool = False

    @property
    def word(self) -> str:
        """``left``, ``in_doubt`` (sent, and nobody knows whether it arrived), or ``not_left``."""
        if self.bundles or any(row.answer.verdict != WITHDRAWN for row in self.answers):
            return "left"
        if self.state in (State.DELIVERED, State.EXPORTED) and not self.not_carried:
            return "left"
        return "in_doubt" if self.attempts or self.answers else "not_left"


def answered(spool: Path, ledger: Ledger, since: int, damaged: Damaged) -> Iterator[AuditRow]:
    """Every answered request from ``since`` (ms since 1970 UTC) on, kept ledgers first.

    Memory does not grow with them. Raises :class:`SpoolError` where the ledger in use fails.
    """
    for path in kept_ledgers(spool):
        try:
            yield from kept_audit(path, since)
        except SpoolError as error:
            damaged(path, error)
    yield from ledger.audit(since)


def carried(
    spool: Path, ledger: Ledger, since: int, damaged: Damaged
) -> Iterator[tuple[Written, Packed]]:
    """Every bundle written from ``since`` on, with what is in it; as :func:`answered` otherwise."""
    for path in kept_ledgers(spool):
        try:
            yield from (found for found in kept_bundles(path) if found[0].at >= since)
        except SpoolError as error:
            damaged(path, error)
    for bundle in ledger.bundles():
        if bundle.at >= since:
            yield bundle, ledger.packed(bundle.serial)


def seen(spool: Path, ledger: Ledger, since: int, damaged: Damaged) -> Iterator[Seen]:
    """Each time that a person had seen a loss or a lower count; as :func:`answered` otherwise."""
    for path in kept_ledgers(spool):
        try:
            yield from kept_seen(path, since)
        except SpoolError as error:
            damaged(path, error)
    yield from ledger.seen(since)


def unanswered(spool: Path, ledger: Ledger) -> Iterator[tuple[Lane, Batch]]:
    """The requests that were tried, and that the beacon may have, without an answer."""
    for lane in lanes(spool):
        for batch in ledger.open_batches(lane):
            if batch.under_way or batch.in_doubt:
                yield lane, batch


def fates(spool: Path, ledger: Ledger, places: Sequence[Place], damaged: Damaged) -> list[Fate]:
    """What became of what is at ``places``; one pass through the audit, whatever their number."""
    answers: dict[int, list[AuditRow]] = {number: [] for number in range(len(places))}
    for row in answered(spool, ledger, 0, damaged):
        for number, place in enumerate(places):
            same = (row.node, row.stream) == (place.lane.node, place.lane.stream)
            if same and _covers(place, row.bounds.chain, row.bounds.start, row.bounds.end):
                answers[number].append(row)
    bundles = list(carried(spool, ledger, 0, damaged))
    return [_fate(ledger, place, answers[number], bundles) for number, place in enumerate(places)]


def _fate(
    ledger: Ledger,
    place: Place,
    rows: Sequence[AuditRow],
    bundles: Sequence[tuple[Written, Packed]],
) -> Fate:
    seq, line = place.seq, place.line
    answers = [row for row in rows if row.answer.verdict != NOT_CARRIED]
    spans = ledger.spans(place.lane)
    state = next((s.state for s in spans if seq is not None and s.first <= seq <= s.last), None)
    attempts = [
        batch
        for batch in ledger.open_batches(place.lane)
        if (batch.under_way or batch.in_doubt)
        and _covers(place, batch.bounds.chain, batch.bounds.start, batch.bounds.end)
    ]
    exceptions = [
        item
        for item in ledger.exceptions(place.lane)
        if item.seq == seq and line in (None, item.line)
    ]
    if exceptions and line is not None:
        given_up = exceptions[-1].verdict == DISCARDED
        state = State.LOST if given_up else State.QUARANTINED
    holding = [bundle for bundle, packed in bundles if _is_in(place, packed)]
    not_carried = len(answers) < len(rows)
    return Fate(place, state, answers, attempts, exceptions, holding, not_carried)


def _is_in(place: Place, packed: Packed) -> bool:
    """Whether it is in a bundle: no number of a lane is used twice."""
    ranges = packed.get((place.lane.node, place.lane.stream), ())
    return any(each.first <= (place.seq or 0) <= each.last for each in ranges)


def _covers(place: Place, chain: str, start: tuple[int, int], end: tuple[int, int]) -> bool:
    if place.seq is None or chain != place.chain:
        return False
    if place.line is None:  # of a segment without records there is no line before any end
        return start[0] <= place.seq and ((place.seq, 0) < end or (place.seq, 0) == start == end)
    return start <= (place.seq, place.line) < end
