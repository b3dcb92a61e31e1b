"""What of an imported lane never came, and what of it was lost here: its node is asked for both.

Not for what its node says that it sent to the beacon itself; that word counts only as long as no key
that gave it was revoked. There is nothing else to judge it by: the digest that it has to name stands in
the next segment, for whoever reads it.

Nor for what its node gave up, by a loss record that came here. Such a record has a number, and that of
a revoked key may count below one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from keys.truststore import TrustStore
from spool.chain import NEW_CHAIN_STEP
from spool.discovery import said_by
from spool.lane import Lane
from spool.ledger import Ledger, State
from spool.ranges import Range, join_ranges, without
from spool.statement import Statement


def wanting(ledger: Ledger, lane: Lane, trust: TrustStore) -> list[Range]:
    """The numbers of an imported lane that its node is asked for: never came, or were lost here."""
    lost = [Range(span.first, span.last) for span in ledger.spans(lane, State.LOST)]
    wanted = join_ranges([*gaps_of(ledger, lane, trust), *lost])
    return without(wanted, _accounted_for(ledger, lane, trust))


@dataclass(slots=True)
class Arriving:
    """What an import would enter of a lane, and a dry run does not.

    New segments by what their seals say and the id of the key that signed each, and the numbers that
    its node sent to the beacon itself, by a key that counts.
    """

    segments: list[tuple[Statement, str]] = field(default_factory=list)
    elsewhere: list[Range] = field(default_factory=list)


_NOTHING = Arriving()


def gaps_of(
    ledger: Ledger, lane: Lane, trust: TrustStore, arriving: Arriving = _NOTHING
) -> Iterator[Range]:
    """The numbers of an imported lane that never came, before and between those that did.

    Where chains share numbers, one that came of any of them is no gap: the rest are forks. Nor is one
    that its node sent to the beacon itself, or gave up, and says so. ``arriving`` counts as if it were
    entered.
    """
    runs = _runs(ledger, lane, arriving)
    came = _accounted_for(ledger, lane, trust, arriving)
    came += [numbers for _, numbers in runs]
    said = {each.seq: each for each, _ in arriving.segments if each.follows is not None}
    yield from without(_gaps_by_chain(runs, lambda seq: said.get(seq) or said_by(lane, seq)), came)


def _runs(ledger: Ledger, lane: Lane, arriving: Arriving) -> list[tuple[str, Range]]:
    """The numbers that came, with their chains, ascending; a fork has the number of one of them."""
    came = [(span.first, span.last, span.chain) for span in ledger.spans(lane)]
    came += [(said.seq, said.seq, said.chain) for said, _ in arriving.segments]
    return [(chain, Range(first, last)) for first, last, chain in sorted(came)]


def _accounted_for(
    ledger: Ledger, lane: Lane, trust: TrustStore, arriving: Arriving = _NOTHING
) -> list[Range]:
    """What went another way or was given up, by the word of keys that count."""
    keys = {key.public.id: key for key in trust.named("node", lane.node)}
    revoked = {name for name, key in keys.items() if key.revoked is not None}
    # Whose word an earlier version did not note may be that of any of them.
    told = ledger.elsewhere(lane, but_by={"", *revoked} if revoked else ())
    given_up = [(each.seq, each.numbers, each.key) for each in ledger.given_up(lane)]
    for said, name in arriving.segments:
        given_up += [(said.seq, lost, name) for lost in said.gave_up if lost.last < said.seq]
    for seq, numbers, name in given_up:
        key = keys.get(name)
        if key is not None and key.may_speak(f"{lane.node}/{lane.stream}", seq):
            told.append(numbers)
    return told + arriving.elsewhere


def _gaps_by_chain(
    runs: Sequence[tuple[str, Range]], said_of: Callable[[int], Statement | None]
) -> Iterator[Range]:
    """What lacks of each chain by itself.

    A chain begins at 1 or a multiple of a million: what lies before that is no gap. How far the chain
    before it went, its first segment says, as long as that is held.
    """
    last: dict[str, int] = {}
    for chain, numbers in runs:
        if chain in last:
            begin = last[chain] + 1
        else:
            begin = max(numbers.first - numbers.first % NEW_CHAIN_STEP, 1)
            if numbers.first == begin:
                yield from _tail_before(said_of(begin), last)
        if begin < numbers.first:
            yield Range(begin, numbers.first - 1)
        last[chain] = numbers.last


def _tail_before(said: Statement | None, last: Mapping[str, int]) -> Iterator[Range]:
    """What never came of the chain that the one begun by ``said`` follows; the ``last`` ones did."""
    if said is not None and said.follows is not None and said.follows.chain in last:
        known = last[said.follows.chain]
        if known < said.follows.seq:
            yield Range(known + 1, said.follows.seq)
