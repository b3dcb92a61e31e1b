"""What is new in a lane, told to the ledger.

Everything above the ledger's last number up to the durable head is new; that costs two small reads
and nothing that grows with the spool. A lane that the ledger does not know (the ledger is new, or was
lost) is told from the seals: what the lane's frontier names is delivered, the rest is pending. The
result is duplicates at worst.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain as chained

from keys.errors import VerificationError
from spool.frontier import read_frontier
from spool.head import Head, read_head
from spool.lane import Lane
from spool.ledger import Ledger, Span, State
from spool.ranges import Range
from spool.segment import Segment
from spool.statement import Statement
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

    ``seq`` lies in the head's chain or ends one before it; numbers without a readable seal are
    stepped over, upwards, to the next one's ``before``.
    """
    said = said_by(lane, seq - 1) if seq > 1 else None
    if said is not None:
        return said.after
    for later in chained([seq], (n for n in lane.sealed_numbers() if n > seq)):
        if later > head.seq:
            break
        said = said_by(lane, later)
        if said is not None:
            return said.before
    return head.after


def discover(ledger: Ledger, lane: Lane) -> bool:
    """Tell the ledger what is new in ``lane``; whether there was anything.

    Raises :class:`LedgerError`, :class:`SpoolError` or :class:`OSError`.
    """
    head = read_head(lane)
    if head is None:
        return False
    last = ledger.last(lane)
    if last is None:
        spans = list(_from_seals(lane, head))
        ledger.adopt(lane, spans)
        return bool(spans)
    if head.seq <= last.seq:
        return False
    for part in _chains(lane, head, down_to=last.chain):
        known = part.chain == last.chain
        first = last.seq + 1 if known else part.first
        if first > part.last:
            continue
        before = last.totals_after if known else NOTHING
        ledger.extend(
            lane, part.chain, first, part.last, before=before, totals=part.after - before
        )
    return True


def _chains(lane: Lane, head: Head, *, down_to: str | None) -> list[Stretch]:
    """The lane's chains in order, from the one called ``down_to`` (or the first known) on."""
    found = [Stretch(head.chain, head.first, head.seq, head.after)]
    while found[0].chain != down_to and found[0].first > 1:
        said = said_by(lane, found[0].first)
        if said is None or said.follows is None or not said.follows.seq:
            break
        follows = said.follows
        # How much the old chain held stands in the seal of its last segment alone.
        last = said_by(lane, follows.seq)
        if last is None or last.chain != follows.chain:
            break
        first = _first_of(lane, follows.chain, follows.seq)
        found.insert(0, Stretch(follows.chain, first, follows.seq, last.after))
    return found


def _first_of(lane: Lane, chain: str, last: int) -> int:
    """The lowest number of ``chain`` that is still here."""
    for seq in lane.sealed_numbers():
        said = said_by(lane, seq)
        if said is not None and said.chain == chain:
            return seq
    return last


def _from_seals(lane: Lane, head: Head) -> Iterator[Span]:
    delivered = {found.chain: found.ranges for found in read_frontier(lane)}
    for part in _chains(lane, head, down_to=None):
        ranges = [r for r in delivered.get(part.chain, ()) if r.last <= part.last]
        first = min([part.first, *(r.first for r in ranges)])
        cuts = _cut(first, part.last, ranges)
        ends = [totals_before(lane, head, cut.first) for cut, _ in cuts] + [part.after]
        if first in (1, head.first):
            ends[0] = NOTHING  # its seal may be gone, but nothing comes before the first of a chain
        for (cut, state), before, after in zip(cuts, ends, ends[1:], strict=False):
            yield Span(part.chain, cut.first, cut.last, state, before, after - before)


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
