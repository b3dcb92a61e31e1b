"""The ledger's verbs for bundles and receipts; part of :class:`spool.ledger.Ledger`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from spool.lane import Lane
from spool.ledger_audit import RecordException, write_exceptions
from spool.ledger_bounds import Bounds
from spool.ledger_db import Transaction
from spool.ledger_moves import Stretch, found_again, move
from spool.ledger_retaining import Retaining
from spool.ledger_spans import Span, lane_id, need_lane, put, span_at, spans
from spool.ledger_withdrawing import withdraw_all
from spool.ranges import Range
from spool.statement import Statement
from spool.states import By, State, may_move
from spool.totals import Totals


@dataclass(frozen=True, slots=True)
class Written:
    """A bundle that was written; times in ms since 1970 UTC."""

    serial: int
    id: str
    at: int
    recipient: str
    path: str
    size: int
    sha256: str


Packed = dict[tuple[str, str], list[Range]]
"""The numbers of the segments in a bundle, by node and stream."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A receipt of a relay: its serial, and when the relay made it, ms since 1970 UTC.

    Both are 0 before the first.
    """

    serial: int = 0
    made_at: int = 0


class Taken(StrEnum):
    """What a segment is to whoever imports it."""

    NEW = "new"
    AGAIN = "again"
    """Known, and lost here since."""
    DUPLICATE = "duplicate"
    FORK = "fork"


def read_bundles(tx: Transaction) -> list[Written]:
    """Every bundle that was written, oldest first."""
    rows = tx.execute(
        "SELECT serial, id, at, recipient, path, size, sha256 FROM bundle"
        " WHERE written = 1 ORDER BY serial"
    )
    return [Written(*row) for row in rows]


def read_packed(tx: Transaction, serial: int) -> Packed:
    """The numbers in a bundle, by node and stream."""
    found: Packed = {}
    rows = tx.execute(
        "SELECT node, stream, first, last FROM bundle_part JOIN lane ON lane.id = lane"
        " WHERE serial = ? ORDER BY node, stream, first",
        (serial,),
    )
    for node, stream, first, last in rows:
        found.setdefault((node, stream), []).append(Range(first, last))
    return found


@dataclass(frozen=True, slots=True)
class Arrival:
    """A segment of another node that is to be entered: its place, and what its seal says."""

    lane: Lane
    seq: int
    digest: str
    chain: str
    prev: str
    before: Totals
    totals: Totals

    @classmethod
    def of(cls, lane: Lane, said: Statement, digest: str) -> "Arrival":
        """The segment of ``lane`` whose seal says this, and has this digest."""
        return cls(lane, said.seq, digest, said.chain, said.prev, said.before, said.totals)


class Transferring(Retaining):
    """Every method is one transaction; see :class:`spool.ledger.Ledger`."""

    def begin_bundle(
        self, bundle: str, at: int, recipient: str, path: str, parts: Iterable[tuple[Lane, Range]]
    ) -> int:
        """A row for a bundle before its first byte is written; its serial."""
        with self._database.write() as tx:
            added = tx.execute(
                "INSERT INTO bundle (id, at, recipient, path) VALUES (?, ?, ?, ?)",
                (bundle, at, recipient, path),
            )
            serial = added.lastrowid
            assert serial is not None  # noqa: S101 - a row was added
            for lane, numbers in parts:
                tx.execute(
                    "INSERT INTO bundle_part (serial, lane, first, last) VALUES (?, ?, ?, ?)",
                    (serial, need_lane(tx, lane), numbers.first, numbers.last),
                )
        return serial

    def end_bundle(
        self,
        serial: int,
        path: str,
        size: int,
        sha256: str,
        parts: Sequence[tuple[Lane, Range, Totals, Totals]],
    ) -> None:
        """The bundle is on its medium at ``path``: what of it is pending becomes exported.

        ``parts`` are stretches with the chain's totals before and after them, each of which was
        wholly pending or exported; what was answered meanwhile stays what it is.
        """
        with self._database.write() as tx:
            for lane, numbers, before, after in parts:
                row = need_lane(tx, lane)
                withdraw_all(tx, row, numbers)
                found = spans(tx, row, numbers.first, numbers.last)
                if len(found) == 1 and found[0].state is State.PENDING:
                    stretch = Stretch(numbers.first, numbers.last, before, after)
                    move(tx, row, stretch, (State.PENDING, State.EXPORTED), By.EXPORT)
            tx.execute(
                "UPDATE bundle SET written = 1, path = ?, size = ?, sha256 = ? WHERE serial = ?",
                (path, size, sha256, serial),
            )

    def drop_bundle(self, serial: int) -> None:
        """Nothing came of a bundle; its number is not given again."""
        with self._database.write() as tx:
            tx.execute("DELETE FROM bundle_part WHERE serial = ?", (serial,))
            tx.execute("DELETE FROM bundle WHERE serial = ?", (serial,))

    def bundles(self) -> list[Written]:
        """Every bundle that was written, oldest first."""
        with self._database.read() as tx:
            return read_bundles(tx)

    def packed(self, serial: int) -> Packed:
        """The numbers in a bundle, by node and stream."""
        with self._database.read() as tx:
            return read_packed(tx, serial)

    def copies(self, lane: Lane, seq: int) -> int:
        """In how many written bundles segment ``seq`` is."""
        with self._database.read() as tx:
            (count,) = tx.execute(
                "SELECT COUNT(*) FROM bundle_part JOIN bundle USING (serial)"
                " WHERE written = 1 AND lane = ? AND ? BETWEEN first AND last",
                (lane_id(tx, lane), seq),
            ).fetchone()
        return int(count)

    def exported_since(self) -> int | None:
        """When the oldest bundle was made of which something is exported still; ms since 1970 UTC."""
        with self._database.read() as tx:
            (at,) = tx.execute(
                "SELECT MIN(bundle.at) FROM bundle JOIN bundle_part USING (serial)"
                " JOIN span ON span.lane = bundle_part.lane AND span.state = 'exported'"
                " AND span.first <= bundle_part.last AND span.last >= bundle_part.first"
                " WHERE written = 1"
            ).fetchone()
        return None if at is None else int(at)

    def taken(self, lane: Lane, seq: int, digest: str) -> Taken:
        """What a segment with this number and digest would be."""
        with self._database.read() as tx:
            return _taken(tx, lane_id(tx, lane), seq, digest)

    def take_in_all(self, arrivals: Iterable[Arrival]) -> list[Taken]:
        """Enter segments whose files are durable, as pending, all or none; what each of them was.

        A duplicate changes nothing, unless it was lost here; a fork is a lane of its own, and the
        number keeps what it had. Numbers may come in any order. Raises :class:`LedgerError`
        ``ledger.totals``.
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
            rows = tx.execute(
                "SELECT seq FROM imported WHERE lane = ? AND unlinked = 1 AND fork = 0 ORDER BY seq",
                (lane_id(tx, lane),),
            ).fetchall()
        return [seq for (seq,) in rows]

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
        are the chain's totals around ``numbers``, which are in one state.
        """
        with self._database.write() as tx:
            row = need_lane(tx, lane)
            found = spans(tx, row, numbers.first, numbers.last)
            if len(found) != 1 or not may_move(found[0].state, target, By.RECEIPT):
                return 0
            withdraw_all(tx, row, numbers)
            stretch = Stretch(numbers.first, numbers.last, before, after)
            move(tx, row, stretch, (found[0].state, target), By.RECEIPT)
            for each in exceptions:
                bounds = Bounds(found[0].chain, each.seq, each.line, each.seq, each.line + 1)
                write_exceptions(tx, row, bounds, [each])
        return len(numbers)

    def note_receipt(
        self, relay: str, serial: int, at: int, missing: Iterable[tuple[Lane, Range]]
    ) -> None:
        """A receipt that was made at ``at`` was applied; ``missing`` are numbers that it asks for."""
        with self._database.write() as tx:
            tx.execute(
                "INSERT INTO receipt (peer, made, serial, at) VALUES (?, 0, ?, ?)"
                " ON CONFLICT DO UPDATE SET serial = excluded.serial, at = excluded.at",
                (relay, serial, at),
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


def _take_in(tx: Transaction, one: Arrival) -> Taken:
    row = need_lane(tx, one.lane)
    found = _taken(tx, row, one.seq, one.digest)
    if found is Taken.DUPLICATE:
        return found
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
