"""A ledger that was put aside still tells what it knew of what left."""

import shutil
from pathlib import Path

import pytest

from spool.clock import SYSTEM_CLOCK
from spool.errors import SpoolError
from spool.ledger import Ledger
from spool.ledger_kept import kept_audit, kept_bundles, kept_ledgers
from tests.support.ledgers import answer, fill, lane, sums, whole

NOON = "2026-11-24T12:00:00.000Z"


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    here = lane(tmp_path)
    with Ledger.open(tmp_path, clock=SYSTEM_CLOCK) as ledger:
        fill(ledger, here, 1, 10)
        for seq in (1, 2, 3):
            batch = ledger.open_batch(here, whole(seq, seq), f"key-{seq}")
            ledger.settle(batch.id, answer(10), sums(seq, seq))
    path = tmp_path / f"ledger.db.{NOON}.bad"
    shutil.copy(tmp_path / "ledger.db", path)
    return path


def test_ledgers_that_were_put_aside_are_found_oldest_first_and_nothing_else_is(
    kept: Path,
) -> None:
    older = kept.with_name("ledger.db.2025-11-24T12:00:00.000Z.bad")
    for other in (older, kept.with_name(f"{kept.name}-wal"), kept.with_name("ledger.db.bad")):
        other.touch()
    assert kept_ledgers(kept.parent) == [older, kept]


def test_a_kept_ledger_tells_every_answer_from_a_time_on(kept: Path) -> None:
    assert [row.key for row in kept_audit(kept)] == ["key-1", "key-2", "key-3"]
    assert [row.answer for row in kept_audit(kept, 1_000)] == [answer(10)] * 3
    assert list(kept_audit(kept, 1_001)) == []
    assert list(kept_bundles(kept)) == []


def test_a_kept_ledger_that_cannot_be_read_says_so(kept: Path) -> None:
    kept.write_bytes(b"junk" * 4096)
    for read in (kept_audit, kept_bundles):
        with pytest.raises(SpoolError) as caught:
            list(read(kept))
        assert caught.value.id.startswith("ledger.")
