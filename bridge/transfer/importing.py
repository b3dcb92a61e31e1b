"""Takes bundles in: each segment is verified in the bundle, copied, verified again, and then counted.

The ledger alone decides what is new: it remembers the digest of every number that ever came, also when
its file is gone. A crash leaves at most a file that the next import of the same bundle replaces.
"""

import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bridge.transfer.bundle import Bundle
from bridge.transfer.manifest import Manifest, Packed, unlike
from keys.ed25519 import PublicKey
from keys.errors import BridgeError, VerificationError, shown
from keys.truststore import TrustStore
from spool.chain import NEW_CHAIN_STEP
from spool.discovery import said_by
from spool.durable import Disk, explained, make_folders
from spool.frames import FrameDecoder
from spool.lane import Lane
from spool.ledger import Ledger, State, Taken
from spool.ranges import Range, join_ranges
from spool.segment import Segment
from spool.statement import Statement
from spool.streams import STREAMS

PIECE = 1 << 20


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
    gaps: dict[tuple[str, str], list[Range]] = field(default_factory=dict)
    records: int = 0
    problems: list[VerificationError] = field(default_factory=list)
    """What the manifest says of its lanes, and its segments do not."""


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
        self._decoder = FrameDecoder()

    def take(
        self, bundle: Bundle, progress: Callable[[int], None] = lambda _: None, *, dry_run: bool
    ) -> Outcome:
        """Take in what is good of ``bundle``; what is not is refused by itself.

        Raises :class:`VerificationError` ``bundle.recipient`` or ``bundle.own``, before anything is
        taken, :class:`SpoolError` where the spool cannot be written, or :class:`OSError` where the
        medium cannot be read.
        """
        said = bundle.manifest
        self._check_ends(said)
        outcome = Outcome()
        held: dict[tuple[str, str], list[Statement]] = {each.lane: [] for each in said.members}
        for packed in said.members:
            lane = Lane(self._spool, packed.node, packed.stream)
            try:
                found, statement = self._take_one(bundle, lane, packed, dry_run=dry_run)
            except _MediumError as error:
                raise error.why from error
            except OSError as error:
                raise explained(error, "import a segment") from error
            except VerificationError as error:
                outcome.refused.append(Refusal(packed, error))
                continue
            finally:
                progress(packed.size)
            held[packed.lane].append(statement)
            if found in (Taken.NEW, Taken.AGAIN):
                outcome.new += 1
            elif found is Taken.DUPLICATE:
                outcome.duplicate += 1
            else:
                outcome.forks.append(packed)
        if not outcome.refused:
            outcome.problems += unlike(said, held)
        for each in said.lanes:
            lane = Lane(self._spool, each.node, each.stream)
            if gaps := list(gaps_of(self._ledger, lane)):
                outcome.gaps[each.node, each.stream] = gaps
            outcome.records += each.records
        return outcome

    def _check_ends(self, said: Manifest) -> None:
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

    def _take_one(
        self, bundle: Bundle, lane: Lane, packed: Packed, *, dry_run: bool
    ) -> tuple[Taken, Statement]:
        if packed.stream not in STREAMS:
            raise VerificationError(
                "stream.unknown",
                f"There is no stream {shown(packed.stream)} here.",
                "The node may run a newer version; update this one, and import again.",
            )
        with _of_the_medium():
            segment = bundle.segment(packed)
        with segment:
            with _of_the_medium():
                self._judge(segment, packed)
            found = self._ledger.taken(lane, packed.seq, packed.digest)
            said = segment.statement
            if found is Taken.DUPLICATE or dry_run:
                return found, said
            self._copy(bundle, packed, lane, found)
        found = self._ledger.take_in(
            lane,
            packed.seq,
            packed.digest,
            said.chain,
            before=said.before,
            totals=said.totals,
        )
        return found, said

    def _judge(self, segment: Segment, packed: Packed) -> None:
        """Signature, revocation, digest, frames, in the order of a reader."""
        segment.check_digest()
        signer = segment.check_signature(keys_of(self._trust, packed.node))
        trusted = self._trust.find(signer.id)
        if trusted is None or not trusted.speaks_for(f"{packed.node}/{packed.stream}", packed.seq):
            raise VerificationError(
                "key.revoked",
                f"Key {signer.id[:16]} of {packed.node} is revoked from this number on.",
                "Ask the node's operator; if the segment is good, it is sealed anew with a good key.",
            )
        for _ in segment.raw_frames(self._decoder):
            pass

    def _copy(self, bundle: Bundle, packed: Packed, lane: Lane, found: Taken) -> None:
        """Put the segment's bytes in their place, durable; under another name until they are whole."""
        fork = found is Taken.FORK
        name = f"{packed.seq:012d}-{packed.digest[:16]}.ndjson.zst"
        path = lane.forks / name if fork else lane.segment(packed.seq)
        make_folders(self._disk, self._spool, path.parent)
        self._mark(lane)
        temporary = path.with_name(f".{secrets.token_hex(8)}.import")
        member = bundle.members[packed.name]
        fd = self._disk.create(temporary)
        try:
            for at in range(0, member.size, PIECE):
                count = min(PIECE, member.size - at)
                with _of_the_medium():
                    piece = os.pread(bundle.fd, count, member.offset + at)
                self._disk.write(fd, [piece], at)
            self._disk.sync(fd)
            with Segment.open(temporary) as copied:  # the copy is what will be sent
                copied.check_digest()
                if copied.digest != packed.digest:
                    raise VerificationError(
                        "bundle.digest",
                        f"{packed.name} changed while it was read.",
                        "The medium is bad, or somebody writes to it; copy it first.",
                    )
            self._disk.rename(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        finally:
            self._disk.close(fd)
        self._disk.sync_dir(path.parent)

    def _mark(self, lane: Lane) -> None:
        """Say that the lane is another's: it has no head here, and is never sealed."""
        if not lane.imported.exists():
            self._disk.close(self._disk.create(lane.imported))
            self._disk.sync_dir(lane.folder)


class _MediumError(Exception):
    """The medium could not be read: no fault of the spool, nor of what was read."""

    def __init__(self, why: OSError) -> None:
        super().__init__(why)
        self.why = why


@contextmanager
def _of_the_medium() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _MediumError(error) from error


def keys_of(trust: TrustStore, node: str) -> dict[str, PublicKey]:
    """The keys that ever spoke for ``node``, by id; revocation is judged by number."""
    return {key.public.id: key.public for key in trust.named("node", node)}


def wanting(ledger: Ledger, lane: Lane) -> list[Range]:
    """The numbers of an imported lane that its node is asked for: never came, or were lost here."""
    lost = [Range(span.first, span.last) for span in ledger.spans(lane, State.LOST)]
    return join_ranges([*gaps_of(ledger, lane), *lost])


def gaps_of(ledger: Ledger, lane: Lane) -> Iterator[Range]:
    """The numbers of an imported lane that never came, before and between those that did.

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
