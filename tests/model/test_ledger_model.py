"""The ledger against a dictionary of single segments, under any sequence of verbs."""

import shutil
import tempfile
from itertools import pairwise
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from spool.clock import SYSTEM_CLOCK
from spool.ledger import (
    Answer,
    Attempt,
    Bounds,
    By,
    Ledger,
    LedgerError,
    RecordException,
    SegmentSums,
    State,
)
from spool.ranges import Range
from spool.states import may_move
from spool.totals import NOTHING, Totals
from tests.support.ledgers import CHAIN, lane

MEMORY = Path("/dev/shm")  # noqa: S108 - a private folder is made in it
SIZES = st.integers(0, 4)
NUMBERS = st.integers(1, 25)


class LedgerMachine(RuleBasedStateMachine):
    """``state`` and ``size`` by number, ``answered`` and ``refused`` lines, ``asked`` by batch.

    ``seen`` are the numbers of losses that somebody has seen.
    """

    @initialize()
    def begin(self) -> None:
        # In memory where the machine has that: each step syncs, and durability is tested elsewhere.
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
        self.ledger = Ledger.open(self.folder, clock=SYSTEM_CLOCK)
        self.lane = lane(self.folder)
        self.state: dict[int, State] = {}
        self.size: dict[int, int] = {}
        self.answered: set[tuple[int, int]] = set()
        self.refused: set[tuple[int, int]] = set()
        self.asked: dict[int, Bounds] = {}
        self.seen: set[int] = set()
        self.keys = 0

    def teardown(self) -> None:
        self.ledger.close()
        shutil.rmtree(self.folder)

    def before(self, seq: int) -> Totals:
        return sum((self.totals(n) for n in self.size if n < seq), NOTHING)

    def totals(self, seq: int) -> Totals:
        return Totals(self.size[seq], 7 * self.size[seq])

    def sums(self, bounds: Bounds) -> list[SegmentSums]:
        numbers = range(bounds.first_seq, bounds.last_seq + 1)
        return [SegmentSums(seq, self.before(seq), self.totals(seq)) for seq in numbers]

    def lines(self, bounds: Bounds) -> set[tuple[int, int]]:
        return {
            (seq, line)
            for seq in range(bounds.first_seq, bounds.last_seq + 1)
            for line in range(self.size.get(seq, 0))
            if bounds.start <= (seq, line) < bounds.end
        }

    @rule(sizes=st.lists(SIZES, min_size=1, max_size=5), gap=st.sampled_from([0, 0, 0, 2]))
    def extend(self, sizes: list[int], gap: int) -> None:
        first = max(self.state, default=0) + 1 + gap
        self.size.update(enumerate(sizes, first))
        last = first + len(sizes) - 1
        self.state.update(dict.fromkeys(range(first, last + 1), State.PENDING))
        self.ledger.extend(
            self.lane, CHAIN, first, last, before=self.before(first),
            totals=self.before(last + 1) - self.before(first),
        )  # fmt: skip

    @rule(
        first=NUMBERS,
        more=st.integers(0, 6),
        source=st.sampled_from(State),
        to=st.sampled_from(State),
        by=st.sampled_from(By),
    )
    def move(self, first: int, more: int, source: State, to: State, by: By) -> None:
        numbers = range(first, first + more + 1)
        legal = may_move(source, to, by)
        legal = legal and all(self.state.get(seq) is source for seq in numbers)
        try:
            self.ledger.move(
                self.lane, first, first + more, source=source, target=to, by=by,
                before_first=self.before(first), after_last=self.before(first + more + 1),
            )  # fmt: skip
        except LedgerError:
            assert not legal
            return
        assert legal
        for seq in numbers:
            self.enter(seq, to)

    @precondition(lambda self: self.state)
    @rule(data=st.data(), to=st.sampled_from([s for s in State if s is not State.PENDING]))
    def move_some_pending(self, data: st.DataObject, to: State) -> None:
        seq = data.draw(st.sampled_from(sorted(self.state)))
        for by in By:
            self.move(seq, data.draw(st.integers(0, 2)), State.PENDING, to, by)

    def enter(self, seq: int, target: State) -> None:
        finished = {State.DELIVERED, State.QUARANTINED, State.LOST}
        if target in finished:
            self.answered = {line for line in self.answered if line[0] != seq}
        if target is State.PENDING and self.state[seq] in finished:
            self.refused = {line for line in self.refused if line[0] != seq}
        self.state[seq] = target

    @precondition(lambda self: self.state)
    @rule(data=st.data())
    def open_batch(self, data: st.DataObject) -> None:
        seqs = sorted(self.state)
        first = data.draw(st.sampled_from(seqs))
        last = data.draw(st.sampled_from([seq for seq in seqs if seq >= first][:4]))
        bounds = Bounds(
            CHAIN, first, data.draw(st.integers(0, self.size[first])),
            last, data.draw(st.integers(0, self.size[last])),
        )  # fmt: skip
        wanted = self.lines(bounds)
        pending = all(self.state.get(seq) is State.PENDING for seq in range(first, last + 1))
        taken = self.answered.union(*map(self.lines, self.asked.values()))
        self.keys += 1
        try:
            made = self.ledger.open_batch(self.lane, bounds, f"key-{self.keys}")
        except LedgerError:
            assert not wanted or not pending or wanted & taken or not self.apart(bounds)
            return
        assert pending
        assert not wanted & taken
        self.asked[made.id] = bounds

    def apart(self, bounds: Bounds) -> bool:
        """Whether the bounds overlap no other's, in lines that no segment has, either."""
        return all(
            bounds.end <= other.start or other.end <= bounds.start for other in self.asked.values()
        )

    @precondition(lambda self: self.asked)
    @rule(data=st.data(), attempts=st.integers(0, 2), lost=st.booleans())
    def settle(self, data: st.DataObject, attempts: int, *, lost: bool) -> None:
        batch = data.draw(st.sampled_from(sorted(self.asked)))
        bounds = self.asked.pop(batch)
        lines = self.lines(bounds)
        refused = data.draw(st.sets(st.sampled_from(sorted(lines)))) if lines else set()
        for at in range(attempts):
            self.ledger.attempt(batch, Attempt(at, "", NOTHING))
        if lost:
            self.ledger.withdraw(batch)
            return
        exceptions = [RecordException(*line, 1, "refused", 422, "") for line in refused]
        answer = Answer(1, "/x", Totals(len(lines), 0), 200, "delivered")
        self.ledger.settle(batch, answer, self.sums(bounds), exceptions)
        self.refused |= refused
        for seq in range(bounds.first_seq, bounds.last_seq + 1):
            known = {line for line in self.answered | lines if line[0] == seq}
            if len(known) == self.size[seq]:
                if may_move(self.state[seq], State.DELIVERED, By.ANSWER):
                    self.enter(seq, State.DELIVERED)
            elif self.state[seq] in {State.PENDING, State.EXPORTED}:
                self.answered |= known

    @rule(first=NUMBERS, more=st.none() | st.integers(0, 9))
    def see(self, first: int, more: int | None) -> None:
        within = None if more is None else [Range(first, first + more)]
        new = {
            seq
            for seq, state in self.state.items()
            if state is State.LOST and (more is None or first <= seq <= first + more)
        } - self.seen
        acts = self.ledger.see({self.lane: within}, State.LOST, 1, "x")
        assert [act.segments for act in acts] == ([len(new)] if new else [])
        self.seen |= new

    @precondition(lambda self: State.LOST in self.state.values())
    @rule(data=st.data(), to=st.sampled_from([State.PENDING, State.DELIVERED]))
    def find_some_lost(self, data: st.DataObject, to: State) -> None:
        lost = [seq for seq, state in self.state.items() if state is State.LOST]
        by = By.REPLAY if to is State.PENDING else By.RECEIPT
        self.move(data.draw(st.sampled_from(lost)), 0, State.LOST, to, by)

    @rule()
    def restart(self) -> None:
        self.ledger.close()
        self.ledger = Ledger.open(self.folder, clock=SYSTEM_CLOCK)
        assert not self.ledger.fresh

    @invariant()
    def every_segment_stands_where_the_model_says(self) -> None:
        spans = self.ledger.spans(self.lane)
        stands = {seq: s.state for s in spans for seq in range(s.first, s.last + 1)}
        assert stands == self.state
        for span in spans:
            assert span.before == self.before(span.first)
            assert span.after == self.before(span.last + 1)
        for left, right in pairwise(spans):
            assert not left.joins(right)

    @invariant()
    def the_sums_over_all_states_are_what_was_sealed(self) -> None:
        exceptions = {(item.seq, item.line) for item in self.ledger.exceptions(self.lane)}
        assert exceptions == self.refused
        for counts in self.ledger.counts():
            assert sum(counts.records.values()) == sum(self.size.values())
            assert min(counts.records.values()) >= 0
            assert sum(counts.segments.values()) == len(self.state)

    @invariant()
    def a_loss_is_new_until_it_was_seen_and_when_it_is_lost_again(self) -> None:
        self.seen = {seq for seq in self.seen if self.state[seq] is State.LOST}
        for counts in self.ledger.counts():
            assert counts.lost_seen == len(self.seen)

    @invariant()
    def no_pending_line_is_forgotten(self) -> None:
        """Every pending line has an answer, is in a batch, or is offered for one; never two."""
        offered = [
            (seq, line)
            for _, start, end in self.ledger.unbatched(self.lane)
            for seq, size in self.size.items()
            for line in range(size)
            if start <= (seq, line) < end
        ]
        pending = {
            (seq, line)
            for seq, state in self.state.items()
            if state is State.PENDING
            for line in range(self.size[seq])
        }
        asked = set().union(*map(self.lines, self.asked.values()))
        assert len(offered) == len(set(offered))
        assert set(offered) == pending - asked - self.answered


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
