"""One set of numbers has one text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.errors import VerificationError, shown
from spool.lane import SEQ_MAX
from spool.ranges import Range, format_ranges, join_ranges, parse_ranges, shared, without

NUMBERS = st.integers(1, SEQ_MAX)


@pytest.mark.parametrize(
    ("text", "ranges"),
    [
        ("1", (Range(1, 1),)),
        ("1-40,57", (Range(1, 40), Range(57, 57))),
        ("999999999999", (Range(SEQ_MAX, SEQ_MAX),)),
    ],
)
def test_what_is_written_is_read(text: str, ranges: tuple[Range, ...]) -> None:
    assert parse_ranges(text) == ranges
    assert format_ranges(ranges) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0", "01", "1-", "-1", "1-1", "2-1", "1,1", "1-3,4", "1-3,3-5", "5,1", " 1", "1 ", "1\n",
        "+1", "1_0", "1,,3", "1,", ",1", "1-2-3", "\u0661", "1000000000000", "1.0", "a",
    ],
)  # fmt: skip
def test_every_other_text_is_refused(text: str) -> None:
    with pytest.raises(VerificationError) as caught:
        parse_ranges(text)
    assert caught.value.id == "ranges.form"
    assert str(caught.value).startswith(f"{shown(text)} is not a list")


def test_more_ranges_than_allowed_are_refused() -> None:
    assert len(parse_ranges("1,3,5", limit=3)) == 3
    with pytest.raises(VerificationError, match=r"1,3,5.*longer than 2 ranges"):
        parse_ranges("1,3,5", limit=2)
    with pytest.raises(VerificationError, match="longer than 2 ranges"):
        parse_ranges("1" * 100, limit=2)


def test_numbers_in_any_order_come_out_joined() -> None:
    assert format_ranges([Range(5, 9), Range(1, 2), Range(3, 3), Range(7, 8)]) == "1-3,5-9"


@given(st.text(alphabet="0123456789,-", max_size=40) | st.text(max_size=40))
def test_any_text_gives_ranges_or_our_error(text: str) -> None:
    try:
        ranges = parse_ranges(text)
    except VerificationError:
        return
    assert format_ranges(ranges) == text


@given(st.lists(st.tuples(NUMBERS, st.integers(0, 50)), min_size=1, max_size=30))
def test_any_numbers_survive(items: list[tuple[int, int]]) -> None:
    ranges = [Range(first, min(first + more, SEQ_MAX)) for first, more in items]
    back = parse_ranges(format_ranges(ranges))
    covered = {number for item in ranges for number in range(item.first, item.last + 1)}
    assert {number for item in back for number in range(item.first, item.last + 1)} == covered
    assert sum(map(len, back)) == len(covered)


@given(
    st.lists(st.builds(lambda a, n: Range(a, a + n), st.integers(1, 60), st.integers(0, 9))),
    st.lists(st.builds(lambda a, n: Range(a, a + n), st.integers(1, 60), st.integers(0, 9))),
)
def test_without_is_what_sets_would_say(some: list[Range], others: list[Range]) -> None:
    def numbers(ranges: list[Range]) -> set[int]:
        return {n for each in ranges for n in range(each.first, each.last + 1)}

    left = without(some, others)
    assert numbers(left) == numbers(some) - numbers(others)
    assert left == join_ranges(left)
    assert all(each.first <= each.last for each in left)


def test_what_two_sets_of_numbers_share_is_in_both() -> None:
    one = [Range(8, 9), Range(1, 4), Range(3, 6)]
    assert shared(one, [Range(2, 2), Range(5, 8)]) == [Range(2, 2), Range(5, 6), Range(8, 8)]
    assert shared(one, one) == [Range(1, 6), Range(8, 9)]
    assert shared(one, []) == shared([], one) == []
