"""How large the next request may be, after what became of those before."""

from bridge.egress.requestsize import GROW_AFTER, LEAST, RequestSize

MIB = 1 << 20


def test_what_was_too_large_is_halved_and_never_grows_by_a_smaller_refusal() -> None:
    size = RequestSize(4 * MIB)
    assert size.now == 4 * MIB
    size.too_large(4 * MIB)
    assert size.now == 2 * MIB
    # The halves of the first one are refused as well, one after the other.
    size.too_large(2 * MIB)
    size.too_large(2 * MIB)
    assert size.now == MIB


def test_it_ends_at_the_least_or_at_what_is_configured() -> None:
    for most, least in ((4 * MIB, LEAST), (1000, 1000)):
        size = RequestSize(most)
        for _ in range(50):
            size.too_large(size.now)
        assert size.now == least


def test_it_grows_after_many_that_nearly_filled_it_and_not_by_small_ones() -> None:
    size = RequestSize(4 * MIB)
    size.too_large(4 * MIB)
    for _ in range(10 * GROW_AFTER):
        size.taken(100)
    assert size.now == 2 * MIB
    for _ in range(GROW_AFTER - 1):
        size.taken(2 * MIB - 500)
    assert size.now == 2 * MIB
    size.taken(2 * MIB)
    assert size.now == 4 * MIB
    size.taken(4 * MIB)
    assert size.now == 4 * MIB
