"""What a lane's frontier file has to say, and what a new ledger takes from it."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

from spool.frontier import GIVEN_UP_MAX, REFUSED_MAX, Frontier
from spool.lane import SEQ_MAX
from spool.ledger_audit import DISCARDED, RecordException
from spool.ledger_db import Transaction
from spool.ledger_spans import spans
from spool.ranges import ChainRanges, Range
from spool.states import State

_EXCEPTIONS = """
    SELECT seq, line, at, verdict, status, text FROM exception
    WHERE lane = ? AND (SELECT state FROM span WHERE span.lane = exception.lane
        AND span.first <= exception.seq ORDER BY span.first DESC LIMIT 1) = 'delivered'
    ORDER BY seq, line"""


def frontier(tx: Transaction, lane: int) -> Frontier:
    """Of a lane; segments with more exceptions than the file has room for are left out."""
    listed, left_out, unnamed = _fitting(tx, lane)
    chains: dict[str, list[Range]] = {}
    for span in spans(tx, lane, 1, SEQ_MAX):
        if span.state is State.DELIVERED:
            whole = Range(span.first, span.last)
            chains.setdefault(span.chain, []).extend(_without(whole, left_out))
    in_doubt, partial = tx.execute(
        "SELECT in_doubt, partial FROM lane WHERE id = ?", (lane,)
    ).fetchone()
    named = [ChainRanges(chain, tuple(ranges)) for chain, ranges in chains.items() if ranges]
    return Frontier(named, listed, in_doubt, partial, unnamed)


def take_over(tx: Transaction, lane: int, found: Frontier) -> None:
    """Tell a lane, whose spans are told already, of the exceptions within what was delivered."""
    delivered = [s for s in spans(tx, lane, 1, SEQ_MAX) if s.state is State.DELIVERED]
    firsts = [span.first for span in delivered]
    for each in found.exceptions:
        at = bisect_right(firsts, each.seq) - 1
        if at >= 0 and each.seq <= delivered[at].last:
            tx.execute(
                "INSERT INTO exception (lane, seq, line, at, verdict, status, text)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (lane, each.seq, each.line, each.at, each.verdict, each.status, each.text),
            )
    tx.execute(
        "UPDATE lane SET in_doubt = ?, partial = ? WHERE id = ?",
        (found.in_doubt, found.partial, lane),
    )


def _fitting(tx: Transaction, lane: int) -> tuple[list[RecordException], list[int], int]:
    """The exceptions that there is room for, and the segments of the others, ascending.

    And how many of those are left out for what was given up: no person is asked about them any more.
    """
    room = {True: GIVEN_UP_MAX, False: REFUSED_MAX}
    listed: list[RecordException] = []
    left_out: set[int] = set()
    unnamed: set[int] = set()
    for row in tx.execute(_EXCEPTIONS, (lane,)):
        each = RecordException(*row)
        is_given_up = each.verdict == DISCARDED
        if room[is_given_up]:
            room[is_given_up] -= 1
            listed.append(each)
        else:
            left_out.add(each.seq)
            if is_given_up:
                unnamed.add(each.seq)
    return [each for each in listed if each.seq not in left_out], sorted(left_out), len(unnamed)


def _without(whole: Range, numbers: Sequence[int]) -> Iterator[Range]:
    """What of ``whole`` lies between ``numbers``, which ascend."""
    begin = whole.first
    for number in numbers[bisect_left(numbers, whole.first) : bisect_right(numbers, whole.last)]:
        if begin < number:
            yield Range(begin, number - 1)
        begin = number + 1
    if begin <= whole.last:
        yield Range(begin, whole.last)
