"""Numbers of a lane that a table marks, as stretches apart from each other."""

from dataclasses import dataclass

from spool.ledger_db import Transaction
from spool.ranges import Range


@dataclass(frozen=True, slots=True)
class Marks:
    """The marks in ``table``, a name of our own, which has the columns lane, first and last."""

    table: str

    def within(self, tx: Transaction, lane: int, numbers: Range) -> list[Range]:
        """Stretches of marked numbers that hold any of ``numbers``; they may reach beyond."""
        rows = tx.execute(
            f"SELECT first, last FROM {self.table}"  # noqa: S608 - nothing of it comes from outside
            " WHERE lane = ? AND first <= ? AND last >= ? ORDER BY first",
            (lane, numbers.last, numbers.first),
        )
        return [Range(*row) for row in rows]

    def note(self, tx: Transaction, lane: int, numbers: Range) -> None:
        """Mark ``numbers``."""
        self.forget(tx, lane, numbers)
        self._insert(tx, lane, numbers.first, numbers.last)

    def forget(self, tx: Transaction, lane: int, numbers: Range) -> None:
        """Take the marks off ``numbers``."""
        for held in self.within(tx, lane, numbers):
            tx.execute(
                f"DELETE FROM {self.table} WHERE lane = ? AND first = ?",  # noqa: S608
                (lane, held.first),
            )
            if held.first < numbers.first:
                self._insert(tx, lane, held.first, numbers.first - 1)
            if held.last > numbers.last:
                self._insert(tx, lane, numbers.last + 1, held.last)

    def count(self, tx: Transaction, lane: int) -> int:
        """How many numbers are marked."""
        query = f"SELECT COALESCE(SUM(last - first + 1), 0) FROM {self.table} WHERE lane = ?"  # noqa: S608
        (found,) = tx.execute(query, (lane,)).fetchone()
        return int(found)

    def _insert(self, tx: Transaction, lane: int, first: int, last: int) -> None:
        tx.execute(
            f"INSERT INTO {self.table} (lane, first, last) VALUES (?, ?, ?)",  # noqa: S608
            (lane, first, last),
        )
