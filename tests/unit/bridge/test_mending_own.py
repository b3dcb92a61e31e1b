"""In a lane of our own a loss is declared once, and what is good is saved once, whatever fails."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.egress.mending import Mender
from spool.clock import SYSTEM_CLOCK
from spool.discovery import discover, said_by
from spool.lane import Lane
from spool.ledger import Ledger, State
from spool.statement import Lost
from tests.support.books import lines
from tests.support.spools import FAST, KEY, new_lane, records, seal_one, sealer


@pytest.fixture(name="ledger")
def _ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path, clock=SYSTEM_CLOCK) as ledger:
        yield ledger


def _mender(lane: Lane, ledger: Ledger) -> Mender:
    return Mender(FAST, sealer(lane), ledger, SYSTEM_CLOCK)


def _reasons(lane: Lane) -> list[str]:
    said = [said_by(lane, seq) for seq in lane.sealed_numbers()]
    return [each.reason for each in said if each is not None]


def test_a_rescue_that_never_comes_to_its_end_sends_nothing_twice(
    tmp_path: Path, ledger: Ledger
) -> None:
    lane = new_lane(tmp_path)
    seal_one(lane, records(3))
    data = bytearray(lane.segment(1).read_bytes())
    data[data.rindex(b'"sig"') + 10] ^= 1
    lane.segment(1).write_bytes(data)
    discover(ledger, lane)
    (tmp_path / "quarantine").write_bytes(b"no folder")
    for mender in (_mender(lane, ledger), _mender(lane, ledger)):  # a daemon, and the next one
        for _ in range(2):
            with pytest.raises(FileExistsError):
                mender.mend(1)
    (tmp_path / "quarantine").unlink()
    assert _mender(lane, ledger).mend(1) == (1, 1)
    discover(ledger, lane)
    assert _reasons(lane) == ["recovered", "loss"]
    assert lines(lane, KEY) == records(3)
    (counts,) = ledger.counts()
    assert counts.records[State.PENDING] == 3


def test_what_is_missing_is_declared_once_though_a_crash_came_before_the_ledger_knew(
    tmp_path: Path, ledger: Ledger
) -> None:
    lane = new_lane(tmp_path)
    sums = [seal_one(lane, records(2)) for _ in range(3)]
    discover(ledger, lane)
    lane.segment(1).unlink()
    lane.segment(2).unlink()
    sealer(lane).declare_lost(Lost("1-2", 4, sums[2].before.raw_size, "missing"))
    assert _mender(lane, ledger).mend(1) == (1, 2)
    assert _reasons(lane) == ["size", "loss"]
    (counts,) = ledger.counts()
    assert counts.records[State.LOST] == 4
