"""The chain of one lane, followed from the oldest segment that is held, number by number.

The oldest one is the anchor: that what came before it is gone is said, not refused. From there on each
segment must follow the one before it; a new chain must say which it follows; a number that is missing
is a gap, unless a signed loss record declares it. What is kept is one seal and the gaps.
"""

from keys.errors import VerificationError
from spool.chain import NEW_CHAIN_STEP
from spool.head import Head
from spool.inspection import Known
from spool.ranges import Range
from spool.segment import check_link
from spool.statement import NO_CHAIN, NO_DIGEST, Follows, Statement


class Links:
    """Follows one lane; numbers must come ascending.

    ``gaps`` are numbers that are missing, ``declared`` those of them that a loss record names.
    """

    def __init__(self) -> None:
        self.gaps: list[Range] = []
        self.declared: list[Range] = []
        self.previous: Known | None = None
        self._bad: list[Range] = []

    def check(self, said: Statement, digest: str) -> str | None:
        """A note, or :class:`VerificationError` ``chain.*`` unless it may come next."""
        if self.previous is None:
            return None if self._bad else _anchor(said)
        before = self.previous.said
        if said.seq == before.seq:
            return self._same_number(said, digest)
        if said.chain == before.chain or (said.prev != NO_DIGEST and said.seq == before.seq + 1):
            if said.seq == before.seq + 1:
                check_link(before, self.previous.digest, said)
            elif said.prev == NO_DIGEST or not _not_less(said, before):
                raise _broken("chain.broken", said, "its chain held more before it than it says")
            return None
        if said.follows is None:
            return "the beginning of its chain is not here"
        self._check_follows(said, said.follows)
        return _new_chain(said.follows)

    def move(self, seq: int, known: Known | None) -> None:
        """Go on to ``seq``; None where its seal is not to be believed, for whatever reason."""
        if known is None:
            if self._bad and self._bad[-1].last + 1 == seq:
                self._bad[-1] = Range(self._bad[-1].first, seq)
            else:
                self._bad.append(Range(seq, seq))
            return
        said = known.said
        if self.previous is not None:
            before = self.previous.said
            first = before.seq + 1
            if said.chain == before.chain:
                self._miss(first, seq - 1)
            elif said.follows is not None:
                self._miss(first, said.follows.seq)
            else:
                self._miss(max(first, _block(seq)), seq - 1)
        elif self._bad:
            # The numbers between two beginnings are of one chain, whatever stands in a bad seal.
            self._miss(max(self._bad[0].first, _block(seq)), seq - 1)
        if self.gaps and said.gave_up:
            self._declare(said.gave_up)
        self.previous = known
        self._bad = []

    def finish(self, head: Head) -> None:
        """Go on to the head: what lacks up to it is missing, too."""
        if self.previous is None:
            first = max(head.first, self._bad[0].first) if self._bad else head.first
        else:
            first = self.previous.said.seq + 1
            if self.previous.said.chain != head.chain:
                first = max(first, head.first)
        self._miss(first, head.seq)

    def _miss(self, first: int, last: int) -> None:
        for there in self._bad:
            if there.first > last:
                break
            if there.first > first:
                self.gaps.append(Range(first, there.first - 1))
            first = max(first, there.last + 1)
        if first <= last:
            self.gaps.append(Range(first, last))

    def _declare(self, lost: tuple[Range, ...]) -> None:
        left: list[Range] = []
        for gap in self.gaps:
            first = gap.first
            for part in lost:
                if part.last < first or part.first > gap.last:
                    continue
                if part.first > first:
                    left.append(Range(first, part.first - 1))
                self.declared.append(Range(max(first, part.first), min(gap.last, part.last)))
                first = part.last + 1
            if first <= gap.last:
                left.append(Range(first, gap.last))
        self.gaps = left

    def _same_number(self, said: Statement, digest: str) -> str:
        assert self.previous is not None  # noqa: S101 - the caller has looked
        if digest != self.previous.digest:
            raise _broken("chain.fork", said, "another segment has its number")
        return "the same segment again"

    def _check_follows(self, said: Statement, follows: Follows) -> None:
        assert self.previous is not None  # noqa: S101 - the caller has looked
        before = self.previous.said
        known_chain = follows.chain in (before.chain, NO_CHAIN)
        known_digest = follows.digest in (self.previous.digest, NO_DIGEST)
        if follows.seq < before.seq or (
            follows.seq == before.seq and not (known_chain and known_digest)
        ):
            raise _broken("chain.follows", said, "it does not follow the segment before it")


def _block(seq: int) -> int:
    """The number with which the chain of ``seq`` begins at the earliest."""
    return max(1, seq // NEW_CHAIN_STEP * NEW_CHAIN_STEP)


def _not_less(said: Statement, before: Statement) -> bool:
    now, was = said.before, before.after
    return now.records >= was.records and now.raw_size >= was.raw_size


def _anchor(said: Statement) -> str | None:
    if said.follows is not None:
        return _new_chain(said.follows)
    if said.prev == NO_DIGEST:
        return None
    return f"the oldest one here; {said.before.records} records before it are not"


def _new_chain(follows: Follows) -> str:
    return f"a new chain; it follows {follows.chain[:8]}/{follows.seq} ({follows.why})"


def _broken(problem: str, said: Statement, why: str) -> VerificationError:
    return VerificationError(
        problem,
        f"Segment {said.seq} of {said.node}/{said.stream} breaks its chain: {why}.",
        "Something was taken out, put in or exchanged; ask the node for what is there.",
    )
