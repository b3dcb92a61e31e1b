"""What a person wants sent again: whole segments and single records, by ledger and disk.

Only what is still held can be sent again; what is not is counted. Nothing is changed here but by
:func:`send_again`.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from keys.ed25519 import PublicKey
from keys.errors import VerificationError
from spool.discovery import said_by
from spool.lane import Lane
from spool.ledger import DISCARDED, By, Ledger, Lines, SegmentSums, Span, State
from spool.ranges import Range
from spool.segment import Segment
from spool.statement import Statement
from spool.totals import NOTHING, Totals


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which segments: of these states, and of these streams, times (ms) and numbers, if given.

    A time chooses whole segments that hold records accepted within it.
    """

    states: frozenset[State]
    streams: frozenset[str] | None = None
    since: int | None = None
    until: int | None = None
    segments: Mapping[tuple[str, str], Sequence[Range]] | None = None

    def wants(self, lane: Lane) -> bool:
        """Whether anything of ``lane`` is wanted."""
        if self.streams is not None and lane.stream not in self.streams:
            return False
        return self.segments is None or (lane.node, lane.stream) in self.segments

    def numbers(self, lane: Lane) -> Sequence[Range] | None:
        """The numbers that are wanted; None for all."""
        return None if self.segments is None else self.segments[lane.node, lane.stream]

    @property
    def timed(self) -> bool:
        """Whether segments have to be looked into."""
        return self.since is not None or self.until is not None

    def covers(self, said: Statement) -> bool:
        """Whether a segment's records were accepted within the time."""
        if said.first_at is None or said.last_at is None:
            return not self.timed
        after = self.since is None or said.last_at >= self.since
        return after and (self.until is None or said.first_at <= self.until)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Adjacent segments of one chain in one state; ``left_out`` records of them were not delivered."""

    first: int
    last: int
    state: State
    before: Totals
    after: Totals
    left_out: int = 0

    @property
    def records(self) -> int:
        """How many records of them are chosen."""
        return (self.after - self.before).records - self.left_out


@dataclass(slots=True)
class Choice:
    """What is chosen of one lane; ``not_held`` segments are wanted and gone."""

    lane: Lane
    stretches: list[Stretch] = field(default_factory=list)
    lines: list[Lines] = field(default_factory=list)
    not_held: int = 0

    @property
    def segments(self) -> int:
        """How many segments, whole or in part."""
        return sum(each.last - each.first + 1 for each in self.stretches) + len(self.lines)

    @property
    def records(self) -> int:
        """How many records."""
        return sum(each.records for each in self.stretches) + sum(
            len(each.numbers) for each in self.lines
        )


def choose(
    ledger: Ledger, lanes: Iterable[Lane], wanted: Wanted, keys: Mapping[str, PublicKey]
) -> list[Choice]:
    """What of ``lanes`` is wanted and held, lane by lane; lanes without any are left out.

    A lost segment is chosen only if its file was put back and is what ``keys`` sealed. Raises
    :class:`OSError` or :class:`SpoolError`.
    """
    found = [_of_lane(ledger, lane, wanted, keys) for lane in lanes if wanted.wants(lane)]
    return [choice for choice in found if choice.segments or choice.not_held]


def _of_lane(ledger: Ledger, lane: Lane, wanted: Wanted, keys: Mapping[str, PublicKey]) -> Choice:
    choice = Choice(lane)
    held = list(lane.sealed_numbers())
    single = Counter(
        each.seq for each in ledger.exceptions(lane) if State.DELIVERED in wanted.states
    )
    states = wanted.states
    for span in ledger.spans(lane, *states) if states else []:
        for part in _within(span, wanted.numbers(lane)):
            numbers = held[bisect_left(held, part.first) : bisect_right(held, part.last)]
            if not wanted.timed:
                choice.not_held += len(part) - len(numbers)
            if span.state is State.LOST:
                numbers = [seq for seq in numbers if _is_whole(lane, seq, keys)]
            if wanted.timed:
                numbers = [seq for seq in numbers if _covered(lane, seq, wanted)]
            if span.state is State.DELIVERED:
                numbers = [seq for seq in numbers if _has_delivered(lane, seq, single[seq])]
            choice.stretches += _stretches(lane, span, numbers, single)
    if State.QUARANTINED in wanted.states:
        _add_lines(ledger, wanted, choice)
    return choice


def _goes_whole(choice: Choice, seq: int) -> bool:
    """Whether all lines of ``seq`` are chosen, as none of them was delivered."""
    return any(
        each.first <= seq <= each.last
        for each in choice.stretches
        if each.state in (State.QUARANTINED, State.LOST)
    )


def _within(span: Span, ranges: Sequence[Range] | None) -> Iterator[Range]:
    for part in [Range(span.first, span.last)] if ranges is None else ranges:
        first, last = max(span.first, part.first), min(span.last, part.last)
        if first <= last:
            yield Range(first, last)


def _covered(lane: Lane, seq: int, wanted: Wanted) -> bool:
    said = said_by(lane, seq)
    return said is not None and wanted.covers(said)


def _has_delivered(lane: Lane, seq: int, single: int) -> bool:
    """Whether ``seq``, of which so many records went another way, has others."""
    if not single:
        return True
    said = said_by(lane, seq)
    return said is None or said.records > single


def _is_whole(lane: Lane, seq: int, keys: Mapping[str, PublicKey]) -> bool:
    try:
        with Segment.open(lane.segment(seq)) as segment:
            segment.check_place(lane.node, lane.stream, seq)
            segment.check_digest()
            segment.check_signature(keys)
    except (FileNotFoundError, VerificationError):
        return False
    return True


def _stretches(
    lane: Lane, span: Span, numbers: list[int], single: Mapping[int, int]
) -> Iterator[Stretch]:
    """The runs of ``numbers``, with the chain's totals at their ends; unreadable ends are left out.

    Of what was delivered, so many records as ``single`` says by number were not.
    """
    if span.state is not State.DELIVERED:
        single = {}
    for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        row = [seq for _, seq in run]
        first, last = said_by(lane, row[0]), said_by(lane, row[-1])
        if first is not None and last is not None and first.chain == last.chain == span.chain:
            left_out = sum(single.get(seq, 0) for seq in row)
            yield Stretch(row[0], row[-1], span.state, first.before, last.after, left_out)


def _add_lines(ledger: Ledger, wanted: Wanted, choice: Choice) -> None:
    lane, ranges = choice.lane, wanted.numbers(choice.lane)
    exceptions = [each for each in ledger.exceptions(lane) if each.verdict != DISCARDED]
    for seq, group in groupby(exceptions, lambda each: each.seq):
        if ranges is not None and not any(part.first <= seq <= part.last for part in ranges):
            continue
        if _goes_whole(choice, seq):
            continue
        said = said_by(lane, seq)
        if said is None:
            choice.not_held += 1
        elif wanted.covers(said):
            sums = SegmentSums(seq, said.before, said.totals)
            choice.lines.append(Lines(sums, tuple(each.line for each in group)))


def send_again(ledger: Ledger, choice: Choice) -> None:
    """Make everything chosen pending. Raises :class:`LedgerError` where it changed meanwhile."""
    for each in choice.stretches:
        if each.state is State.PENDING:
            continue
        ledger.move(
            choice.lane,
            each.first,
            each.last,
            source=each.state,
            target=State.PENDING,
            by=By.REPLAY,
            before_first=each.before,
            after_last=each.after,
        )
    # Afterwards: of a segment that was delivered, it lets single lines go with the others.
    ledger.give_back(choice.lane, choice.lines, by=By.REPLAY)


def given_up(choices: Iterable[Choice]) -> Totals:
    """How much a person gives up with ``choices``; bytes of single records are not known."""
    total = NOTHING
    for choice in choices:
        for each in choice.stretches:
            total += each.after - each.before
        total += Totals(sum(len(lines.numbers) for lines in choice.lines), 0)
    return total
