"""Which numbers go a second time on purpose: as a set would say, whatever is noted and forgotten."""

import sqlite3
from contextlib import closing

from hypothesis import given
from hypothesis import strategies as st

from spool.ledger_again import AGAIN
from spool.ledger_schema import create
from spool.ranges import Range

RANGES = st.builds(
    lambda first, more: Range(first, first + more), st.integers(1, 30), st.integers(0, 9)
)
ALL = Range(1, 99)
OTHER = Range(1, 40)


def numbers(ranges: list[Range]) -> list[int]:
    return [n for each in ranges for n in range(each.first, each.last + 1)]


@given(st.lists(st.tuples(st.booleans(), RANGES), max_size=12), RANGES)
def test_what_is_noted_and_forgotten_is_what_a_set_would_hold(
    steps: list[tuple[bool, Range]], within: Range
) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        create(connection)
        for lane in (1, 2):
            connection.execute("INSERT INTO lane (node, stream) VALUES ('n', ?)", (str(lane),))
        AGAIN.note(connection, 2, OTHER)
        held: set[int] = set()
        for is_wish, part in steps:
            if is_wish:
                AGAIN.note(connection, 1, part)
                held |= set(numbers([part]))
            else:
                AGAIN.forget(connection, 1, part)
                held -= set(numbers([part]))
            found = numbers(AGAIN.within(connection, 1, ALL))
            assert found == sorted(held)
            assert AGAIN.count(connection, 1) == len(held)
        near = AGAIN.within(connection, 1, within)
        assert set(numbers([within])) & held == set(numbers([within])) & set(numbers(near))
        assert all(each.first <= within.last and each.last >= within.first for each in near)
        assert AGAIN.within(connection, 2, ALL) == [OTHER]
