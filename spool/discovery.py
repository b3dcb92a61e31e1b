"""What is new in a lane, told to the ledger.

Everything above the ledger's last number up to the durable head is new; that costs two small reads
and nothing that grows with the spool. A lane that the ledger does not know (the ledger is new, or was
lost) is told from the seals: what the lane's frontier names is delivered, but for the single records
that it lists, the rest is pending. The result is duplicates at worst.
"""

import os
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain as chained
from itertools import groupby

from keys.errors import VerificationError
from spool.chain import NEW_CHAIN_STEP
from spool.frontier import Frontier, read_frontier
from spool.head import Head, read_head
from spool.lane import Lane
from spool.ledger import Arrival, LanePosition, Ledger, LedgerError, Span, State
from spool.ledger_reading import needs_writing
from spool.ranges import Range
from spool.segment import Segment
from spool.statement import NO_CHAIN, Statement
from spool.totals import NOTHING, Totals


@dataclass(frozen=True, slots=True)
class Stretch:
    """Numbers of one chain: its first and last known, and its totals after the last."""

    chain: str
    first: int
    last: int
    after: Totals


def said_by(lane: Lane, seq: int) -> Statement | None:
    """What the seal of ``seq`` says; None where it is missing or no segment of that place.

    The seal alone is read: no digest, no signature. Raises :class:`OSError` where nobody can tell.
    """
    try:
        with Segment.open(lane.segment(seq)) as segment:
            segment.check_place(lane.node, lane.stream, seq)
            return segment.statement
    except (FileNotFoundError, NotADirectoryError, VerificationError):
        return None


def totals_before(lane: Lane, head: Head, seq: int) -> Totals:
    """The totals of its chain before number ``seq``, from the nearest seal that can be read.

    ``seq`` is a number of a chain, or the one after its last; numbers without a readable seal are
    stepped over, upwards, to the next one's ``before``.
    """
    part = Stretch(head.chain, head.first, head.seq, head.after)
    if seq < head.first:
        part = next((p for p in _chains(lane, head, None) if seq <= p.last + 1), part)
    return _before(lane, part, seq)


def totals_around(lane: Lane, span: Span, part: Range) -> tuple[Totals, Totals]:
    """The totals of its chain before and after the numbers ``part`` of ``span``.

    Where ``part`` ends as ``span`` does, they are the ledger's own: it may know a number by a seal that
    is no longer there. Between, they are those of the nearest seal, within what the ledger has.
    """
    before = span.before if part.first == span.first else _within(lane, span, part.first)
    after = span.after if part.last == span.last else _within(lane, span, part.last + 1)
    return before, _not_less(after, before)


def _within(lane: Lane, span: Span, seq: int) -> Totals:
    known = Stretch(span.chain, span.first, span.last, span.after)
    found = _not_less(_before(lane, known, seq), span.before)
    most = span.after
    return Totals(min(found.records, most.records), min(found.raw_size, most.raw_size))


def _before(lane: Lane, part: Stretch, seq: int) -> Totals:
    if seq <= part.first and (seq == 1 or seq % NEW_CHAIN_STEP == 0):
        return NOTHING  # its seal may be gone, but nothing comes before the first of a chain
    said = said_by(lane, seq - 1)
    if said is not None and said.chain == part.chain:
        return said.after
    for later in chained([seq], (n for n in lane.sealed_numbers() if n > seq)):
        if later > part.last:
            break
        said = said_by(lane, later)
        if said is not None and said.chain == part.chain:
            return said.before
    return part.after


def news_mark(lane: Lane) -> tuple[int, int] | None:
    """What is another one whenever there is something new in ``lane``; None where nobody can tell.

    Durable heads are never written to, and an import touches the file that stands in a head's place.
    """
    if lane.fork:
        return None
    for name in ("head", "imported"):
        try:
            found = os.lstat(f"{lane.place}/{name}")
        except FileNotFoundError:
            continue
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns
    return 0, 0


def discover(ledger: Ledger, lane: Lane) -> bool:
    """Tell the ledger what is new in ``lane``; whether there was anything.

    Any number of processes may do so at once. Raises :class:`LedgerError`, :class:`SpoolError` or
    :class:`OSError`.
    """
    while True:
        last = ledger.last(lane)
        try:
            return _discover(ledger, lane, last)
        except LedgerError as error:
            if error.id != "ledger.overlap" or ledger.last(lane) == last:
                raise
            # Another process told it a part of this meanwhile; what it left is looked for again.


def _discover(ledger: Ledger, lane: Lane, last: LanePosition | None) -> bool:
    if lane.imported.exists():
        return last is None and _take_up_imported(ledger, lane)
    head = read_head(lane)
    if head is None:
        return False
    if last is None:
        frontier = read_frontier(lane)
        spans = list(_from_seals(lane, head, frontier))
        ledger.adopt(lane, spans, frontier)
        return bool(spans)
    for new in _above(lane, head, last):
        ledger.extend(lane, new.chain, new.first, new.last, before=new.before, totals=new.totals)
    return head.seq > last.seq


def untold(ledger: Ledger, lane: Lane) -> list[Span]:
    """The pending segments that :func:`discover` would tell the ledger, which may not be written.

    Raises :class:`SpoolError` ``ledger.needs_writing`` where that is more than what is new, or
    :class:`OSError`.
    """
    last = ledger.last(lane)
    if lane.imported.exists():
        if last is None and next(lane.sealed_numbers(), None) is not None:
            raise needs_writing(f"knows nothing of the imported lane {lane.node}/{lane.stream}")
        return []
    head = read_head(lane)
    if head is None:
        return []
    if last is not None:
        return list(_above(lane, head, last))
    frontier = read_frontier(lane)
    if frontier != Frontier():  # what went another way is for a ledger to count
        raise needs_writing(f"knows nothing of the lane {lane.node}/{lane.stream}")
    return list(_from_seals(lane, head, frontier))


def _above(lane: Lane, head: Head, last: LanePosition) -> Iterator[Span]:
    """What the ledger does not know of a lane that it knows up to ``last``: all of it is pending."""
    if head.seq <= last.seq:
        return
    for part in _chains(lane, head, last):
        first = max(part.first, last.seq + 1)
        if first > part.last:
            continue
        before = last.totals_after if part.chain == last.chain else NOTHING
        after = _not_less(part.after, before)
        yield Span(part.chain, first, part.last, State.PENDING, before, after - before)


def _take_up_imported(ledger: Ledger, lane: Lane) -> bool:
    """Tell a new ledger of what was imported: by the seals, all pending; whether there was any.

    What was delivered is sent once more: nothing else says which of it was.
    """
    found = False
    for each in (lane, *lane.fork_lanes()):  # what came first of a number lies in sealed/
        for seq in each.sealed_numbers():
            try:
                with Segment.open(each.segment(seq)) as segment:
                    segment.check_place(lane.node, lane.stream, seq)
                    said, digest = segment.statement, segment.digest
                    key = segment.envelope.signatures[0].keyid
            except (FileNotFoundError, VerificationError):
                continue  # the next import of its bundle brings it again
            ledger.take_in_all([Arrival.of(lane, said, digest, key)])
            found = True
    return found


def _chains(lane: Lane, head: Head, known: LanePosition | None) -> list[Stretch]:
    """The lane's chains in order, from the last known on, or from the first that left a sign."""
    found = [Stretch(head.chain, head.first, head.seq, head.after)]
    floor = 1 if known is None else known.seq + 1
    while found[0].first > floor and (known is None or found[0].chain != known.chain):
        previous = _chain_before(lane, found[0].first)
        if previous is None:
            break
        found.insert(0, previous)
    return found


def _chain_before(lane: Lane, first: int) -> Stretch | None:
    """The chain that the one that begins with ``first`` follows.

    Its name and last number stand in the statement of ``first``, or else in what lies below. How
    much it held stands in the seal of its last segment alone; where that is gone, at least what the
    nearest below says.
    """
    held = [seq for seq in lane.sealed_numbers() if seq < first]
    nearest = next(filter(None, (said_by(lane, seq) for seq in reversed(held))), None)
    said = said_by(lane, first)
    follows = None if said is None else said.follows
    chain = NO_CHAIN if follows is None else follows.chain
    if chain == NO_CHAIN and nearest is not None:
        chain = nearest.chain
    last = follows.seq if follows is not None else max(held, default=0)
    if not last or (chain == NO_CHAIN and not held):
        return None
    after = nearest.after if nearest is not None and nearest.chain == chain else NOTHING
    return Stretch(chain, _first_of(lane, held, chain, last), last, after)


def _first_of(lane: Lane, held: list[int], chain: str, last: int) -> int:
    """The lowest number of ``chain`` that is still here; a few seals are read, not all.

    A chain begins at 1 or a multiple of a million, so the numbers between two of those are of one
    chain.
    """
    first = last
    blocks = [list(block) for _, block in groupby(held, lambda seq: seq // NEW_CHAIN_STEP)]
    for block in reversed(blocks):
        said = next(filter(None, (said_by(lane, seq) for seq in block)), None)
        if chain == (NO_CHAIN if said is None else said.chain):
            first = block[0]
        elif first < last:
            break
    return first


def _from_seals(lane: Lane, head: Head, frontier: Frontier) -> Iterator[Span]:
    delivered = {found.chain: found.ranges for found in frontier.chains}
    single = [each.seq for each in frontier.exceptions]
    floor = 0
    for part in _chains(lane, head, None):
        ranges = [
            r for r in delivered.get(part.chain, ()) if floor < r.first <= r.last <= part.last
        ]
        first = min([part.first, *(r.first for r in ranges)])
        cuts = _cut(first, part.last, ranges)
        ends = [_before(lane, part, cut.first) for cut, _ in cuts] + [part.after]
        before, spare = ends[0], 0
        for (cut, state), end in zip(cuts, ends[1:], strict=True):
            after = _not_less(end, before)
            inside = single[bisect_left(single, cut.first) : bisect_right(single, cut.last)]
            told, left = state, (after - before).records - len(inside)
            # Where it contradicts itself nothing of it is believed. What is gone is no contradiction:
            # its records may stand with what was delivered before it, where no seal parts them.
            if left < 0 and left + min(spare, _gone(lane, inside)) < 0:
                told = State.PENDING
            if told is State.DELIVERED:
                spare += left
            yield Span(part.chain, cut.first, cut.last, told, before, after - before)
            before = after
        floor = part.last


def _gone(lane: Lane, numbers: list[int]) -> int:
    """How many of ``numbers`` are those of segments that are not here any more."""
    held = set(lane.sealed_numbers())
    return sum(seq not in held for seq in numbers)


def _not_less(totals: Totals, than: Totals) -> Totals:
    """``totals``; where a seal that would say more is gone, what is known already."""
    return Totals(max(totals.records, than.records), max(totals.raw_size, than.raw_size))


def _cut(first: int, last: int, delivered: list[Range]) -> list[tuple[Range, State]]:
    """``first`` to ``last``, cut where delivered begins and ends."""
    cuts: list[tuple[Range, State]] = []
    for found in delivered:
        if first < found.first:
            cuts.append((Range(first, found.first - 1), State.PENDING))
        cuts.append((found, State.DELIVERED))
        first = found.last + 1
    if first <= last:
        cuts.append((Range(first, last), State.PENDING))
    return cuts
