"""What a receipt moves and what it does not, number by number."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.transfer.applying import Applied, apply, still_wanted
from bridge.transfer.bundle import ReturnBundle
from bridge.transfer.receipt import Fork, LaneReceipt, Receipt, Refused, Span
from bridge.transfer.returnmanifest import Return
from keys.errors import VerificationError
from spool.discovery import said_by
from spool.head import Head, read_head
from spool.lane import SEQ_MAX
from spool.ledger import RecordException, State
from spool.ranges import Range
from spool.segment import Segment
from tests.support.bundles import Machine, pair

P, E, D, Q = State.PENDING, State.EXPORTED, State.DELIVERED, State.QUARANTINED
STREAM = "transactions"
OTHER = "c" * 32
"""Another chain than any here."""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a node with five segments of two records each, all exported; at rest."""
    folder = tmp_path_factory.mktemp("exported")
    node, relay = pair(folder)
    for number in range(5):
        node.append(2 * number, 2 * number + 1)
    node.export(relay, folder)
    for machine in (node, relay):
        machine.ledger.close()
    return node.folder


class Told:
    """A copy of that node, and what its relay says of the segments."""

    def __init__(self, folder: Path) -> None:
        self.node = Machine(folder, "inside", 1)
        self.lane = self.node.lane()
        head = read_head(self.lane)
        assert head is not None
        self.head: Head = head
        self.digests = {}
        for seq in range(1, 6):
            with Segment.open(self.lane.segment(seq)) as segment:
                self.digests[seq] = segment.digest
        self._heard = 0

    def span(self, first: int, last: int, state: State = D, chain: str = "") -> Span:
        return Span(chain or self.head.chain, first, last, str(state), self.digests[last])

    def of(
        self,
        *spans: Span,
        refused: Sequence[Refused] = (),
        missing: Sequence[Range] = (),
        forks: Sequence[Fork] = (),
    ) -> LaneReceipt:
        return LaneReceipt(STREAM, spans, tuple(refused), tuple(missing), 0, tuple(forks))

    def hear(
        self,
        *lanes: LaneReceipt,
        serial: int | None = None,
        made_at: int | None = None,
        node: str = "inside",
        dry_run: bool = False,
    ) -> Applied:
        """One more receipt, which is newer than those before unless it says something else."""
        self._heard += 1
        serial = serial or self._heard
        made_at = made_at or 1_000 * self._heard
        receipt = Receipt(serial, made_at, "relay-1", node, lanes)
        manifest = Return("a" * 32, serial, made_at, "relay-1", node, ("segment.v1",), ())
        found = ReturnBundle(manifest, receipt, None, self.node.key.public, ())
        return apply(
            self.node.ledger, self.node.spool, self.node.name, found, self.node.clock,
            dry_run=dry_run,
        )  # fmt: skip

    def states(self) -> str:
        """The first letter of each segment's state."""
        found = {
            seq: span.state.value[0]
            for span in self.node.ledger.spans(self.lane)
            for seq in range(span.first, span.last + 1)
        }
        return "".join(found[seq] for seq in sorted(found))

    def exceptions(self) -> list[RecordException]:
        return list(self.node.ledger.exceptions(self.lane))


@pytest.fixture
def told(tmp_path: Path, exported: Path) -> Iterator[Told]:
    shutil.copytree(exported, tmp_path / "inside")
    told = Told(tmp_path / "inside")
    with told.node.ledger:
        yield told


@pytest.mark.parametrize("dry_run", [True, False])
def test_what_is_named_moves_as_it_is_named_and_a_dry_run_counts_the_same(
    told: Told, *, dry_run: bool
) -> None:
    lane = told.of(
        told.span(1, 2),
        told.span(3, 3, Q),
        told.span(4, 5, P),
        refused=[Refused(2, 1, 422, "refused"), Refused(3, 0, 413, "too_large", "too much")],
        missing=[Range(9, 11), Range(20, 20)],
    )
    found = told.hear(lane, dry_run=dry_run)
    assert found == Applied(delivered=3, quarantined=3, pending=4, missing=4)
    if dry_run:
        assert told.states() == "eeeee"
        assert told.exceptions() == []
        assert told.node.ledger.newest_receipt("relay-1").serial == 0
        return
    assert told.states() == "ddqee"
    at = told.node.clock.wall_ms()
    assert told.exceptions() == [
        RecordException(2, 1, at, "refused", 422, "receipt"),
        RecordException(3, 0, at, "too_large", 413, "too much"),
    ]
    assert told.node.ledger.missing(told.lane) == [Range(9, 11), Range(20, 20)]
    assert told.node.ledger.accepts("relay-1") == {"segment.v1"}
    heard = told.node.ledger.newest_receipt("relay-1")
    assert (heard.serial, heard.made_at) == (1, 1_000)


def test_what_was_said_before_moves_nothing_and_is_counted_once(told: Told) -> None:
    told.hear(told.of(told.span(1, 2)))
    again = told.hear(told.of(told.span(1, 3)))
    assert (again.delivered, again.quarantined) == (2, 0)
    assert told.states() == "dddee"
    # Delivered is final, whatever is said later.
    back = told.hear(told.of(told.span(1, 3, Q)))
    assert (back.delivered, back.quarantined) == (0, 0)
    assert told.states() == "dddee"


@pytest.mark.parametrize(
    ("serial", "made_at", "stale"),
    [(5, 5_000, True), (4, 5_000, True), (5, 4_999, True), (4, 5_001, False), (6, 4_000, False)],
)
def test_a_receipt_is_stale_that_is_newer_neither_by_number_nor_by_time(
    told: Told, serial: int, made_at: int, *, stale: bool
) -> None:
    told.hear(told.of(), serial=5, made_at=5_000)
    found = told.hear(told.of(told.span(1, 1)), serial=serial, made_at=made_at)
    assert (found.stale, found.delivered) == (stale, 0 if stale else 2)
    assert told.states() == ("eeeee" if stale else "deeee")


def test_a_receipt_for_another_node_is_refused_and_changes_nothing(told: Told) -> None:
    with pytest.raises(VerificationError) as caught:
        told.hear(told.of(told.span(1, 5)), node="other")
    assert caught.value.id == "bundle.recipient"
    assert told.states() == "eeeee"
    assert told.node.ledger.newest_receipt("relay-1").serial == 0


def test_a_span_counts_by_the_digest_and_chain_of_its_last_segment(told: Told) -> None:
    wrong = replace(told.span(3, 3), digest="f" * 64)
    of_another_chain = told.span(4, 4, chain=OTHER)
    found = told.hear(told.of(told.span(1, 2), wrong, of_another_chain, told.span(5, 5)))
    assert found.foreign == [(STREAM, 3), (STREAM, 4)]
    assert (found.delivered, found.ahead, found.forked) == (6, {}, [])
    assert told.states() == "ddeed"


def test_where_its_file_is_gone_the_next_one_or_the_head_vouches_for_it(told: Told) -> None:
    for seq in (2, 5):
        told.lane.segment(seq).unlink()
    assert told.hear(told.of(told.span(1, 2), told.span(5, 5))).foreign == []
    assert told.states() == "ddeed"


def test_what_no_file_no_next_one_and_no_head_vouches_for_is_foreign(told: Told) -> None:
    for seq in (2, 3):
        told.lane.segment(seq).unlink()
    assert told.hear(told.of(told.span(1, 2))).foreign == [(STREAM, 2)]
    for changed in (
        replace(told.span(3, 3), digest="f" * 64),
        told.span(3, 3, chain=OTHER),
        replace(told.span(5, 5), digest="f" * 64),
        told.span(5, 5, chain=OTHER),
    ):
        found = told.hear(told.of(changed))
        assert found.foreign == [(STREAM, changed.last)]
    assert told.states() == "eeeee"


def test_a_damaged_segment_is_no_ones_and_the_next_one_does_not_vouch_for_it(told: Told) -> None:
    told.lane.segment(2).write_bytes(b"junk")
    assert told.hear(told.of(told.span(1, 2))).foreign == [(STREAM, 2)]
    assert told.states() == "eeeee"


def test_what_was_delivered_and_deleted_is_not_called_foreign(told: Told) -> None:
    told.hear(told.of(told.span(1, 3)))
    for seq in (2, 3):
        told.lane.segment(seq).unlink()
    # Nothing is there any more to compare it with, so its digest is not looked at.
    gone = replace(told.span(1, 2), digest="f" * 64)
    assert told.hear(told.of(gone)).foreign == []
    # Of another chain it was never delivered; what is there still is compared; 4 was not delivered.
    told.lane.segment(4).unlink()
    told.lane.segment(5).unlink()
    for span in (
        told.span(1, 2, chain=OTHER),
        replace(told.span(1, 1), digest="f" * 64),
        replace(told.span(4, 4), digest="f" * 64),
    ):
        found = told.hear(told.of(span))
        assert found.foreign == [(STREAM, span.last)]


def test_the_last_segment_is_compared_by_the_head_also_where_it_was_deleted(told: Told) -> None:
    told.hear(told.of(told.span(5, 5)))
    told.lane.segment(5).unlink()
    assert told.hear(told.of(told.span(5, 5))).foreign == []
    wrong = replace(told.span(5, 5), digest="f" * 64)
    assert told.hear(told.of(wrong)).foreign == [(STREAM, 5)]


def test_each_lane_of_a_receipt_is_told_beside_the_others(told: Told) -> None:
    wrong = replace(told.span(3, 3), digest="f" * 64)
    forks = [Fork(Span(OTHER, 2, 2, "pending", "f" * 64), ())]
    here = told.of(wrong, missing=[Range(1, 2)], forks=forks)
    lane = told.of(told.span(1, 4), missing=[Range(7, 9)], forks=forks)
    there = replace(lane, stream="langgraph")
    found = told.hear(here, there)
    assert found.foreign == [(STREAM, 3), ("langgraph", 4)]
    assert found.forks == [(STREAM, 2), ("langgraph", 2)]
    assert found.missing == 5
    assert told.node.ledger.missing(told.lane) == [Range(1, 2)]
    assert told.node.ledger.missing(told.node.lane("langgraph")) == [Range(7, 9)]


def test_records_that_were_taken_since_are_delivered_and_a_dry_run_counts_them_alone(
    told: Told,
) -> None:
    refused = [Refused(2, 0, 422, "refused"), Refused(2, 1, 422, "refused")]
    told.hear(told.of(told.span(1, 3), refused=refused))
    assert [each.line for each in told.exceptions()] == [0, 1]
    lane = told.of(told.span(1, 3), refused=refused[1:])
    assert told.hear(lane, dry_run=True) == Applied(delivered=1)
    assert [each.line for each in told.exceptions()] == [0, 1]
    assert told.hear(lane) == Applied(delivered=1)
    assert [each.line for each in told.exceptions()] == [1]
    assert told.hear(lane) == Applied()


def test_what_is_on_its_way_is_counted_whatever_became_of_parts_of_it(told: Told) -> None:
    told.hear(told.of(told.span(2, 2)))
    assert told.hear(told.of(told.span(1, 5, P))).pending == 10
    assert told.states() == "edeee"


def test_what_is_known_there_above_the_head_is_told_by_stream(told: Told) -> None:
    beyond = replace(told.span(5, 5), first=6, last=7, digest="f" * 64)
    elsewhere = replace(beyond, chain=OTHER, first=8, last=9)
    found = told.hear(told.of(told.span(1, 5), beyond, elsewhere))
    assert found.ahead == {STREAM: 7}
    assert found.foreign == [(STREAM, 7), (STREAM, 9)]
    assert found.delivered == 10


def test_forks_are_told_and_the_stream_once_where_they_are_of_the_chain_of_today(
    told: Told,
) -> None:
    def fork(seq: int, chain: str) -> Fork:
        return Fork(Span(chain, seq, seq, "pending", "f" * 64), ())

    forks = [fork(1, OTHER), fork(2, told.head.chain), fork(3, told.head.chain)]
    found = told.hear(told.of(forks=forks))
    assert found.forks == [(STREAM, 1), (STREAM, 2), (STREAM, 3)]
    assert found.forked == [STREAM]
    assert told.hear(told.of(forks=forks[:1])).forked == []


def test_a_fork_there_that_is_the_segment_here_is_delivered_with_its_own_refusals(
    told: Told,
) -> None:
    fork = Fork(told.span(2, 2), (Refused(2, 0, 422, "refused"),))
    found = told.hear(told.of(forks=[fork], refused=[Refused(2, 1, 422, "refused")]))
    assert (found.delivered, found.quarantined) == (1, 1)
    assert [each.line for each in told.exceptions()] == [0]
    assert told.states() == "edeee"


def test_a_lane_that_is_not_here_has_nothing_to_move(told: Told) -> None:
    forks = (Fork(told.span(2, 2), ()),)
    lane = replace(told.of(told.span(1, 5), missing=[Range(1, 2)], forks=forks), stream="langgraph")
    found = told.hear(lane)
    assert found == Applied(
        missing=2, foreign=[("langgraph", 5)], forks=[("langgraph", 2)],
    )  # fmt: skip


def test_no_receipt_moves_a_lane_to_where_its_numbers_run_out(told: Told) -> None:
    far = SEQ_MAX // 2
    beyond = replace(told.span(1, 5), first=6, last=far + 1)
    with pytest.raises(VerificationError) as caught:
        told.hear(told.of(told.span(1, 5), beyond))
    assert caught.value.id == "receipt.number"
    assert told.states() == "eeeee"
    assert told.hear(told.of(replace(beyond, last=far))).ahead == {STREAM: far}


@pytest.mark.parametrize("line", [2, 7])
@pytest.mark.parametrize("of_fork", [True, False])
def test_a_record_that_the_segment_does_not_hold_refuses_the_whole_receipt(
    told: Told, line: int, *, of_fork: bool
) -> None:
    refused = (Refused(3, 0, 422, "refused"), Refused(3, line, 422, "refused"))
    lane = (
        told.of(told.span(1, 2), forks=[Fork(told.span(3, 3), refused)])
        if of_fork
        else told.of(told.span(1, 3), refused=refused)
    )
    with pytest.raises(VerificationError) as caught:
        told.hear(lane)
    assert caught.value.id == "receipt.record"
    assert f"record {line} of {STREAM} 3" in caught.value.message
    assert told.states() == "eeeee"
    assert told.node.ledger.newest_receipt("relay-1").serial == 0


def test_a_record_of_a_segment_that_is_foreign_is_nobodys(told: Told) -> None:
    lane = told.of(
        told.span(1, 2),
        replace(told.span(3, 3), digest="f" * 64),
        told.span(4, 4),
        refused=[Refused(3, 99, 422, "refused"), Refused(4, 1, 422, "refused")],
    )
    found = told.hear(lane)
    assert (found.delivered, found.quarantined, found.foreign) == (5, 1, [(STREAM, 3)])
    assert [each.seq for each in told.exceptions()] == [4]


def test_a_span_moves_what_may_move_of_it_though_parts_went_another_way(told: Told) -> None:
    told.hear(told.of(told.span(2, 2), told.span(4, 4, Q)))
    assert told.states() == "edeqe"
    found = told.hear(told.of(told.span(1, 5)))
    assert (found.delivered, found.quarantined) == (6, 0)
    assert told.states() == "dddqd"


@pytest.mark.parametrize("state", [D, Q])
def test_a_dry_run_counts_nothing_that_would_not_move(told: Told, state: State) -> None:
    told.hear(told.of(told.span(2, 2), told.span(4, 4, Q)))
    lane = told.of(told.span(1, 5, state), refused=[Refused(1, 0, 422, "refused")])
    counted = told.hear(lane, dry_run=True)
    assert told.states() == "edeqe"
    assert counted == told.hear(lane)
    assert counted.delivered + counted.quarantined == 6


def test_refusals_are_counted_off_the_part_that_they_are_of(told: Told) -> None:
    told.hear(told.of(told.span(3, 3)))
    refused = [Refused(seq, 0, 422, "refused") for seq in (1, 2, 4)]
    found = told.hear(told.of(told.span(1, 5), refused=refused))
    assert (found.delivered, found.quarantined) == (5, 3)
    assert [each.seq for each in told.exceptions()] == [1, 2, 4]


def test_what_a_chain_of_before_holds_moves_by_its_own_numbers_alone(told: Told) -> None:
    told.lane.head.unlink()
    told.node.append(8)  # in a new chain
    (first,) = [span for span in told.node.ledger.spans(told.lane) if span.first > 5]
    said = said_by(told.lane, first.first)
    assert said is not None
    with Segment.open(told.lane.segment(first.first)) as segment:
        over_both = Span(said.chain, 1, first.first, "delivered", segment.digest)
    found = told.hear(told.of(over_both))
    assert (found.delivered, found.foreign) == (1, [])
    assert told.states() == "eeeeed"


def test_what_the_beacon_has_is_not_missing(told: Told) -> None:
    told.hear(told.of(told.span(2, 3)))
    missing = [Range(1, 4), Range(9, 9)]
    assert still_wanted(told.node.ledger, told.lane, missing, "relay-1") == [
        Range(1, 1), Range(4, 4), Range(9, 9),
    ]  # fmt: skip
    # The others are in a bundle for relay-1.
    assert still_wanted(told.node.ledger, told.lane, missing, "relay-2") == [Range(9, 9)]
    found = told.hear(told.of(missing=[Range(1, 4)]))
    assert found.missing == 2
    assert told.node.ledger.missing(told.lane) == [Range(1, 1), Range(4, 4)]
