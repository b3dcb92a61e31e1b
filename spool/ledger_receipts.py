"""The ledger's verbs for receipts, made and heard; part of :class:`spool.ledger.Ledger`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from spool.lane import Lane
from spool.ledger_audit import DISCARDED, RecordException, write_exceptions
from spool.ledger_bounds import Bounds
from spool.ledger_importing import Importing
from spool.ledger_moves import Stretch, move
from spool.ledger_spans import lane_id, need_lane, span_at, spans
from spool.ledger_withdrawing import withdraw_all
from spool.ranges import Range
from spool.states import By, State, may_move
from spool.totals import Totals


@dataclass(frozen=True, slots=True)
class Heard:
    """A receipt of a relay: its serial, and when the relay made it, ms since 1970 UTC.

    Both are 0 before the first.
    """

    serial: int = 0
    made_at: int = 0


class Receipts(Importing):
    """Every method is one transaction; see :class:`spool.ledger.Ledger`."""

    def next_receipt(self, node: str, at: int) -> int:
        """The serial of a receipt that is made for ``node``."""
        return self._count_receipt(node, at, made=True)

    def newest_receipt(self, relay: str) -> Heard:
        """The newest receipt of ``relay`` that was applied."""
        with self._database.read() as tx:
            row = tx.execute(
                "SELECT serial, at FROM receipt WHERE peer = ? AND made = 0", (relay,)
            ).fetchone()
        return Heard() if row is None else Heard(*row)

    def accepts(self, relay: str) -> frozenset[str]:
        """The formats that ``relay`` said it reads, with the newest receipt; none before the first."""
        with self._database.read() as tx:
            row = tx.execute(
                "SELECT accepts FROM receipt WHERE peer = ? AND made = 0", (relay,)
            ).fetchone()
        return frozenset() if row is None else frozenset(row[0].split())

    def _count_receipt(self, peer: str, at: int, *, made: bool) -> int:
        with self._database.write() as tx:
            tx.execute(
                "INSERT INTO receipt (peer, made, serial, at) VALUES (?, ?, 1, ?)"
                " ON CONFLICT DO UPDATE SET serial = serial + 1, at = excluded.at",
                (peer, made, at),
            )
            (serial,) = tx.execute(
                "SELECT serial FROM receipt WHERE peer = ? AND made = ?", (peer, made)
            ).fetchone()
        return int(serial)

    def confirm(
        self,
        lane: Lane,
        numbers: Range,
        target: State,
        *,
        before: Totals,
        after: Totals,
        exceptions: Sequence[RecordException] = (),
    ) -> int:
        """A relay's word on segments of ours; how many of them it moved.

        What may not move by a receipt stays as it is: delivered is final. ``before`` and ``after``
        are the chain's totals around ``numbers``, which are in one state; ``exceptions`` are records of
        theirs. Raises :class:`LedgerError` ``ledger.totals`` or ``ledger.exception``.
        """
        with self._database.write() as tx:
            row = need_lane(tx, lane)
            found = spans(tx, row, numbers.first, numbers.last)
            if len(found) != 1 or not may_move(found[0].state, target, By.RECEIPT):
                return 0
            withdraw_all(tx, row, numbers)
            stretch = Stretch(numbers.first, numbers.last, before, after)
            move(tx, row, stretch, (found[0].state, target), By.RECEIPT)
            bounds = Bounds(found[0].chain, numbers.first, 0, numbers.last + 1, 0)
            write_exceptions(tx, row, bounds, exceptions)
        return len(numbers)

    def taken_since(self, lane: Lane, lines: Iterable[tuple[int, int]]) -> int:
        """A relay's newer word: these records, by number and line, were refused, and taken since.

        How many were exceptions of delivered segments until now; what was given up stays so.
        """
        count = 0
        with self._database.write() as tx:
            row = need_lane(tx, lane)
            for seq, line in lines:
                span = span_at(tx, row, seq)
                if span is not None and span.state is State.DELIVERED:
                    count += tx.execute(
                        "DELETE FROM exception WHERE lane = ? AND seq = ? AND line = ?"
                        " AND verdict != ?",
                        (row, seq, line, DISCARDED),
                    ).rowcount
        return count

    def note_receipt(
        self,
        relay: str,
        serial: int,
        at: int,
        missing: Iterable[tuple[Lane, Range]],
        accepts: Iterable[str] = (),
    ) -> None:
        """A receipt that was made at ``at`` was applied.

        ``missing`` are numbers that it asks for, ``accepts`` the formats that its relay reads.
        """
        with self._database.write() as tx:
            tx.execute(
                "INSERT INTO receipt (peer, made, serial, at, accepts) VALUES (?, 0, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET serial = excluded.serial, at = excluded.at,"
                " accepts = excluded.accepts",
                (relay, serial, at, " ".join(accepts)),
            )
            tx.execute("DELETE FROM missing WHERE peer = ?", (relay,))
            for lane, numbers in missing:
                tx.execute(
                    "INSERT INTO missing (peer, lane, first, last) VALUES (?, ?, ?, ?)",
                    (relay, need_lane(tx, lane), numbers.first, numbers.last),
                )

    def missing(self, lane: Lane) -> list[Range]:
        """The numbers that some relay asks for."""
        with self._database.read() as tx:
            rows = tx.execute(
                "SELECT DISTINCT first, last FROM missing WHERE lane = ? ORDER BY first",
                (lane_id(tx, lane),),
            ).fetchall()
        return [Range(*row) for row in rows]
