"""A receipt is never larger than a reader takes, whatever a relay's books hold."""

from collections.abc import Callable

import pytest

from bridge.transfer.receipt import (
    FORKS_MAX,
    RECEIPT_MAX,
    RECEIPT_TYPE,
    REFUSED_MAX,
    SPANS_MAX,
    TEXT_MAX,
    Fork,
    LaneReceipt,
    Receipt,
    Refused,
    Span,
    decode_receipt,
    encode_receipt,
)
from bridge.transfer.receiptroom import within
from keys import dsse
from tests.support.spools import KEY

CHAIN, DIGEST = "c" * 32, "d" * 64
HIGH = 900_000_000_000
WIDEST = '"\\' * (TEXT_MAX // 2)
"""A text of which each character is written as two."""


def spans(count: int, state: str = "quarantined") -> tuple[Span, ...]:
    """As many runs of two numbers, the widest that there are."""
    firsts = range(HIGH, HIGH + 4 * count, 4)
    return tuple(Span(CHAIN, first, first + 1, state, DIGEST) for first in firsts)


def refusals(count: int, text: str = "", apart: int = 4) -> tuple[Refused, ...]:
    seqs = range(HIGH, HIGH + apart * count, apart)
    return tuple(Refused(seq, 2**31, 599, "too_large", text) for seq in seqs)


def forks(count: int, refused: int, text: str = "") -> tuple[Fork, ...]:
    told = tuple(Refused(HIGH, line, 599, "too_large", text) for line in range(refused))
    return tuple(
        Fork(Span(CHAIN, HIGH, HIGH, "quarantined", f"{n:064d}"), told) for n in range(count)
    )


def receipt(*lanes: LaneReceipt) -> Receipt:
    return Receipt(2**53 - 1, 1_700_000_000_000, "r" * 63, "n" * 63, lanes)


def lane(stream: str, **held: object) -> LaneReceipt:
    nothing = {"spans": (), "refused": (), "missing": (), "in_doubt": 2**53 - 1}
    return LaneReceipt(stream, **{**nothing, **held})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "make",
    [
        lambda stream: lane(stream, spans=spans(SPANS_MAX + 1)),
        lambda stream: lane(stream, spans=spans(9), refused=refusals(REFUSED_MAX + 1)),
        lambda stream: lane(stream, refused=refusals(9000, WIDEST)),
        lambda stream: lane(stream, forks=forks(FORKS_MAX + 1, 20)),
        lambda stream: lane(stream, forks=forks(900, 30, WIDEST)),
    ],
    ids=["spans", "refused", "texts", "forks", "texts of forks"],
)
def test_what_has_room_can_be_read(make: Callable[[str], LaneReceipt]) -> None:
    told = within(receipt(make("a"), make("b"), make("c")))
    payload = encode_receipt(told)
    assert len(dsse.seal(RECEIPT_TYPE, payload, [KEY])) <= RECEIPT_MAX
    assert decode_receipt(payload) == told


def test_what_has_room_is_told_whole() -> None:
    whole = receipt(lane("a", spans=spans(900), refused=refusals(90, "no")), lane("b"))
    assert within(whole) == whole


def test_the_newest_are_told_and_one_more_would_not_have_had_room() -> None:
    whole = spans(SPANS_MAX + 500)
    (told,) = within(receipt(lane("a", spans=whole))).lanes
    assert told.spans == whole[-SPANS_MAX:]


def test_a_short_lane_leaves_its_room_to_a_long_one() -> None:
    short, long = lane("a", spans=spans(10)), lane("b", spans=spans(SPANS_MAX))
    assert within(receipt(long, short)).lanes == (long, short)


def test_a_run_is_told_as_far_as_its_refused_records_are() -> None:
    run = Span(CHAIN, HIGH, HIGH + 4 * REFUSED_MAX, "delivered", DIGEST)
    refused = refusals(REFUSED_MAX + 1)
    (told,) = within(receipt(lane("a", spans=(run,), refused=refused))).lanes
    assert told.refused == refused[1:]
    (cut,) = told.spans
    assert (cut.first, cut.last) == (HIGH + 1, run.last)


def test_a_segment_whose_refused_records_have_no_room_is_not_told_in_part() -> None:
    refused = (
        *(Refused(7, line, 422, "refused") for line in range(REFUSED_MAX)),
        Refused(8, 0, 422, "refused"),
    )
    run = Span(CHAIN, 1, 9, "delivered", DIGEST)
    (told,) = within(receipt(lane("a", spans=(run,), refused=refused))).lanes
    assert ([(s.first, s.last) for s in told.spans], told.refused) == ([(8, 9)], refused[-1:])


def test_answers_of_the_beacon_are_left_out_before_numbers_are() -> None:
    refused = refusals(9000, WIDEST)
    (told,) = within(receipt(lane("a", refused=refused))).lanes
    assert len(told.refused) == len(refused)
    assert {each.text for each in told.refused} == {""}


def test_a_segment_with_more_refused_records_than_any_receipt_holds_hides_nothing_below_it() -> (
    None
):
    refused = tuple(Refused(8, line, 422, "refused") for line in range(REFUSED_MAX + 1))
    runs = tuple(Span(CHAIN, a, b, "delivered", DIGEST) for a, b in ((1, 7), (8, 8), (9, 9)))
    (told,) = within(receipt(lane("a", spans=runs, refused=refused))).lanes
    assert (told.spans, told.refused) == ((runs[0], runs[2]), ())


def test_more_forks_than_a_receipt_holds_hide_no_run_below_them() -> None:
    run = Span(CHAIN, 1, HIGH - 1, "delivered", DIGEST)
    many = forks(FORKS_MAX + 1, 0)
    (told,) = within(receipt(lane("a", spans=(run,), forks=many))).lanes
    assert (told.spans, told.forks) == ((run,), many[1:])


def test_forks_that_fill_a_receipt_leave_half_of_it_to_runs() -> None:
    run = spans(9000)
    (told,) = within(receipt(lane("a", spans=run, forks=forks(900, 60)))).lanes
    assert told.spans == run
    assert told.forks


def test_runs_that_fill_a_receipt_leave_room_to_forks() -> None:
    many = forks(900, 3)
    whole = receipt(lane("a", spans=spans(SPANS_MAX), forks=many))
    assert within(whole, 2_000_000).lanes[0].forks == many


def test_a_fork_with_more_refused_records_than_a_reader_takes_is_not_told() -> None:
    (small,) = forks(1, 1)
    (large,) = forks(1, REFUSED_MAX + 1)
    (told,) = within(receipt(lane("a", forks=(small, large)))).lanes
    assert told.forks == (small,)
