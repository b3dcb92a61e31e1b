"""Takes bundles in: each segment is copied, the copy verified, made durable, and then counted.

The ledger alone decides what is new: it remembers the digest of every number that ever came, also when
its file is gone. A crash leaves at most files that the next import replaces. One import at a time.
"""

import fcntl
import os
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from bridge.transfer.bundle import Bundle
from bridge.transfer.gaps import Arriving, gaps_of
from bridge.transfer.judging import Judge, Judged, check_stream, side_by_side
from bridge.transfer.manifest import Manifest, Packed, Sent, unlike
from bridge.transfer.storing import MediumError, Store, of_the_medium
from bridge.transfer.vouching import vouched_for
from keys.errors import BridgeError, VerificationError, shown
from keys.truststore import TrustStore
from spool.durable import Disk, explained
from spool.lane import Lane
from spool.ledger import Arrival, Ledger, Taken
from spool.ranges import Range
from spool.statement import Statement
from spool.streams import STREAMS

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

    judged: Judged
    found: Taken
    copy: Path | None


Known = Mapping[tuple[str, str], Mapping[int, AbstractSet[str]]]
"""The digests of all that came before, by lane and number."""
_Judged = tuple[Packed, _Good | VerificationError]


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
        elsewhere = self._elsewhere(bundle)
        outcome = Outcome()
        held: dict[tuple[str, str], list[Statement]] = {each.lane: [] for each in said.members}
        # A dry run notes nothing, and has to say the same.
        arriving: defaultdict[tuple[str, str], Arriving] = defaultdict(Arriving)
        arrivals: list[Arrival] = []
        try:
            with self._alone(progress):
                if not dry_run:
                    self._note_elsewhere(said, elsewhere, bundle.signer.id)
                for sent in elsewhere if dry_run else ():
                    numbers = Range(sent.run.first, sent.run.last)
                    arriving[said.sender, sent.stream].elsewhere.append(numbers)
                for each, good in self._taken(bundle, progress, dry_run=dry_run):
                    if isinstance(good, VerificationError):
                        outcome.refused.append(Refusal(each, good))
                        continue
                    held[each.lane].append(good.judged.said)
                    if dry_run and good.found is not Taken.DUPLICATE:
                        arrivals.append(self._arrival(each, good.judged))
                    if dry_run and good.found is Taken.NEW:
                        arriving[each.lane].segments.append((good.judged.said, good.judged.key))
                    outcome.new += good.found in (Taken.NEW, Taken.AGAIN)
                    outcome.duplicate += good.found is Taken.DUPLICATE
                    outcome.forks += [each] * (good.found is Taken.FORK)
        except MediumError as error:
            raise error.why from error
        except OSError as error:
            raise explained(error, "import a segment") from error
        if not outcome.refused:
            outcome.problems += unlike(said, held)
        lanes = [Lane(self._spool, each.node, each.stream) for each in said.lanes]
        if dry_run:
            told = [(self._lane_of(said, sent), sent.run) for sent in elsewhere]
            key = bundle.signer.id
            unlinked = self._ledger.unlinked_after(lanes, told, key, arrivals)
        else:
            unlinked = {lane: self._ledger.unlinked(lane) for lane in lanes}
        self._look_at_lanes(said, arriving, unlinked, outcome)
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
        # Range by range: between two of them a million may lie, of which nothing is asked here.
        known: dict[tuple[str, str], dict[int, set[str]]] = {}
        for each in said.lanes:
            lane = Lane(self._spool, each.node, each.stream)
            found = known[each.node, each.stream] = {}
            for numbers in each.ranges:
                found |= self._ledger.imported_digests(lane, numbers)
        return known

    def _taken(
        self, bundle: Bundle, progress: Callable[[int], None], *, dry_run: bool
    ) -> Iterator[_Judged]:
        """Each segment of ``bundle``, once its fate is durable; some at a time.

        While some are given their names and entered, the next are copied and verified.
        """
        known = self._known(bundle.manifest)
        came = {one for lane in known.values() for digests in lane.values() for one in digests}
        vouched = vouched_for(bundle, self._trust, self._ledger, self._spool)
        judge = Judge(self._trust, came, vouched)
        store = Store(self._disk, self._spool, bundle)

        def prepare(packed: Packed) -> _Good:
            check_stream(packed)
            found = self._found(known, packed)
            if found is Taken.DUPLICATE or dry_run:
                with of_the_medium(), bundle.segment(packed) as segment:
                    return _Good(judge.check(packed, segment), found, None)
            copy = store.copy(packed, lambda copied: judge.check(packed, copied))
            return _Good(copy.judged, found, copy.path)

        with (
            closing(store),
            closing(side_by_side(prepare, bundle.manifest.members, ahead=GROUP)) as judged,
        ):
            while done := _some(judged, progress):
                self._enter(done, store)
                yield from done

    def _enter(self, done: Sequence[_Judged], store: Store) -> None:
        arrivals = []
        with store.placing() as placing:
            for packed, good in done:
                if isinstance(good, _Good) and good.copy is not None:
                    placing.put(good.copy, self._place(packed, good.found))
                    arrivals.append(self._arrival(packed, good.judged))
        if arrivals:
            self._ledger.take_in_all(arrivals)

    def _found(self, known: Known, packed: Packed) -> Taken:
        digests = known.get(packed.lane, {}).get(packed.seq, set())
        if packed.digest in digests:  # it may have been lost since
            return self._ledger.taken(self._lane(packed), packed.seq, packed.digest)
        return Taken.FORK if digests else Taken.NEW

    def _arrival(self, packed: Packed, judged: Judged) -> Arrival:
        return Arrival.of(self._lane(packed), judged.said, packed.digest, judged.key)

    def _lane_of(self, said: Manifest, sent: Sent) -> Lane:
        return Lane(self._spool, said.sender, sent.stream)

    def _lane(self, packed: Packed) -> Lane:
        return Lane(self._spool, packed.node, packed.stream)

    def _place(self, packed: Packed, found: Taken) -> Path:
        lane = self._lane(packed)
        if found is Taken.FORK:
            lane = lane.fork_of(packed.seq, packed.digest)
        return lane.segment(packed.seq)

    def _elsewhere(self, bundle: Bundle) -> Sequence[Sent]:
        """What went another way; a revoked key's word on that counts for nothing.

        It has no number to judge it by, and nothing would ever be asked for any more. Nor is there
        a lane for streams that are not known here, of which segments are refused.
        """
        signer = self._trust.find(bundle.signer.id)
        if signer is None or signer.revoked is not None:
            return ()
        return [each for each in bundle.manifest.elsewhere or () if each.stream in STREAMS]

    def _note_elsewhere(self, said: Manifest, elsewhere: Sequence[Sent], key: str) -> None:
        for sent in elsewhere:
            self._ledger.note_elsewhere(self._lane_of(said, sent), [sent.run], key)

    def _look_at_lanes(
        self,
        said: Manifest,
        arriving: Mapping[tuple[str, str], Arriving],
        unlinked: Mapping[Lane, Collection[int]],
        outcome: Outcome,
    ) -> None:
        """What is still missing; after a dry run, as if what is ``arriving`` had been entered."""
        for each in said.lanes:
            lane = Lane(self._spool, each.node, each.stream)
            new = arriving.get((each.node, each.stream), Arriving())
            if gaps := list(gaps_of(self._ledger, lane, self._trust, new)):
                outcome.gaps[each.node, each.stream] = gaps
            outcome.records += each.records
            numbers = set(unlinked[lane])
            outcome.unlinked += [
                one
                for one in said.members
                if one.lane == (each.node, each.stream) and one.seq in numbers
            ]


def _some(judged: Iterator[_Judged], progress: Callable[[int], None]) -> list[_Judged]:
    """The next of them, at most :data:`GROUP`."""
    done = []
    for packed, good in islice(judged, GROUP):
        done.append((packed, good))
        progress(packed.size)
    return done
