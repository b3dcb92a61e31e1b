"""A ledger that is damaged while it is in use: the daemon ends, and the next start makes it anew."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from spool.clock import SYSTEM_CLOCK
from spool.errors import SpoolError
from spool.ledger import Ledger, State
from tests.support.judging import judging
from tests.support.sending import fill, running_engine
from tests.support.spools import wait_until

pytestmark = pytest.mark.enable_socket


def damage(spool: Path, table: str) -> None:
    """Its first page is none any more, on the disk and for all who have it open."""
    path = spool / "ledger.db"
    with closing(sqlite3.connect(path)) as found:
        found.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (size,) = found.execute("PRAGMA page_size").fetchone()
        query = "SELECT rootpage FROM sqlite_master WHERE name = ?"
        (page,) = found.execute(query, (table,)).fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)


def test_a_lane_that_meets_a_damaged_ledger_ends_the_daemon_that_a_new_start_mends(
    tmp_path: Path,
) -> None:
    fill(tmp_path, "langgraph", 1, 1)
    with (
        judging(lambda _: (200, b"{}")) as (url, taken),
        running_engine(tmp_path, url) as running,
    ):
        wait_until(lambda: running.ledger.counts()[0].records[State.DELIVERED] == 1)
        damage(tmp_path, "batch")
        fill(tmp_path, "langgraph", 1, 1)
        running.engine.wake()
        wait_until(lambda: running.engine.broken is not None)
        assert isinstance(running.engine.broken, SpoolError)
        assert running.engine.broken.id == "ledger.corrupt"
        assert len(taken) == 1
    with Ledger.open(tmp_path, clock=SYSTEM_CLOCK) as ledger:
        assert ledger.fresh
