"""Takes bundles in: each segment is verified in the bundle, copied, verified again, and then counted.

The ledger alone decides what is new: it remembers the digest of every number that ever came, also when
its file is gone. A crash leaves at most files that the next import replaces. One import at a time.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bridge.transfer.bundle import Bundle
from bridge.transfer.judging import Judge, side_by_side
from bridge.transfer.manifest import Manifest, Packed, unlike
from bridge.transfer.storing import MediumError, Store, of_the_medium
from bridge.transfer.vouching import vouched_for
from keys.errors import BridgeError, VerificationError, shown
from keys.truststore import TrustStore
from spool.chain import NEW_CHAIN_STEP
from spool.discovery import said_by
from spool.durable import Disk, explained
from spool.lane import Lane
from spool.ledger import Arrival, Ledger, State, Taken
from spool.ranges import Range, join_ranges, without
from spool.statement import Statement

GROUP = 64
"""Segments that are entered together: one transaction, one sync of a folder."""
_WAIT_S = 0.05


@dataclass(frozen=True, slots=True)
class Refusal:
    """A segment that was refused, and why."""

    packed: Packed
    error: BridgeError


@dataclass(slots=True)
class Outcome:
    """What became of a bundle."""

    new: int = 0
    duplicate: int = 0
    refused: list[Refusal] = field(default_factory=list)
    forks: list[Packed] = field(default_factory=list)
    unlinked: list[Packed] = field(default_factory=list)
    """They name another predecessor than the one that came here."""
    gaps: dict[tuple[str, str], list[Range]] = field(default_factory=dict)
    records: int = 0
    problems: list[VerificationError] = field(default_factory=list)
    """What the manifest says of its lanes, and its segments do not."""


@dataclass(frozen=True, slots=True)
class _Good:
    """A segment that is good, and its copy; none where there is nothing to do."""

    said: Statement
    found: Taken
    copy: Path | None


Known = Mapping[tuple[str, str], Mapping[int, AbstractSet[str]]]
"""The digests of all that came before, by lane and number."""


@dataclass(frozen=True, slots=True)
class _Work:
    """Who judges a bundle's segments, and who stores them."""

    judge: Judge
    store: Store


class Importer:
    """Imports into one spool, for the relay of that ``name``."""

    def __init__(
        self, spool: Path, ledger: Ledger, trust: TrustStore, name: str, disk: Disk
    ) -> None:
        self._spool = spool
        self._ledger = ledger
        self._trust = trust
        self._name = name
        self._disk = disk

    def take(
        self, bundle: Bundle, progress: Callable[[int], None] = lambda _: None, *, dry_run: bool
    ) -> Outcome:
        """Take in what is good of ``bundle``; what is not is refused by itself.

        Waits while another import goes on. Raises :class:`VerificationError` ``bundle.recipient`` or
        ``bundle.own``, before anything is taken, :class:`SpoolError` where the spool cannot be
        written, or :class:`OSError` where the medium cannot be read.
        """
        said = bundle.manifest
        self._check_for_us(said)
        outcome = Outcome()
        held: dict[tuple[str, str], list[Statement]] = {each.lane: [] for each in said.members}
        try:
            with self._alone(progress):
                known = self._known(said)
                judge = Judge(
                    bundle,
                    self._trust,
                    {
                        one
                        for lane in known.values()
                        for digests in lane.values()
                        for one in digests
                    },
                    vouched_for(bundle, self._trust, self._ledger, self._spool),
                )
                work = _Work(judge, Store(self._disk, self._spool, bundle))
                for at in range(0, len(said.members), GROUP):
                    group = said.members[at : at + GROUP]
                    for each, good in self._take_group(
                        group, known, work, progress, dry_run=dry_run
                    ):
                        if isinstance(good, VerificationError):
                            outcome.refused.append(Refusal(each, good))
                            continue
                        held[each.lane].append(good.said)
                        outcome.new += good.found in (Taken.NEW, Taken.AGAIN)
                        outcome.duplicate += good.found is Taken.DUPLICATE
                        outcome.forks += [each] * (good.found is Taken.FORK)
        except MediumError as error:
            raise error.why from error
        except OSError as error:
            raise explained(error, "import a segment") from error
        if not outcome.refused:
            outcome.problems += unlike(said, held)
        self._look_at_lanes(said, outcome)
        return outcome

    def _check_for_us(self, said: Manifest) -> None:
        if said.recipient != self._name:
            raise VerificationError(
                "bundle.recipient",
                f"The bundle is for {shown(said.recipient)}, and this is {self._name}.",
                "Carry it to its recipient; nothing was taken.",
            )
        if said.sender == self._name:
            raise VerificationError(
                "bundle.own",
                "The bundle is from this very machine.",
                "Carry it to the relay that it is for.",
            )

    @contextmanager
    def _alone(self, progress: Callable[[int], None]) -> Iterator[None]:
        """While no other process imports into this spool; ``progress`` may end the waiting."""
        # On the folder itself: a file that is refused leaves nothing behind.
        fd = os.open(self._spool, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            while True:
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    progress(0)
                    time.sleep(_WAIT_S)
            yield
        finally:
            os.close(fd)

    def _known(self, said: Manifest) -> Known:
        return {
            (each.node, each.stream): self._ledger.imported_digests(
                Lane(self._spool, each.node, each.stream),
                Range(each.ranges[0].first, each.ranges[-1].last),
            )
            for each in said.lanes
        }

    def _take_group(
        self,
        group: Sequence[Packed],
        known: Known,
        work: _Work,
        progress: Callable[[int], None],
        *,
        dry_run: bool,
    ) -> list[tuple[Packed, _Good | VerificationError]]:
        """Verify and copy some, then give all of them their names, then enter them."""

        def prepare(packed: Packed) -> _Good:
            with of_the_medium():
                said = work.judge.check(packed)
            found = self._found(known, packed)
            if found is Taken.DUPLICATE or dry_run:
                return _Good(said, found, None)
            return _Good(said, found, work.store.copy(packed, self._place(packed, found)))

        done = []
        copies: list[Path] = []
        try:
            with closing(side_by_side(prepare, group)) as judged:
                for packed, good in judged:
                    done.append((packed, good))
                    if isinstance(good, _Good) and good.copy is not None:
                        copies.append(good.copy)
                    progress(packed.size)
            self._enter(done, work.store)
        finally:
            for copy in copies:
                copy.unlink(missing_ok=True)
        return done

    def _enter(
        self, done: Sequence[tuple[Packed, _Good | VerificationError]], store: Store
    ) -> None:
        arrivals = []
        with store.placing() as placing:
            for packed, good in done:
                if isinstance(good, _Good) and good.copy is not None:
                    placing.put(good.copy, self._place(packed, good.found))
                    arrivals.append(Arrival.of(self._lane(packed), good.said, packed.digest))
        if arrivals:
            self._ledger.take_in_all(arrivals)

    def _found(self, known: Known, packed: Packed) -> Taken:
        digests = known.get(packed.lane, {}).get(packed.seq, set())
        if packed.digest in digests:  # it may have been lost since
            return self._ledger.taken(self._lane(packed), packed.seq, packed.digest)
        return Taken.FORK if digests else Taken.NEW

    def _lane(self, packed: Packed) -> Lane:
        return Lane(self._spool, packed.node, packed.stream)

    def _place(self, packed: Packed, found: Taken) -> Path:
        lane = self._lane(packed)
        if found is Taken.FORK:
            lane = lane.fork_of(packed.seq, packed.digest)
        return lane.segment(packed.seq)

    def _look_at_lanes(self, said: Manifest, outcome: Outcome) -> None:
        for each in said.lanes:
            lane = Lane(self._spool, each.node, each.stream)
            if gaps := list(gaps_of(self._ledger, lane)):
                outcome.gaps[each.node, each.stream] = gaps
            outcome.records += each.records
            unlinked = set(self._ledger.unlinked(lane))
            outcome.unlinked += [
                one
                for one in said.members
                if one.lane == (each.node, each.stream) and one.seq in unlinked
            ]


def wanting(ledger: Ledger, lane: Lane) -> list[Range]:
    """The numbers of an imported lane that its node is asked for: never came, or were lost here."""
    lost = [Range(span.first, span.last) for span in ledger.spans(lane, State.LOST)]
    return join_ranges([*gaps_of(ledger, lane), *lost])


def gaps_of(ledger: Ledger, lane: Lane) -> Iterator[Range]:
    """The numbers of an imported lane that never came, before and between those that did.

    Where chains share numbers, one that came of any of them is no gap: the rest are forks.
    """
    came = [Range(span.first, span.last) for span in ledger.spans(lane)]
    came += [Range(seq, seq) for seq, _ in ledger.forks(lane)]
    yield from without(_gaps_by_chain(ledger, lane), came)


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
