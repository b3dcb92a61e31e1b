"""What goes to the beacon a second time on purpose, from the wish to the answer.

It took these segments once. That it counts none of them as new at the second time is right, and no
difference that anybody has to look into.
"""

from spool.ledger_db import Transaction
from spool.ranges import Range


def again(tx: Transaction, lane: int, within: Range) -> list[Range]:
    """The numbers ``within`` that go a second time, as stretches that may reach beyond."""
    rows = tx.execute(
        "SELECT first, last FROM again WHERE lane = ? AND first <= ? AND last >= ? ORDER BY first",
        (lane, within.last, within.first),
    )
    return [Range(*row) for row in rows]


def note(tx: Transaction, lane: int, numbers: Range) -> None:
    """From now on ``numbers`` go a second time."""
    forget(tx, lane, numbers)
    _insert(tx, lane, numbers.first, numbers.last)


def forget(tx: Transaction, lane: int, numbers: Range) -> None:
    """What became of ``numbers`` is known."""
    for held in again(tx, lane, numbers):
        tx.execute("DELETE FROM again WHERE lane = ? AND first = ?", (lane, held.first))
        if held.first < numbers.first:
            _insert(tx, lane, held.first, numbers.first - 1)
        if held.last > numbers.last:
            _insert(tx, lane, numbers.last + 1, held.last)


def _insert(tx: Transaction, lane: int, first: int, last: int) -> None:
    tx.execute("INSERT INTO again (lane, first, last) VALUES (?, ?, ?)", (lane, first, last))
