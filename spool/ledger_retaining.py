"""The ledger's verbs for retention: what must stay, what is given up, the end of old audit rows.

Part of :class:`spool.ledger.Ledger`.
"""

from dataclasses import dataclass

from spool.lane import Lane
from spool.ledger_audit import DISCARDED
from spool.ledger_batches import open_batches
from spool.ledger_db import Transaction
from spool.ledger_moves import Stretch, move
from spool.ledger_replaying import Replaying
from spool.ledger_spans import lane_id, need_lane
from spool.ranges import Range
from spool.states import By, State
from spool.totals import Totals

FORGOTTEN_AT_ONCE = 10_000
"""Rows that one transaction deletes: others wait for it."""


@dataclass(frozen=True, slots=True)
class Undeclared:
    """Numbers that were given up, and whose loss may not be declared yet.

    A loss record of theirs, which says ``why``, stands above the number ``above``, or nowhere.
    """

    numbers: Range
    held: Totals
    above: int
    why: str


class Retaining(Replaying):
    """Every method is one transaction; see :class:`spool.ledger.Ledger`."""

    def worked_on(self, lane: Lane) -> list[Range]:
        """The segments in a batch, with some lines answered, or with an exception left to a person."""
        with self._database.read() as tx:
            row = lane_id(tx, lane)
            return [] if row is None else _worked_on(tx, row)

    def give_up(
        self, lane: Lane, what: Undeclared, source: State, *, before: Totals, after: Totals
    ) -> bool:
        """Move ``what`` from ``source`` to lost, its loss still to be declared.

        ``before`` and ``after`` are the chain's totals around it. False, and nothing is moved, where a
        request has come to carry some of it.

        Raises :class:`LedgerError` ``ledger.illegal_move``, ``ledger.state`` or ``ledger.totals``.
        """
        first, last = what.numbers.first, what.numbers.last
        with self._database.write() as tx:
            row = need_lane(tx, lane)
            if any(r.first <= last and first <= r.last for r in _worked_on(tx, row)):
                return False
            move(tx, row, Stretch(first, last, before, after), (source, State.LOST), By.LOSS)
            tx.execute(
                "INSERT INTO undeclared (lane, first, last, records, raw_size, above, why)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (row, first, last, what.held.records, what.held.raw_size, what.above, what.why),
            )
        return True

    def undeclared(self, lane: Lane) -> list[Undeclared]:
        """What was given up, and whose loss nobody has noted as declared."""
        with self._database.read() as tx:
            query = (
                "SELECT first, last, records, raw_size, above, why FROM undeclared WHERE lane = ?"
            )
            rows = tx.execute(query, (lane_id(tx, lane),)).fetchall()
        return [
            Undeclared(Range(first, last), Totals(records, raw_size), above, why)
            for first, last, records, raw_size, above, why in rows
        ]

    def declared(self, lane: Lane, numbers: Range) -> None:
        """The loss of ``numbers`` is declared."""
        with self._database.write() as tx:
            row = lane_id(tx, lane)
            tx.execute("DELETE FROM undeclared WHERE lane = ? AND first = ?", (row, numbers.first))

    def forget_audit(self, before: int) -> int:
        """Delete audit rows older than ``before`` (ms), some at a time; how many went.

        The newest row stays, so that no id comes twice.
        """
        with self._database.write() as tx:
            gone = tx.execute(
                "DELETE FROM audit WHERE id IN (SELECT id FROM (SELECT id, at FROM audit"
                " WHERE id < (SELECT MAX(id) FROM audit) ORDER BY id LIMIT ?) WHERE at < ?)",
                (FORGOTTEN_AT_ONCE, before),
            )
        return gone.rowcount


def _worked_on(tx: Transaction, lane: int) -> list[Range]:
    found = [
        Range(batch.bounds.first_seq, batch.bounds.last_seq) for batch in open_batches(tx, lane)
    ]
    for (seq,) in tx.execute(
        "SELECT seq FROM answered WHERE lane = ?"
        " UNION SELECT seq FROM exception WHERE lane = ? AND verdict != ?",
        (lane, lane, DISCARDED),
    ):
        found.append(Range(seq, seq))
    return found
