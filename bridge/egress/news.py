"""What is new in the lanes of a spool, told to the ledger: by the durable heads alone."""

from collections.abc import Iterator
from pathlib import Path

from spool.discovery import discover, news_mark
from spool.lane import Lane, lanes
from spool.ledger import Ledger


class News:
    """Remembers the heads that it saw; for one thread at a time."""

    def __init__(self, spool: Path, ledger: Ledger) -> None:
        self._spool = spool
        self._ledger = ledger
        self._seen: dict[Lane, tuple[int, int] | None] = {}
        self._ledger_seen: object = None

    def changed(self) -> bool:
        """Whether there may be news since the last look, in the lanes of then or in the ledger.

        Raises :class:`OSError`.
        """
        return self._ledger.mark() != self._ledger_seen or any(
            news_mark(lane) != mark for lane, mark in self._seen.items()
        )

    def lanes(self) -> Iterator[Lane]:
        """Every lane there is, forks among them; a look begins."""
        self._ledger_seen = self._ledger.mark()
        yield from lanes(self._spool)
        yield from self._ledger.fork_lanes(self._spool)

    def may_be_in(self, lane: Lane) -> bool:
        """Whether there may be news: its head is another one than at the last look, or it has none."""
        mark = news_mark(lane)
        return mark is None or self._seen.get(lane) != mark

    def look(self, lane: Lane) -> bool:
        """Tell the ledger what is new; whether anything was. Raises as :func:`discover` does."""
        mark = news_mark(lane)
        found = not lane.fork and discover(self._ledger, lane)
        self._seen[lane] = mark
        return found
