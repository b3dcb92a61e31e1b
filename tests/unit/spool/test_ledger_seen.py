"""What a person has seen of losses and lower counts, and what is new since."""

import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from spool.clock import SYSTEM_CLOCK
from spool.lane import Lane
from spool.ledger import By, Ledger, Span, State
from spool.ledger_kept import kept_seen
from spool.ledger_seen import Seen
from spool.ranges import RANGES_MAX, Range
from tests.support.ledgers import CHAIN, answer, fill, lane, move, sums, totals, whole

SCHEMAS = Path(__file__).parents[2] / "golden" / "ledgers"
DROPPED = (State.PENDING, State.LOST)


def see(ledger: Ledger, spool: Path, *within: Range, at: int = 1) -> list[str]:
    return [each.numbers for each in ledger.see({lane(spool): within or None}, State.LOST, at, "n")]


def unseen(ledger: Ledger) -> int:
    (counts,) = ledger.counts()
    return counts.segments[State.LOST] - counts.lost_seen


def test_a_loss_is_new_until_it_was_seen_and_the_next_one_is_new_again(
    ledger: Ledger, tmp_path: Path
) -> None:
    here = lane(tmp_path)
    assert see(ledger, tmp_path) == []
    move(ledger, here, (1, 3), DROPPED, By.LOSS)
    assert unseen(ledger) == 3
    before = ledger.counts()[0].records
    assert see(ledger, tmp_path) == ["1-3"]
    assert unseen(ledger) == 0
    assert ledger.counts()[0].records == before
    move(ledger, here, (4, 4), DROPPED, By.LOSS)
    move(ledger, here, (9, 9), DROPPED, By.LOSS)
    assert unseen(ledger) == 2
    assert see(ledger, tmp_path, at=2) == ["4,9"]
    told = [(each.at, each.numbers, each.segments, each.records) for each in ledger.seen()]
    assert told == [(1, "1-3", 3, 30), (2, "4,9", 2, 50)]
    assert [each.at for each in ledger.seen(2)] == [2]


def test_what_was_seen_is_not_entered_twice_and_a_look_ahead_enters_nothing(
    ledger: Ledger, tmp_path: Path
) -> None:
    move(ledger, lane(tmp_path), (1, 3), DROPPED, By.LOSS)
    (ahead,) = ledger.unseen({lane(tmp_path): None}, State.LOST, 1, "n")
    assert (ahead.numbers, ledger.seen(), unseen(ledger)) == ("1-3", [], 3)
    assert see(ledger, tmp_path) == ["1-3"]
    assert see(ledger, tmp_path) == []
    assert ledger.seen() == [ahead]


@pytest.mark.parametrize("seq", [1, 10])
def test_a_single_number_at_either_end_of_a_lane_is_seen(
    ledger: Ledger, tmp_path: Path, seq: int
) -> None:
    move(ledger, lane(tmp_path), (seq, seq), DROPPED, By.LOSS)
    assert see(ledger, tmp_path) == [str(seq)]


def test_losses_in_more_places_than_a_text_of_others_may_name_are_seen_at_once(
    tmp_path: Path,
) -> None:
    places = RANGES_MAX + 1
    ways = [(seq, State.LOST if seq % 2 else State.PENDING) for seq in range(1, 2 * places)]
    with Ledger.open(tmp_path, clock=SYSTEM_CLOCK) as ledger:
        ledger.adopt(
            lane(tmp_path),
            [Span(CHAIN, seq, seq, way, totals(seq - 1), totals(1)) for seq, way in ways],
        )
        ledger.see({lane(tmp_path): None}, State.LOST, 1, "n")
        (counts,) = ledger.counts()
        assert (counts.lost_seen, counts.segments[State.LOST]) == (places, places)


def test_only_the_numbers_that_were_named_are_seen(ledger: Ledger, tmp_path: Path) -> None:
    move(ledger, lane(tmp_path), (2, 9), DROPPED, By.LOSS)
    assert see(ledger, tmp_path, Range(1, 3), Range(5, 6)) == ["2-3,5-6"]
    assert unseen(ledger) == 4
    assert see(ledger, tmp_path) == ["4,7-9"]


@pytest.mark.parametrize(
    ("way", "by"),
    [((State.LOST, State.DELIVERED), By.RECEIPT), ((State.LOST, State.PENDING), By.REPLAY)],
)
def test_what_is_lost_no_more_and_then_lost_again_is_new(
    ledger: Ledger, tmp_path: Path, way: tuple[State, State], by: By
) -> None:
    here = lane(tmp_path)
    move(ledger, here, (1, 9), DROPPED, By.LOSS)
    see(ledger, tmp_path)
    move(ledger, here, (4, 5), way, by)
    assert unseen(ledger) == 0
    if way[1] is State.DELIVERED:
        move(ledger, here, (4, 5), (State.DELIVERED, State.PENDING), By.REPLAY)
    move(ledger, here, (4, 5), DROPPED, By.LOSS)
    # As many are lost as were seen, and not the same ones.
    assert unseen(ledger) == 2
    assert see(ledger, tmp_path) == ["4-5"]


def _deliver(ledger: Ledger, here: Path, seq: int, accepted: int) -> None:
    batch = ledger.open_batch(lane(here), whole(seq, seq), f"key-{seq}")
    ledger.settle(batch.id, answer(10, accepted=accepted), sums(seq, seq))


def test_a_lower_count_is_new_until_it_was_seen_and_the_sum_stays(
    ledger: Ledger, tmp_path: Path
) -> None:
    wanted = {lane(tmp_path): None}
    assert ledger.see(wanted, State.DELIVERED, 1, "n") == []
    _deliver(ledger, tmp_path, 1, 9)
    one = Seen(1, "n1", "logs", "", 0, 0, 1, "n")
    assert ledger.see(wanted, State.DELIVERED, 1, "n") == [one]
    assert ledger.see(wanted, State.DELIVERED, 1, "n") == []
    _deliver(ledger, tmp_path, 2, 8)
    (counts,) = ledger.counts()
    assert (counts.partial, counts.partial_seen) == (3, 1)
    assert [each.partial for each in ledger.see(wanted, State.DELIVERED, 2, "n")] == [2]
    assert ledger.counts()[0].partial == 3


def test_one_act_covers_one_kind_of_problem_and_those_lanes_alone(
    ledger: Ledger, tmp_path: Path
) -> None:
    other = lane(tmp_path, "traces")
    fill(ledger, other, 1, 3)
    for each in (lane(tmp_path), other):
        move(ledger, each, (3, 3), DROPPED, By.LOSS)
    _deliver(ledger, tmp_path, 1, 9)
    see(ledger, tmp_path)
    logs, traces = ledger.counts()
    assert (logs.lost_seen, logs.partial_seen, traces.lost_seen) == (1, 0, 0)


def test_an_unknown_lane_has_nothing_to_be_seen(tmp_path: Path) -> None:
    with Ledger.open(tmp_path, clock=SYSTEM_CLOCK) as ledger:
        for state in (State.LOST, State.DELIVERED):
            assert ledger.see({lane(tmp_path): None}, state, 1, "n") == []
        assert ledger.counts() == []


def test_a_ledger_that_was_put_aside_tells_what_was_seen_if_it_knew_that(
    ledger: Ledger, tmp_path: Path
) -> None:
    move(ledger, lane(tmp_path), (1, 3), DROPPED, By.LOSS)
    see(ledger, tmp_path, at=5)
    assert kept_seen(tmp_path / "ledger.db") == ledger.seen()
    assert kept_seen(tmp_path / "ledger.db", 6) == []
    earlier = tmp_path / "earlier.db"
    with closing(sqlite3.connect(earlier)) as connection:
        connection.executescript((SCHEMAS / "version5.sql").read_text())
    assert kept_seen(earlier) == []


class _Deadly(dict[Lane, None]):
    """Lanes on whose way from the first to the second the process is killed."""

    def items(self) -> Iterator[tuple[Lane, None]]:  # type: ignore[override]
        yield from list(super().items())[:1]
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_kill_in_the_midst_of_it_leaves_nothing_seen_and_the_next_time_all_of_it(
    tmp_path: Path,
) -> None:
    both = [lane(tmp_path), lane(tmp_path, "traces")]
    with Ledger.open(tmp_path, clock=SYSTEM_CLOCK) as ledger:
        for each in both:
            fill(ledger, each, 1, 3)
            move(ledger, each, (2, 3), DROPPED, By.LOSS)
    child = os.fork()
    if not child:
        try:
            with Ledger.open(tmp_path, clock=SYSTEM_CLOCK) as ledger:
                ledger.see(_Deadly.fromkeys(both), State.LOST, 1, "n")
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    with Ledger.open(tmp_path, clock=SYSTEM_CLOCK) as ledger:
        assert ledger.seen() == []
        assert [each.lost_seen for each in ledger.counts()] == [0, 0]
        assert len(ledger.see(dict.fromkeys(both), State.LOST, 1, "n")) == 2
        assert [each.lost_seen for each in ledger.counts()] == [2, 2]
