"""The file of delivered numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.errors import VerificationError
from spool.frontier import FRONTIER_MAX, encode, parse
from spool.ranges import RANGES_MAX, ChainRanges, Range

A, B = "a" * 32, "b" * 32
EXAMPLE = b'{"v":1,"chains":[{"chain":"' + A.encode() + b'","ranges":"1-40,43-57"}]}'


def test_the_file_is_as_documented() -> None:
    frontier = [ChainRanges(A, (Range(1, 40), Range(43, 57)))]
    assert encode(frontier) == EXAMPLE
    assert parse(EXAMPLE) == frontier


def test_nothing_delivered_is_a_file_too() -> None:
    assert parse(encode([])) == []


def test_chains_stand_in_the_order_of_their_numbers() -> None:
    frontier = [ChainRanges(B, (Range(1, 2),)), ChainRanges(A, (Range(1_000_000, 1_000_001),))]
    assert parse(encode(frontier)) == frontier


def test_of_too_many_ranges_the_longest_stay() -> None:
    short = tuple(Range(n, n) for n in range(1, 4 * RANGES_MAX, 2))
    long = Range(10**9, 2 * 10**9)
    kept = parse(encode([ChainRanges(A, (*short, long))]))
    assert len(kept[0].ranges) == RANGES_MAX
    assert kept[0].ranges[-1] == long


def test_the_largest_file_is_within_the_limit() -> None:
    chains = [
        ChainRanges(f"{n:032x}", (Range(10**11 + 10 * n, 10**11 + 10 * n + 5),))
        for n in range(RANGES_MAX)
    ]
    data = encode(chains)
    assert len(data) <= FRONTIER_MAX
    assert parse(data) == chains


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\0" * 64, b"{}", b"[]", b'{"v":1}', b'{"v":2,"chains":[]}',
        b'{"v":true,"chains":[]}', b'{"v":1,"chains":{}}', b'{"v":1,"chains":[1]}',
        b'{"v":1,"chains":[],"more":1}', EXAMPLE + b" x", EXAMPLE[:-1],
        EXAMPLE.replace(b"aaa", b"AAA"), EXAMPLE.replace(b"1-40", b"1-4x"),
        EXAMPLE.replace(b'"1-40,43-57"', b"7"), EXAMPLE.replace(b'"1-40,43-57"', b'""'),
        b'{"v":1,"chains":[' + EXAMPLE[17:-2] + b"," + EXAMPLE[17:-2] + b"]}",
    ],
)  # fmt: skip
def test_any_other_file_is_refused(data: bytes) -> None:
    with pytest.raises(VerificationError):
        parse(data)


@given(st.binary(max_size=200) | st.binary(max_size=50).map(lambda more: EXAMPLE + more))
def test_any_bytes_give_ranges_or_our_error(data: bytes) -> None:
    try:
        frontier = parse(data)
    except VerificationError:
        return
    assert parse(encode(frontier)) == frontier
