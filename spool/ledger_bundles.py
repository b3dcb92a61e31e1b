"""The ledger's verbs for bundles that were written; part of :class:`spool.ledger.Ledger`."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from spool.lane import Lane
from spool.ledger_db import Transaction
from spool.ledger_moves import Stretch, move
from spool.ledger_retaining import Retaining
from spool.ledger_spans import lane_id, need_lane, spans
from spool.ledger_withdrawing import withdraw_all
from spool.ranges import Range, shared, without
from spool.states import By, State
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


class Bundling(Retaining):
    """Every method is one transaction; see :class:`spool.ledger.Ledger`."""

    def begin_bundle(
        self, bundle: str, at: int, recipient: str, path: str, parts: Iterable[tuple[Lane, Range]]
    ) -> int:
        """A row for a bundle before its first byte is written; its serial."""
        with self._database.write() as tx:
            added = tx.execute(
                "INSERT INTO bundle (id, at, recipient, path) VALUES (?, ?, ?, ?)",
                (bundle, at, recipient, _told(path)),
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
                (_told(path), size, sha256, serial),
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

    def last_bundle_in(self, folder: str) -> int | None:
        """When the newest bundle was made that was written into ``folder``; ms since 1970 UTC.

        The newest is the last one: a clock that was ahead for a while had others made later.
        Ledgers of before have the folder as the path.
        """
        with self._database.read() as tx:
            row = tx.execute(
                # Of the path, all that follows the last slash is cut off.
                "SELECT at FROM bundle WHERE written = 1"
                " AND (path = :folder OR rtrim(path, replace(path, '/', '')) = :folder || '/')"
                " ORDER BY serial DESC LIMIT 1",
                {"folder": _told(folder)},
            ).fetchone()
        return None if row is None else int(row[0])

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

    def packed_for_others(self, lane: Lane, recipient: str) -> list[Range]:
        """What is exported and not confirmed, in bundles for others, and in none for ``recipient``."""
        with self._database.read() as tx:
            row = lane_id(tx, lane)
            rows = tx.execute(
                "SELECT first, last, recipient = ? FROM bundle_part JOIN bundle USING (serial)"
                " WHERE written = 1 AND lane = ?",
                (recipient, row),
            ).fetchall()
            others = [Range(first, last) for first, last, same in rows if not same]
            if row is None or not others:
                return []
            exported = [
                Range(span.first, span.last)
                for span in spans(tx, row, 1, max(each.last for each in others))
                if span.state is State.EXPORTED
            ]
        ours = [Range(first, last) for first, last, same in rows if same]
        return without(shared(others, exported), ours)

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


def _told(path: str) -> str:
    """``path`` as it is told: SQLite takes no name of bytes that are no UTF-8."""
    return os.fsencode(path).decode(errors="backslashreplace")
