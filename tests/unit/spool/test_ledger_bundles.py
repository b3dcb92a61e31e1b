"""What was packed, when, and in how many bundles: retention without receipts goes by it."""

from pathlib import Path

import pytest

from spool.lane import Lane
from spool.ledger import Attempt, By, Ledger, LedgerError, State
from spool.ledger_audit import WITHDRAWN
from spool.ledger_bundles import Written
from spool.ranges import Range
from tests.support.ledgers import (
    NEXT_CHAIN,
    SENT,
    TO,
    fill,
    lane,
    move,
    rows,
    totals,
    whole,
)

P, E, D, Q, L = State
SUM = "0" * 64
Part = tuple[Lane, Range]


@pytest.fixture
def there(tmp_path: Path, ledger: Ledger) -> Lane:
    """Another lane with the same numbers."""
    other = lane(tmp_path, "traces")
    fill(ledger, other, 1, 10)
    return other


def begun(ledger: Ledger, at: int, *parts: Part, to: str = "relay-1") -> int:
    return ledger.begin_bundle(f"{at:032x}", at, to, "/out", parts)


def wrote(ledger: Ledger, at: int, *parts: Part, to: str = "relay-1") -> int:
    serial = begun(ledger, at, *parts, to=to)
    moved = [(of, each, totals(each.first - 1), totals(each.last)) for of, each in parts]
    ledger.end_bundle(serial, f"/out/{at}.agb", at * 10, SUM, moved)
    return serial


def test_a_bundle_is_told_of_once_it_is_written_with_what_it_became(
    ledger: Ledger, here: Lane
) -> None:
    first = begun(ledger, 5, (here, Range(1, 2)))
    second = wrote(ledger, 7, (here, Range(3, 4)))
    assert second > first
    assert ledger.bundles() == [Written(second, f"{7:032x}", 7, "relay-1", "/out/7.agb", 70, SUM)]
    ledger.end_bundle(first, "/out/a.agb", 1, SUM, [])
    assert [each.serial for each in ledger.bundles()] == [first, second]
    assert [each.path for each in ledger.bundles()] == ["/out/a.agb", "/out/7.agb"]


def test_what_is_in_a_bundle_is_told_by_lane_and_ascending(
    ledger: Ledger, here: Lane, there: Lane
) -> None:
    serial = wrote(
        ledger, 1, (there, Range(2, 2)), (here, Range(7, 9)), (here, Range(1, 3)),
    )  # fmt: skip
    wrote(ledger, 2, (here, Range(5, 5)))
    assert ledger.packed(serial) == {
        ("n1", "logs"): [Range(1, 3), Range(7, 9)],
        ("n1", "traces"): [Range(2, 2)],
    }
    assert ledger.packed(serial + 7) == {}


def test_what_is_written_is_exported_and_what_was_answered_meanwhile_is_not(
    ledger: Ledger, here: Lane, there: Lane
) -> None:
    serial = begun(ledger, 1, (here, Range(1, 2)), (here, Range(4, 6)), (there, Range(3, 3)))
    move(ledger, here, (5, 5), (P, D), By.ANSWER)
    parts = [
        (here, Range(1, 2), totals(0), totals(2)),
        (here, Range(4, 6), totals(3), totals(6)),
        (there, Range(3, 3), totals(2), totals(3)),
    ]
    ledger.end_bundle(serial, "/out/a.agb", 1, SUM, parts)
    assert rows(ledger, here) == [(1, 2, E), (3, 4, P), (5, 5, D), (6, 10, P)]
    assert rows(ledger, there) == [(1, 2, P), (3, 3, E), (4, 10, P)]


def test_what_is_packed_again_stays_exported(ledger: Ledger, here: Lane) -> None:
    wrote(ledger, 1, (here, Range(1, 4)))
    wrote(ledger, 2, (here, Range(2, 3)))
    assert rows(ledger, here) == [(1, 4, E), (5, 10, P)]


def test_a_batch_of_what_was_packed_ends_and_others_stay(ledger: Ledger, here: Lane) -> None:
    for numbers, key in [((1, 2), "a"), ((3, 3), "b"), ((4, 4), "c")]:
        ledger.open_batch(here, whole(*numbers), key, Attempt(1, TO, SENT))
    wrote(ledger, 1, (here, Range(2, 3)))
    assert [batch.key for batch in ledger.open_batches(here)] == ["c"]
    assert [row.answer.verdict for row in ledger.audit(0)] == [WITHDRAWN, WITHDRAWN]


def test_a_bundle_of_which_nothing_came_is_forgotten_but_for_its_number(
    ledger: Ledger, here: Lane
) -> None:
    kept = wrote(ledger, 1, (here, Range(1, 1)))
    gone = begun(ledger, 2, (here, Range(2, 2)))
    ledger.drop_bundle(gone)
    assert [each.serial for each in ledger.bundles()] == [kept]
    assert (ledger.packed(kept), ledger.packed(gone)) == ({("n1", "logs"): [Range(1, 1)]}, {})
    assert begun(ledger, 3) == gone + 1


def test_copies_are_counted_by_written_bundles_that_hold_the_number(
    ledger: Ledger, here: Lane, there: Lane
) -> None:
    wrote(ledger, 1, (here, Range(2, 4)))
    wrote(ledger, 2, (here, Range(4, 4)), (there, Range(2, 2)))
    begun(ledger, 3, (here, Range(1, 9)))
    assert [ledger.copies(here, seq) for seq in range(1, 7)] == [0, 1, 1, 2, 0, 0]
    assert [ledger.copies(there, seq) for seq in range(1, 4)] == [0, 1, 0]
    assert ledger.copies(lane(here.spool, "metrics"), 2) == 0


def test_the_oldest_export_that_waits_is_that_of_the_oldest_bundle_with_something_exported(
    ledger: Ledger, here: Lane, there: Lane
) -> None:
    assert ledger.exported_since() is None
    begun(ledger, 1, (here, Range(1, 10)))
    assert ledger.exported_since() is None
    wrote(ledger, 7, (here, Range(3, 5)), (here, Range(8, 8)))
    wrote(ledger, 5, (there, Range(1, 2)))
    assert ledger.exported_since() == 5
    move(ledger, there, (1, 2), (E, D), By.RECEIPT)
    assert ledger.exported_since() == 7
    move(ledger, here, (3, 4), (E, D), By.RECEIPT)
    move(ledger, here, (8, 8), (E, D), By.RECEIPT)
    assert ledger.exported_since() == 7  # 5 is its last number
    move(ledger, here, (5, 5), (E, D), By.RECEIPT)
    assert ledger.exported_since() is None


@pytest.mark.parametrize("numbers", [Range(1, 2), Range(2, 2), Range(2, 3), Range(1, 3)])
def test_what_touches_a_bundle_at_either_end_waits_with_it(
    ledger: Ledger, here: Lane, numbers: Range
) -> None:
    begun(ledger, 1, (here, numbers))  # not written: it tells nothing
    wrote(ledger, 2, (here, numbers))
    for seq in range(numbers.first, numbers.last + 1):
        if seq != 2:
            move(ledger, here, (seq, seq), (E, D), By.RECEIPT)
    assert ledger.exported_since() == 2


def test_what_others_are_to_bring_is_exported_for_them_and_not_confirmed_and_not_packed_for_one(
    ledger: Ledger, here: Lane, there: Lane
) -> None:
    assert ledger.packed_for_others(lane(here.spool, "metrics"), "relay-1") == []
    wrote(ledger, 1, (here, Range(1, 4)))
    wrote(ledger, 2, (here, Range(6, 8)), (there, Range(2, 2)), to="relay-2")
    wrote(ledger, 3, (here, Range(2, 2)), to="relay-2")
    begun(ledger, 4, (here, Range(9, 9)))
    move(ledger, here, (4, 4), (E, D), By.RECEIPT)
    move(ledger, here, (7, 7), (E, P), By.REPLAY)
    assert ledger.packed_for_others(here, "relay-2") == [Range(1, 1), Range(3, 3)]
    assert ledger.packed_for_others(here, "relay-1") == [Range(6, 6), Range(8, 8)]
    assert ledger.packed_for_others(here, "relay-3") == [
        Range(1, 3), Range(6, 6), Range(8, 8),
    ]  # fmt: skip
    assert ledger.packed_for_others(there, "relay-1") == [Range(2, 2)]
    assert ledger.packed_for_others(there, "relay-2") == []
    move(ledger, here, (2, 3), (E, D), By.RECEIPT)
    assert ledger.packed_for_others(here, "relay-2") == [Range(1, 1)]


def test_sums_that_are_not_the_chains_leave_the_bundle_unwritten(
    ledger: Ledger, here: Lane
) -> None:
    serial = begun(ledger, 1, (here, Range(1, 2)))
    with pytest.raises(LedgerError) as caught:
        ledger.end_bundle(serial, "/a", 1, SUM, [(here, Range(1, 2), totals(1), totals(2))])
    assert caught.value.id == "ledger.totals"
    assert ledger.bundles() == []
    assert rows(ledger, here) == [(1, 10, P)]


def test_a_stretch_over_the_end_of_a_chain_is_left_as_it_is(ledger: Ledger, here: Lane) -> None:
    fill(ledger, here, 11, 12, NEXT_CHAIN)
    wrote(ledger, 1, (here, Range(10, 11)))
    assert {state for _, _, state in rows(ledger, here)} == {P}
