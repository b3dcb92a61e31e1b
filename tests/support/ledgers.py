"""A lane whose segments' sums are known, for tests of the ledger."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spool.clock import SYSTEM_CLOCK
from spool.lane import Lane
from spool.ledger import Answer, Bounds, By, Ledger, SegmentSums, State
from spool.totals import Totals

CHAIN = "c" * 32
NEXT_CHAIN = "d" * 32
LINES = 10
"""Records of every segment; each of 100 bytes."""
TO = "https://beacon.test/v1/beacon/logs"
SENT = Totals(LINES, LINES * 100)
"""What a request with one segment carries."""


def totals(segments: int) -> Totals:
    """Of so many segments."""
    return Totals(LINES * segments, LINES * 100 * segments)


def lane(spool: Path, stream: str = "logs") -> Lane:
    return Lane(spool, "n1", stream)


def fill(ledger: Ledger, into: Lane, first: int, last: int, chain: str = CHAIN) -> None:
    """Segments of a chain whose running totals began at number 1."""
    ledger.extend(
        into, chain, first, last, before=totals(first - 1), totals=totals(last - first + 1)
    )


@contextmanager
def filled(spool: Path) -> Iterator[Ledger]:
    """A ledger that knows ten pending segments of :func:`lane`."""
    with Ledger.open(spool, clock=SYSTEM_CLOCK) as opened:
        fill(opened, lane(spool), 1, 10)
        yield opened


def rows(ledger: Ledger, of: Lane) -> list[tuple[int, int, State]]:
    """First number, last number and state of each span."""
    return [(span.first, span.last, span.state) for span in ledger.spans(of)]


def move(
    ledger: Ledger, of: Lane, numbers: tuple[int, int], way: tuple[State, State], by: By
) -> None:
    """Move segments whose running totals began at number 1."""
    first, last = numbers
    source, target = way
    ledger.move(
        of,
        first,
        last,
        source=source,
        target=target,
        by=by,
        before_first=totals(first - 1),
        after_last=totals(last),
    )


def sums(first: int, last: int) -> list[SegmentSums]:
    return [SegmentSums(seq, totals(seq - 1), totals(1)) for seq in range(first, last + 1)]


def whole(first: int, last: int) -> Bounds:
    """All lines of these segments."""
    return Bounds(CHAIN, first, 0, last, LINES)


def answer(records: int, status: int = 200, accepted: int | None = None) -> Answer:
    verdict = "delivered" if status == 200 else "refused"
    sent = Totals(records, records * 100)
    return Answer(1_000, "/v1/beacon/logs", sent, status, verdict, accepted, "{}")
