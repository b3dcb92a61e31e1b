"""The file of delivered numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.errors import VerificationError
from spool.frontier import FRONTIER_MAX, REFUSED_MAX, TEXT_MAX, Frontier, encode, parse
from spool.ledger_audit import DISCARDED, RecordException
from spool.ranges import RANGES_MAX, ChainRanges, Range

A, B = "a" * 32, "b" * 32
EXAMPLE = b'{"v":1,"chains":[{"chain":"' + A.encode() + b'","ranges":"1-40,43-57"}]}'


def test_the_file_is_as_documented() -> None:
    frontier = Frontier([ChainRanges(A, (Range(1, 40), Range(43, 57)))])
    assert encode(frontier) == EXAMPLE
    assert parse(EXAMPLE) == frontier


def test_nothing_delivered_is_a_file_too() -> None:
    assert parse(encode(Frontier())) == Frontier([])


def test_chains_stand_in_the_order_of_their_numbers() -> None:
    frontier = Frontier(
        [ChainRanges(B, (Range(1, 2),)), ChainRanges(A, (Range(1_000_000, 1_000_001),))]
    )
    assert parse(encode(frontier)) == frontier


def test_of_too_many_ranges_the_longest_stay() -> None:
    short = tuple(Range(n, n) for n in range(1, 4 * RANGES_MAX, 2))
    long = Range(10**9, 2 * 10**9)
    kept = parse(encode(Frontier([ChainRanges(A, (*short, long))]))).chains
    assert len(kept[0].ranges) == RANGES_MAX
    assert kept[0].ranges[-1] == long


def test_the_largest_file_is_within_the_limit() -> None:
    chains = [
        ChainRanges(f"{n:032x}", (Range(10**11 + 10 * n, 10**11 + 10 * n + 5),))
        for n in range(RANGES_MAX)
    ]
    refused = [
        RecordException(10**11 + n, 10**11, 10**14, "x" * 32, 999, "\0" * TEXT_MAX)
        for n in range(REFUSED_MAX)
    ]
    given_up = [
        RecordException(2 * 10**11 + n, 10**11, 10**14, DISCARDED, 0, "") for n in range(1000)
    ]
    data = encode(Frontier(chains, refused + given_up, 2**53 - 1, 2**53 - 1))
    assert len(data) <= FRONTIER_MAX
    assert parse(data) == Frontier(chains, refused + given_up, 2**53 - 1, 2**53 - 1)


SINGLE = (
    b'{"v":2,"chains":[{"chain":"' + A.encode() + b'","ranges":"1-57"}],'
    b'"in_doubt":3,"partial":1,"refused":[{"seq":7,"line":0,"at":1764000000000,'
    b'"verdict":"bisect","status":422,"text":"no id"}],'
    b'"given_up":[{"seq":9,"lines":"1,3-4","at":1764000000000}]}'
)


def test_single_records_that_went_another_way_stand_beside_what_was_delivered() -> None:
    at = 1764000000000
    exceptions = [
        RecordException(7, 0, at, "bisect", 422, "no id"),
        *(RecordException(9, line, at, DISCARDED, 0, "") for line in (0, 2, 3)),
    ]
    frontier = Frontier([ChainRanges(A, (Range(1, 57),))], exceptions, 3, 1)
    assert encode(frontier) == SINGLE
    assert parse(SINGLE) == frontier


def test_of_a_long_answer_the_beginning_stays() -> None:
    long = RecordException(7, 0, 1, "bisect", 422, "x" * 500)
    (kept,) = parse(encode(Frontier([ChainRanges(A, (Range(1, 9),))], [long]))).exceptions
    assert kept.text == "x" * TEXT_MAX


@pytest.mark.parametrize(
    ("is_", "becomes"),
    [
        (b'"v":2', b'"v":1'), (b'"in_doubt":3', b'"in_doubt":-1'), (b'"partial":1', b'"partial":"1"'),
        (b'"in_doubt":3,', b""), (b'"seq":7', b'"seq":0'), (b'"line":0', b'"line":-1'),
        (b'"bisect"', b'"discarded"'), (b'"no id"', b'"' + b"x" * (TEXT_MAX + 1) + b'"'),
        (b'"seq":9,"lines":"1,', b'"seq":7,"lines":"1,'), (b'"1,3-4"', b'"0"'),
        (b'"1,3-4"', b'"1-999999999999"'), (b'"lines"', b'"line"'),
    ],
)  # fmt: skip
def test_single_records_of_any_other_form_are_refused(is_: bytes, becomes: bytes) -> None:
    assert is_ in SINGLE
    with pytest.raises(VerificationError):
        parse(SINGLE.replace(is_, becomes))


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
