"""The ledger's verbs for whoever sends again on purpose; part of :class:`Ledger`."""

from collections.abc import Iterable, Sequence

from spool import ledger_replay
from spool.lane import Lane
from spool.ledger_batching import Batching
from spool.ledger_replay import Lines
from spool.ledger_spans import need_lane
from spool.states import By


class Replaying(Batching):
    """Every method is one transaction; see :class:`spool.ledger.Ledger`."""

    def give_back(self, lane: Lane, lines: Sequence[Lines], *, by: By) -> None:
        """Let single lines, exceptions all of them, go out again; the others keep their answers.

        Raises :class:`LedgerError` ``ledger.exception`` where one is no exception (any more).
        """
        with self._database.write() as tx:
            row = need_lane(tx, lane)
            for each in lines:
                ledger_replay.give_back(tx, row, each, by)

    def discard(self, lane: Lane, seq: int, lines: Iterable[int], note: str) -> None:
        """Give exceptions of one segment up, after a loss record was sealed that says so.

        ``note`` says why, in place of the beacon's answer, which stays in the audit.

        They count as lost from then on. Raises :class:`LedgerError` ``ledger.exception``.
        """
        with self._database.write() as tx:
            ledger_replay.discard(tx, need_lane(tx, lane), seq, lines, note)
