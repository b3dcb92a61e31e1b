"""Which segments of a revoked key count: those that a segment signed by a good key links to.

A thief who is quick can sign a number below that of the revocation; only what a good key's segment
names as its predecessor, or that one's predecessor and so on, is what the key's owner made. The links
are looked for in the bundle itself and in what was imported before, forks among it.
"""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path

from bridge.transfer.bundle import Bundle
from bridge.transfer.manifest import Packed
from bridge.transfer.storing import of_the_medium
from keys.ed25519 import PublicKey
from keys.errors import VerificationError
from keys.truststore import TrustStore
from spool.lane import Lane
from spool.ledger import Ledger
from spool.segment import Segment
from spool.statement import Statement


def vouched_for(bundle: Bundle, trust: TrustStore, ledger: Ledger, spool: Path) -> AbstractSet[str]:
    """The digests to which links lead, from the bundle or from what ``spool`` holds.

    Costs nothing where no key of the sender was revoked from a number on. Raises :class:`OSError` or
    :class:`SpoolError`.
    """
    keys = trust.named("node", bundle.manifest.sender)
    if not any(key.revoked for key in keys):
        return frozenset()
    signers = {key.public.id: key.public for key in keys}
    good = {key.public.id for key in keys if key.revoked is None}
    return _Links(bundle, signers, good, ledger, spool).found


class _Links:
    def __init__(
        self,
        bundle: Bundle,
        signers: dict[str, PublicKey],
        good: AbstractSet[str],
        ledger: Ledger,
        spool: Path,
    ) -> None:
        self._signers = signers
        self._good = good
        self._ledger = ledger
        self._spool = spool
        self._without: set[str] = set()
        """Nothing of a good key links to them."""
        self.found: set[str] = set()
        """What a good key signed in the bundle, and what links lead to."""
        # From the last to the first: what links to a segment has a higher number.
        for packed in reversed(bundle.manifest.members):
            self._take(bundle, packed)

    def _take(self, bundle: Bundle, packed: Packed) -> None:
        try:
            with of_the_medium(), bundle.segment(packed) as segment:
                signer = segment.check_signature(self._signers)
                said = segment.statement
        except VerificationError:
            return  # refused by itself, later
        lane = Lane(self._spool, packed.node, packed.stream)
        if signer.id in self._good or self._leads_to(lane, said.chain, packed.seq, packed.digest):
            self.found |= {packed.digest} | _named_by(said)

    def _leads_to(self, lane: Lane, chain: str, seq: int, digest: str) -> bool:
        """Whether a good key's segment links to this one; what came before is asked, too."""
        way: set[str] = set()
        waiting = [(chain, seq, digest)]
        while waiting:
            at_chain, at_seq, at_digest = waiting.pop()
            if at_digest in self.found:
                return True
            if at_digest in way or at_digest in self._without:
                continue
            way.add(at_digest)
            for place, number, later in self._imported_after(lane, at_chain, at_seq, at_digest):
                said, good = self._said(place, number, later)
                if good:
                    return True
                waiting.append((at_chain if said is None else said.chain, number, later))
        self._without |= way
        return False

    def _imported_after(
        self, lane: Lane, chain: str, seq: int, digest: str
    ) -> Iterator[tuple[Lane, int, str]]:
        """What was imported and names ``digest`` as its predecessor; in this chain or the next."""
        for later, fork in self._ledger.imported_after(lane, seq, digest):
            yield (lane.fork_of(seq + 1, later) if fork else lane), seq + 1, later
        for span in self._ledger.spans(lane):
            if span.first > seq and span.chain != chain:
                begun = self._ledger.imported_digest(lane, span.first)
                said, _ = (None, False) if begun is None else self._said(lane, span.first, begun)
                if begun is not None and said is not None and digest in _named_by(said):
                    yield lane, span.first, begun
                return

    def _said(self, lane: Lane, seq: int, digest: str) -> tuple[Statement | None, bool]:
        """What an imported segment says, if it is held; and whether a good key signed that."""
        try:
            with Segment.open(lane.segment(seq)) as segment:
                signer = segment.check_signature(self._signers)
                same = segment.digest == digest
                return (segment.statement if same else None), same and signer.id in self._good
        except (FileNotFoundError, NotADirectoryError, VerificationError):
            return None, False


def _named_by(said: Statement) -> set[str]:
    return {said.prev} if said.follows is None else {said.prev, said.follows.digest}
