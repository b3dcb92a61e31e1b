"""Which windows overlap, against the plain comparison of all with all."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from bridge.intake.windows import Windows

BEGINNING = datetime(1969, 12, 31, 23, tzinfo=UTC)
SPANS = st.tuples(st.sampled_from([b"a", b"b"]), st.integers(0, 30), st.integers(-2, 12))
Span = tuple[bytes, int, int]


def _times(span: Span) -> tuple[bytes, datetime, datetime]:
    who, begin, length = span
    at = BEGINNING + timedelta(minutes=10 * begin)
    return who, at, at + timedelta(minutes=10 * length)


def _overlap(one: Span, two: Span) -> bool:
    (who, begin, length), (other, first, size) = one, two
    # A microsecond, where there is no length, reaches into whatever is there.
    end, last = begin + max(length, 0.5), first + max(size, 0.5)
    return who == other and begin < last and first < end


@given(st.lists(SPANS, max_size=20), st.lists(SPANS, max_size=8))
def test_every_window_that_overlaps_is_told_once_and_no_other(
    added: list[Span], shown: list[Span]
) -> None:
    windows = Windows()
    for number, span in enumerate(added):
        windows.add(*_times(span), b"%016d" % number)
    found = [int(key) for span in shown for key in windows.overlapping(*_times(span))]
    expected = [n for n, span in enumerate(added) if any(_overlap(span, other) for other in shown)]
    assert sorted(found) == expected
