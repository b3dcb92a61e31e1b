"""What goes first when room is needed: a pure choice."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spool.lane import Lane
from spool.ledger import State
from spool.retention import Shelf, choose, place_in_line, to_free
from spool.streams import STREAMS

SPOOL = Path("/spool")
NEVER = (State.QUARANTINED,)


def shelf(stream: str, state: State, *sizes: int, node: str = "n") -> Shelf:
    numbered = list(enumerate(sizes, start=1))
    return Shelf(Lane(SPOOL, node, stream), STREAMS[stream], state, numbered)


def order(shelves: list[Shelf], wanted: int) -> list[tuple[str, str, list[int]]]:
    return [
        (taken.shelf.lane.stream, str(taken.shelf.state), list(taken.numbers))
        for taken in choose(shelves, wanted)
    ]


def test_while_there_is_room_nothing_has_to_go() -> None:
    assert to_free(used=87, max_size=100, free=1000, min_free=0) == 0
    assert to_free(used=89, max_size=100, free=1000, min_free=0) == 4


def test_a_full_disk_counts_as_a_full_spool_does() -> None:
    assert to_free(used=100, max_size=10**6, free=10, min_free=10) > 0
    assert to_free(used=100, max_size=10**6, free=10**5, min_free=10) == 0


def test_delivered_goes_first_and_billing_last_of_it() -> None:
    found = order(
        [
            shelf("transactions", State.DELIVERED, 10),
            shelf("traces", State.PENDING, 10),
            shelf("logs", State.DELIVERED, 10),
        ],
        30,
    )
    assert found == [
        ("logs", "delivered", [1]),
        ("transactions", "delivered", [1]),
        ("traces", "pending", [1]),
    ]


def test_traces_go_before_other_telemetry_and_exported_before_never_exported() -> None:
    shelves = [
        shelf("logs", State.PENDING, 10),
        shelf("traces", State.PENDING, 10),
        shelf("traces", State.EXPORTED, 10),
        shelf("snapshots", State.PENDING, 10),
    ]
    assert [(stream, state) for stream, state, _ in order(shelves, 40)] == [
        ("traces", "exported"),
        ("traces", "pending"),
        ("logs", "pending"),
        ("snapshots", "pending"),
    ]


@pytest.mark.parametrize("state", [State.PENDING, State.EXPORTED, State.QUARANTINED])
@pytest.mark.parametrize("stream", [row.name for row in STREAMS.values() if row.kind == "billing"])
def test_billing_that_has_not_arrived_stays_however_much_is_wanted(
    stream: str, state: State
) -> None:
    shelves = [shelf(stream, state, 10, 10), shelf("traces", State.PENDING, 10)]
    assert order(shelves, 10**9) == [("traces", "pending", [1])]


def test_no_more_goes_than_is_needed_and_the_oldest_first() -> None:
    assert order([shelf("logs", State.DELIVERED, 5, 5, 5)], 6) == [("logs", "delivered", [1, 2])]


def test_the_fullest_of_equal_lanes_gives_next() -> None:
    shelves = [
        shelf("logs", State.DELIVERED, *[10] * 9, node="flood"),
        shelf("logs", State.DELIVERED, 10, node="small"),
    ]
    (taken,) = choose(shelves, 80)
    assert taken.shelf.lane.node == "flood"


@given(
    wanted=st.integers(1, 10_000),
    shelves=st.lists(
        st.builds(
            shelf,
            st.sampled_from(list(STREAMS)),
            st.sampled_from(list(State)),
            *[st.integers(1, 500)] * 4,
        ),
        max_size=12,
    ),
)
def test_billing_goes_only_when_delivered_or_lost_and_nothing_else_is_enough(
    wanted: int, shelves: list[Shelf]
) -> None:
    taken = choose(shelves, wanted)
    for each in taken:
        assert each.shelf.state is not State.QUARANTINED
        if each.shelf.stream.kind == "billing":
            assert each.shelf.state in (State.DELIVERED, State.LOST)
    freed = sum(each.size for each in taken)
    all_that_may = sum(
        size
        for each in shelves
        if place_in_line(each.stream, each.state) is not None
        for _, size in each.segments
    )
    assert freed >= min(wanted, all_that_may)
    largest = max((size for each in shelves for _, size in each.segments), default=0)
    assert freed < wanted + largest
