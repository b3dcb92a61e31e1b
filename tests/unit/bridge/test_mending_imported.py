"""In an imported lane what is missing or damaged is lost here, asked for, and found again."""

from pathlib import Path

from bridge.egress.mending import Mender
from bridge.transfer.gaps import wanting
from spool.durable import OS_DISK
from spool.ledger import State
from spool.ranges import Range
from spool.sealing import Sealer
from tests.support.bundles import Machine, pair


def _imported(folder: Path) -> tuple[Machine, Path]:
    """A relay that holds four segments of a node, and their bundle."""
    inside, relay = pair(folder)
    for number in range(4):
        inside.append(number, number + 10)
    path = inside.export(relay, folder).path
    relay.take(path)
    return relay, path


def _mender(relay: Machine) -> Mender:
    lane = relay.lane(node="inside")
    sealer = Sealer(OS_DISK, lane, relay.key, relay.clock)
    return Mender(OS_DISK, sealer, relay.ledger, relay.clock)


def test_numbers_whose_seals_are_gone_are_found_again_with_their_own_sums(tmp_path: Path) -> None:
    relay, path = _imported(tmp_path)
    lane = relay.lane(node="inside")
    lane.segment(2).unlink()
    lane.segment(3).write_bytes(b"junk")
    mender = _mender(relay)
    assert [mender.mend(2), mender.mend(3)] == [(2, 2), (3, 3)]
    assert relay.records("inside") == {State.PENDING: 4, State.LOST: 4}
    assert wanting(relay.ledger, lane, relay.trust) == [Range(2, 3)]
    assert not lane.head.exists()
    assert list(lane.sealed_numbers()) == [1, 4]  # no loss record: nobody here may seal one
    outcome = relay.take(path)
    assert (outcome.new, outcome.duplicate) == (2, 2)
    assert relay.records("inside") == {State.PENDING: 8}
    assert [(span.first, span.last) for span in relay.ledger.spans(lane)] == [(1, 4)]
    assert wanting(relay.ledger, lane, relay.trust) == []


def test_a_run_of_missing_files_is_one_loss(tmp_path: Path) -> None:
    relay, path = _imported(tmp_path)
    lane = relay.lane(node="inside")
    lane.segment(1).unlink()
    lane.segment(2).unlink()
    assert _mender(relay).mend(1) == (1, 2)
    assert relay.records("inside") == {State.PENDING: 4, State.LOST: 4}
    assert relay.take(path).new == 2
    assert relay.records("inside") == {State.PENDING: 8}


def test_a_dry_run_tells_of_what_would_come_again_and_changes_nothing(tmp_path: Path) -> None:
    relay, path = _imported(tmp_path)
    relay.lane(node="inside").segment(1).unlink()
    _mender(relay).mend(1)
    assert relay.take(path, dry_run=True).new == 1
    assert relay.records("inside")[State.LOST] == 2
