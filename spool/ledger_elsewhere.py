"""Numbers of an imported lane that its node sent to the beacon itself, by the node's word.

They never come here, and are no gap. The next segment has to name the digest of the last of them.
With each run stands the key that signed it: it counts as long as that key does.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from spool.ledger_db import Transaction
from spool.ranges import Range, join_ranges


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Adjacent numbers of one chain; ``digest`` is that of the last."""

    chain: str
    first: int
    last: int
    digest: str


def note(tx: Transaction, lane: int, told: Iterable[Elsewhere], key: str) -> None:
    """Enter what a node tells by ``key``; it may tell the same again, and more, in any order."""
    for each in told:
        tx.execute(
            "DELETE FROM elsewhere"
            " WHERE lane = ? AND chain = ? AND first >= ? AND last < ? AND told_by = ?",
            (lane, each.chain, each.first, each.last, key),
        )
        tx.execute(
            "INSERT OR REPLACE INTO elsewhere (lane, chain, first, last, digest, told_by)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (lane, each.chain, each.first, each.last, each.digest, key),
        )
        # What came before may name another predecessor; where its own is here, that was judged.
        tx.execute(
            "UPDATE imported SET unlinked = 1 WHERE lane = ?1 AND seq = ?2 + 1 AND fork = 0"
            " AND prev NOT IN ('', ?3)"
            " AND EXISTS (SELECT 1 FROM span WHERE lane = ?1 AND chain = ?4"
            " AND ?2 + 1 BETWEEN first AND last)"
            " AND NOT EXISTS (SELECT 1 FROM imported WHERE lane = ?1 AND seq = ?2 AND fork = 0)",
            (lane, each.last, each.digest, each.chain),
        )


def elsewhere(tx: Transaction, lane: int | None, but_by: Collection[str]) -> list[Range]:
    """All of them, joined; not what the keys with the ids ``but_by`` told."""
    rows = tx.execute("SELECT first, last, told_by FROM elsewhere WHERE lane = ?", (lane,))
    return join_ranges(Range(first, last) for first, last, key in rows if key not in but_by)


def ended_by(tx: Transaction, lane: int, chain: str, last: int) -> list[str]:
    """The digests that a run with this ``last`` number was told to end with."""
    query = "SELECT digest FROM elsewhere WHERE lane = ? AND chain = ? AND last = ?"
    return [digest for (digest,) in tx.execute(query, (lane, chain, last))]
