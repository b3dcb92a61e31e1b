"""Numbers of an imported lane that its node gave up and says so, by loss records that came here.

They never come, and are no gap. With each stands the loss record's number and the key that signed it:
it counts as long as that key does. Loss records are pruned; what they said is not.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from spool.ledger_db import Transaction
from spool.ranges import Range


@dataclass(frozen=True, slots=True)
class GivenUp:
    """What the loss record with the number ``seq`` says of ``numbers`` below it, signed by ``key``."""

    seq: int
    numbers: Range
    key: str


def note(tx: Transaction, lane: int, seq: int, lost: Iterable[Range], key: str) -> None:
    """Enter what the loss record with the number ``seq`` says; the same again changes nothing."""
    tx.executemany(
        "INSERT OR IGNORE INTO given_up (lane, seq, first, last, told_by) VALUES (?, ?, ?, ?, ?)",
        [(lane, seq, each.first, each.last, key) for each in lost if each.last < seq],
    )


def given_up(tx: Transaction, lane: int | None) -> list[GivenUp]:
    """All of it, in the order of the loss records."""
    rows = tx.execute(
        "SELECT seq, first, last, told_by FROM given_up WHERE lane = ? ORDER BY seq, first", (lane,)
    )
    return [GivenUp(seq, Range(first, last), key) for seq, first, last, key in rows]
