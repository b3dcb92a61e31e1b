"""Frontier files are written soon after something moved, but not all the time where that takes long."""

from pathlib import Path

import pytest

from bridge.egress.frontiers import SHARE, Frontiers
from spool.frontier import Frontier, read_frontier
from spool.lane import Lane
from spool.ledger import By, Ledger, Span, State
from spool.ranges import Range
from spool.totals import NOTHING, Totals
from tests.support.disks import FastDisk
from tests.support.spools import HandClock, new_lane

SEGMENTS = 9
TOOK_S = 0.5


class _SlowDisk(FastDisk):
    """Takes its time for each file that it puts in the place of another."""

    def __init__(self, clock: HandClock) -> None:
        self._clock = clock

    def rename(self, source: Path, target: Path) -> None:
        self._clock.seconds += TOOK_S
        super().rename(source, target)


def _named(lane: Lane) -> list[Range]:
    return [item for chain in read_frontier(lane).chains for item in chain.ranges]


def _part(seq: int) -> Totals:
    return Totals(seq, 10 * seq)


def _take_back(ledger: Ledger, lane: Lane, seq: int) -> None:
    ledger.move(
        lane,
        seq,
        seq,
        source=State.DELIVERED,
        target=State.PENDING,
        by=By.REPLAY,
        before_first=_part(seq - 1),
        after_last=_part(seq),
    )


@pytest.mark.parametrize("at_the_end", [False, True])
def test_a_file_is_behind_for_as_long_as_its_share_has_it_and_whole_at_the_end(
    tmp_path: Path, *, at_the_end: bool
) -> None:
    # One that lists 100,000 records took half of each second while its lane was sent.
    clock, lane = HandClock(), new_lane(tmp_path)
    with Ledger.open(tmp_path, clock=clock) as ledger:
        whole = Span("0" * 32, 1, SEGMENTS, State.DELIVERED, NOTHING, _part(SEGMENTS))
        ledger.adopt(lane, [whole], Frontier())
        frontiers = Frontiers(ledger, _SlowDisk(clock), clock, print)
        frontiers.moved(lane)
        frontiers.write_due()
        assert _named(lane) == [Range(1, SEGMENTS)]
        _take_back(ledger, lane, SEGMENTS)
        frontiers.moved(lane)
        clock.seconds += (SHARE - 1) * TOOK_S
        frontiers.write_due()
        assert _named(lane) == [Range(1, SEGMENTS)]
        assert frontiers.behind
        if at_the_end:
            frontiers.write()
        else:
            clock.seconds += TOOK_S
            frontiers.write_due()  # nothing has moved since: what was behind still is
        assert _named(lane) == [Range(1, SEGMENTS - 1)]
        assert not frontiers.behind


def test_what_takes_no_time_is_written_each_time(tmp_path: Path) -> None:
    clock, lane = HandClock(), new_lane(tmp_path)
    with Ledger.open(tmp_path, clock=clock) as ledger:
        whole = Span("0" * 32, 1, SEGMENTS, State.DELIVERED, NOTHING, _part(SEGMENTS))
        ledger.adopt(lane, [whole], Frontier())
        frontiers = Frontiers(ledger, FastDisk(), clock, print)
        for seq in range(SEGMENTS, 1, -1):
            _take_back(ledger, lane, seq)
            frontiers.moved(lane)
            frontiers.write_due()
            assert _named(lane) == [Range(1, seq - 1)]
