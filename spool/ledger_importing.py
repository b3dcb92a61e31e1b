"""The ledger's verbs for segments of other nodes; part of :class:`spool.ledger.Ledger`."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from spool import ledger_given_up
from spool.lane import Lane
from spool.ledger_bundles import Bundling
from spool.ledger_db import Transaction
from spool.ledger_elsewhere import Elsewhere, elsewhere, ended_by, note
from spool.ledger_given_up import GivenUp
from spool.ledger_moves import Stretch, found_again
from spool.ledger_spans import Span, lane_id, need_lane, put, span_at, spans
from spool.ranges import Range
from spool.statement import Statement
from spool.states import State
from spool.totals import Totals


class Taken(StrEnum):
    """What a segment is to whoever imports it."""

    NEW = "new"
    AGAIN = "again"
    """Known, and lost here since."""
    DUPLICATE = "duplicate"
    FORK = "fork"


@dataclass(frozen=True, slots=True)
class Arrival:
    """A segment of another node that is to be entered: its place, and what its seal says.

    ``lost`` is what it declares, if it is a loss record, and ``key`` the id of the key that signed it.
    """

    lane: Lane
    seq: int
    digest: str
    chain: str
    prev: str
    before: Totals
    totals: Totals
    lost: Sequence[Range] = ()
    key: str = ""

    @classmethod
    def of(cls, lane: Lane, said: Statement, digest: str, key: str) -> "Arrival":
        """The segment of ``lane`` whose seal says this, has this digest, and is signed by ``key``."""
        place = (lane, said.seq, digest, said.chain, said.prev)
        return cls(*place, said.before, said.totals, said.gave_up, key)


class Importing(Bundling):
    """Every method is one transaction; see :class:`spool.ledger.Ledger`."""

    def taken(self, lane: Lane, seq: int, digest: str) -> Taken:
        """What a segment with this number and digest would be."""
        with self._database.read() as tx:
            return _taken(tx, lane_id(tx, lane), seq, digest)

    def take_in_all(self, arrivals: Iterable[Arrival]) -> list[Taken]:
        """Enter segments whose files are durable, as pending, all or none; what each of them was.

        A duplicate changes nothing, unless it was lost here; a fork is a lane of its own, and the
        number keeps what it had. Numbers may come in any order.
        """
        with self._database.write() as tx:
            return [_take_in(tx, each) for each in arrivals]

    def imported_digest(self, lane: Lane, seq: int) -> str | None:
        """The digest of the segment that was imported with this number; None for one that was not."""
        with self._database.read() as tx:
            row = tx.execute(
                "SELECT digest FROM imported WHERE lane = ? AND seq = ? AND fork = 0",
                (lane_id(tx, lane), seq),
            ).fetchone()
        return None if row is None else str(row[0])

    def imported_after(self, lane: Lane, seq: int, digest: str) -> list[tuple[str, bool]]:
        """What was imported and names segment ``seq`` with this digest before it; whether as a fork."""
        with self._database.read() as tx:
            rows = tx.execute(
                "SELECT digest, fork FROM imported WHERE lane = ? AND seq = ? AND prev = ?",
                (lane_id(tx, lane), seq + 1, digest),
            ).fetchall()
        return [(found, bool(fork)) for found, fork in rows]

    def imported_digests(self, lane: Lane, numbers: Range) -> dict[int, set[str]]:
        """The digests of all that ever came with these numbers, forks among them."""
        found: dict[int, set[str]] = {}
        with self._database.read() as tx:
            rows = tx.execute(
                "SELECT seq, digest FROM imported WHERE lane = ? AND seq BETWEEN ? AND ?",
                (lane_id(tx, lane), numbers.first, numbers.last),
            ).fetchall()
        for seq, digest in rows:
            found.setdefault(seq, set()).add(digest)
        return found

    def forks(self, lane: Lane) -> list[tuple[int, str]]:
        """Number and digest of each fork."""
        with self._database.read() as tx:
            return tx.execute(
                "SELECT seq, digest FROM imported WHERE lane = ? AND fork = 1 ORDER BY seq, digest",
                (lane_id(tx, lane),),
            ).fetchall()

    def unlinked(self, lane: Lane) -> list[int]:
        """The numbers whose predecessor here is not the one that they name."""
        with self._database.read() as tx:
            return _unlinked(tx, lane)

    def unlinked_after(
        self,
        lanes: Iterable[Lane],
        told: Iterable[tuple[Lane, Elsewhere]],
        key: str,
        arrivals: Iterable[Arrival],
    ) -> dict[Lane, list[int]]:
        """What :meth:`unlinked` would say of ``lanes``, had all of this been entered; nothing is.

        ``told`` is what a node says by ``key``, as in :meth:`note_elsewhere`.
        """
        with self._database.tried() as tx:
            for lane, run in told:
                note(tx, need_lane(tx, lane), [run], key)
            for each in arrivals:
                _take_in(tx, each)
            return {lane: _unlinked(tx, lane) for lane in lanes}

    def fork_lanes(self, spool: Path) -> list[Lane]:
        """The lanes of all forks."""
        with self._database.read() as tx:
            rows = tx.execute(
                "SELECT node, stream, fork FROM lane WHERE fork <> '' ORDER BY node, stream, fork"
            ).fetchall()
        return [Lane(spool, *row) for row in rows]

    def pending_lanes(self, spool: Path) -> list[Lane]:
        """The lanes, forks among them, in which something is pending."""
        with self._database.read() as tx:
            rows = tx.execute(
                "SELECT node, stream, fork FROM lane WHERE EXISTS"
                " (SELECT 1 FROM span WHERE span.lane = lane.id AND state = 'pending')"
            ).fetchall()
        return [Lane(spool, *row) for row in rows]

    def given_up(self, lane: Lane) -> list[GivenUp]:
        """What the node of an imported lane gave up, by its loss records that came here."""
        with self._database.read() as tx:
            return ledger_given_up.given_up(tx, lane_id(tx, lane))

    def note_elsewhere(self, lane: Lane, told: Iterable[Elsewhere], key: str) -> None:
        """The node of ``lane`` says, signed by ``key``, that the beacon got these another way."""
        with self._database.write() as tx:
            note(tx, need_lane(tx, lane), told, key)

    def elsewhere(self, lane: Lane, but_by: Collection[str] = ()) -> list[Range]:
        """The numbers of an imported lane that the beacon got another way, by its node's word.

        Without what the keys with the ids ``but_by`` said; an empty one is the key that an earlier
        version of the ledger did not note.
        """
        with self._database.read() as tx:
            return elsewhere(tx, lane_id(tx, lane), but_by)


def _take_in(tx: Transaction, one: Arrival) -> Taken:
    row = need_lane(tx, one.lane)
    found = _taken(tx, row, one.seq, one.digest)
    if found is Taken.DUPLICATE:
        return found
    if found is not Taken.FORK:  # what a fork declares, another machine lost
        ledger_given_up.note(tx, row, one.seq, one.lost, one.key)
    if found is Taken.AGAIN:
        (span,) = spans(tx, row, one.seq, one.seq)
        stretch = Stretch(one.seq, one.seq, one.before, one.before + one.totals)
        found_again(tx, row, span, stretch)
        return found
    unlinked = False
    if found is Taken.NEW:
        before = span_at(tx, row, one.seq - 1)
        held = _held(tx, row, one.seq - 1)
        if before is not None and before.chain == one.chain and held is not None:
            unlinked = held[0] != one.prev
        elif before is None:
            told = ended_by(tx, row, one.chain, one.seq - 1)
            unlinked = bool(told) and one.prev not in told
        after = span_at(tx, row, one.seq + 1)
        next_ = _held(tx, row, one.seq + 1)
        if after is not None and after.chain == one.chain and next_ is not None:
            tx.execute(
                "UPDATE imported SET unlinked = ? WHERE lane = ? AND seq = ? AND fork = 0",
                (next_[1] not in ("", one.digest), row, one.seq + 1),
            )
    tx.execute(
        "INSERT INTO imported (lane, seq, digest, prev, unlinked, fork) VALUES (?, ?, ?, ?, ?, ?)",
        (row, one.seq, one.digest, one.prev, unlinked, found is Taken.FORK),
    )
    span = Span(one.chain, one.seq, one.seq, State.PENDING, one.before, one.totals)
    if found is Taken.FORK:
        row = need_lane(tx, one.lane.fork_of(one.seq, one.digest))
    put(tx, row, span)
    return found


def _unlinked(tx: Transaction, lane: Lane) -> list[int]:
    query = "SELECT seq FROM imported WHERE lane = ? AND unlinked = 1 AND fork = 0 ORDER BY seq"
    return [seq for (seq,) in tx.execute(query, (lane_id(tx, lane),))]


def _held(tx: Transaction, lane: int, seq: int) -> tuple[str, str] | None:
    """Digest and predecessor of the imported segment that has this number."""
    query = "SELECT digest, prev FROM imported WHERE lane = ? AND seq = ? AND fork = 0"
    found: tuple[str, str] | None = tx.execute(query, (lane, seq)).fetchone()
    return found


def _taken(tx: Transaction, lane: int | None, seq: int, digest: str) -> Taken:
    query = "SELECT digest, fork FROM imported WHERE lane = ? AND seq = ?"
    held: dict[str, int] = dict(tx.execute(query, (lane, seq)).fetchall())
    if digest not in held:
        return Taken.FORK if held else Taken.NEW
    assert lane is not None  # noqa: S101 - a lane that nobody knows holds nothing
    lost = not held[digest] and any(span.state is State.LOST for span in spans(tx, lane, seq, seq))
    return Taken.AGAIN if lost else Taken.DUPLICATE
