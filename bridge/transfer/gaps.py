"""What of an imported lane never came, and what of it was lost here: its node is asked for both.

Not for what its node says that it sent to the beacon itself; that word counts only as long as no key
that gave it was revoked. There is nothing else to judge it by: the digest that it has to name stands in
the next segment, for whoever reads it.

Nor for what its node gave up, by a loss record that came here. Such a record has a number, and that of
a revoked key may count below one.
"""

from collections.abc import Iterator, Mapping

from keys.truststore import TrustStore
from spool.chain import NEW_CHAIN_STEP
from spool.discovery import said_by
from spool.lane import Lane
from spool.ledger import Ledger, State
from spool.ranges import Range, join_ranges, without


def wanting(ledger: Ledger, lane: Lane, trust: TrustStore) -> list[Range]:
    """The numbers of an imported lane that its node is asked for: never came, or were lost here."""
    lost = [Range(span.first, span.last) for span in ledger.spans(lane, State.LOST)]
    wanted = join_ranges([*gaps_of(ledger, lane, trust), *lost])
    return without(wanted, _accounted_for(ledger, lane, trust))


def gaps_of(ledger: Ledger, lane: Lane, trust: TrustStore) -> Iterator[Range]:
    """The numbers of an imported lane that never came, before and between those that did.

    Where chains share numbers, one that came of any of them is no gap: the rest are forks. Nor is one
    that its node sent to the beacon itself, or gave up, and says so.
    """
    came = _accounted_for(ledger, lane, trust)
    came += [Range(span.first, span.last) for span in ledger.spans(lane)]
    came += [Range(seq, seq) for seq, _ in ledger.forks(lane)]
    yield from without(_gaps_by_chain(ledger, lane), came)


def _accounted_for(ledger: Ledger, lane: Lane, trust: TrustStore) -> list[Range]:
    """What went another way or was given up, by the word of keys that count."""
    keys = {key.public.id: key for key in trust.named("node", lane.node)}
    revoked = {name for name, key in keys.items() if key.revoked is not None}
    # Whose word an earlier version did not note may be that of any of them.
    told = ledger.elsewhere(lane, but_by={"", *revoked} if revoked else ())
    for each in ledger.given_up(lane):
        key = keys.get(each.key)
        if key is not None and key.may_speak(f"{lane.node}/{lane.stream}", each.seq):
            told.append(each.numbers)
    return told


def _gaps_by_chain(ledger: Ledger, lane: Lane) -> Iterator[Range]:
    """What lacks of each chain by itself.

    A chain begins at 1 or a multiple of a million: what lies before that is no gap. How far the chain
    before it went, its first segment says, as long as that is held.
    """
    last: dict[str, int] = {}
    for span in ledger.spans(lane):
        if span.chain in last:
            begin = last[span.chain] + 1
        else:
            begin = max(span.first - span.first % NEW_CHAIN_STEP, 1)
            if span.first == begin:
                yield from _tail_before(lane, begin, last)
        if begin < span.first:
            yield Range(begin, span.first - 1)
        last[span.chain] = span.last


def _tail_before(lane: Lane, first: int, last: Mapping[str, int]) -> Iterator[Range]:
    """What never came of the chain that the one beginning at ``first`` follows; ``last`` ones did."""
    said = said_by(lane, first)
    if said is not None and said.follows is not None and said.follows.chain in last:
        known = last[said.follows.chain]
        if known < said.follows.seq:
            yield Range(known + 1, said.follows.seq)
