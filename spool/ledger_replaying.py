"""The ledger's verbs for whoever sends again on purpose; part of :class:`Ledger`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from spool import ledger_replay, ledger_seen
from spool.lane import Lane
from spool.ledger_batching import Batching
from spool.ledger_db import Transaction
from spool.ledger_replay import Lines
from spool.ledger_seen import Seen
from spool.ledger_spans import need_lane
from spool.ranges import Range
from spool.states import By, State


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

    def unseen(
        self, lanes: Mapping[Lane, Sequence[Range] | None], state: State, at: int, note: str
    ) -> list[Seen]:
        """What :meth:`see` would enter; nothing is changed."""
        with self._database.read() as tx:
            return [act for _, act in _unseen(tx, lanes, state, at, note)]

    def see(
        self, lanes: Mapping[Lane, Sequence[Range] | None], state: State, at: int, note: str
    ) -> list[Seen]:
        """A person has seen, for the reason in ``note``, what is ``lost`` now of ``lanes``.

        Of each lane within the numbers that it is given with, all if None. For ``state`` ``delivered``
        it is what the beacon's own count lacked, which no numbers tell. What was seen before is not
        entered again; no segment or record is changed.
        """
        with self._database.write() as tx:
            found = []
            for lane, act in _unseen(tx, lanes, state, at, note):
                ledger_seen.see(tx, lane, act)
                found.append(act)
        return found

    def seen(self, since: int = 0) -> list[Seen]:
        """Every such act from ``since`` (ms since 1970 UTC) on, oldest first."""
        with self._database.read() as tx:
            return ledger_seen.read_seen(tx, since)


def _unseen(
    tx: Transaction,
    lanes: Mapping[Lane, Sequence[Range] | None],
    state: State,
    at: int,
    note: str,
) -> Iterator[tuple[Lane, Seen]]:
    for lane, within in lanes.items():
        if state is State.LOST:
            acts = ledger_seen.unseen_lost(tx, lane, within, at, note)
        else:
            acts = ledger_seen.unseen_partial(tx, lane, at, note)
        yield from ((lane, act) for act in acts)
