"""The ledger where the spool may not be written: read as it is, or refused by name."""

import fcntl
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from spool.clock import SYSTEM_CLOCK
from spool.errors import SpoolError
from spool.ledger import Ledger, State
from spool.ledger_file import LOCK_NAME, NAME, PAUSE_S, WAIT_S
from spool.ledger_kept import kept_audit
from spool.ledger_reading import open_file_to_read
from spool.locks import let_go
from tests.support.filesystems import as_any_user, read_only
from tests.support.ledgers import fill, filled, lane, rows

ALL = [(1, 10, State.PENDING)]


@contextmanager
def looked_at(spool: Path) -> Iterator[Ledger]:
    """The ledger of ``spool`` where nobody may write to it."""
    with (
        read_only(spool, spool.with_name("beyond")) as beyond,
        Ledger.open_to_read(beyond, clock=SYSTEM_CLOCK) as ledger,
    ):
        yield ledger


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    folder = tmp_path / "spool"
    folder.mkdir()
    return folder


def refused(spool: Path) -> SpoolError:
    before = {path.name: path.read_bytes() for path in spool.iterdir()}
    with pytest.raises(SpoolError) as raised, looked_at(spool):
        pass
    assert {path.name: path.read_bytes() for path in spool.iterdir()} == before
    assert raised.value.hint
    return raised.value


def test_one_that_was_closed_is_read_and_takes_no_change(spool: Path) -> None:
    with filled(spool):
        pass
    assert not (spool / f"{NAME}-wal").exists()
    with looked_at(spool) as ledger:
        assert not ledger.writable
        assert rows(ledger, lane(spool)) == ALL
        with pytest.raises(SpoolError, match="may not be written"):
            fill(ledger, lane(spool), 11, 11)


def test_one_that_is_in_use_beyond_the_mount_is_read_and_read_again(spool: Path) -> None:
    with filled(spool) as writing, looked_at(spool) as ledger:
        assert rows(ledger, lane(spool)) == ALL
        fill(writing, lane(spool), 11, 12)
        assert rows(ledger, lane(spool)) == [(1, 12, State.PENDING)]


def test_a_copy_made_while_it_was_in_use_is_read_with_its_log(spool: Path) -> None:
    copy = spool.with_name("copy")
    with filled(spool):
        shutil.copytree(spool, copy)
    assert (copy / f"{NAME}-wal").stat().st_size
    with looked_at(copy) as ledger:
        assert rows(ledger, lane(copy)) == ALL


@pytest.mark.parametrize("part", ["-wal", "-shm"])
def test_half_of_its_log_is_not_taken_for_all_of_it(spool: Path, part: str) -> None:
    copy = spool.with_name("copy")
    with filled(spool):
        shutil.copytree(spool, copy)
    (copy / f"{NAME}{part}").unlink()
    error = refused(copy)
    assert error.id == "ledger.needs_writing"
    assert "whose other half is missing" in error.message


def test_one_in_a_folder_that_lets_this_user_only_read_is_read_and_left_as_it_is(
    spool: Path,
) -> None:
    with filled(spool):
        pass
    spool.chmod(0o500)
    words = [*as_any_user(), sys.executable, "-m", "tests.support.readledger", str(spool)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("1-10 pending\n", "")
    assert sorted(path.name for path in spool.iterdir()) == [NAME, LOCK_NAME]


def test_while_it_is_read_nobody_puts_it_aside(spool: Path) -> None:
    with filled(spool):
        pass
    database, lock = open_file_to_read(spool)
    with (spool / LOCK_NAME).open() as other:
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        database.close()
        assert lock is not None
        let_go(lock)
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_one_that_is_being_put_aside_is_waited_for(
    spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with filled(spool):
        pass
    waited = []
    with (spool / LOCK_NAME).open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)

        def sleep(seconds: float) -> None:
            waited.append(seconds)
            if len(waited) == 2:
                fcntl.flock(other, fcntl.LOCK_UN)

        monkeypatch.setattr(time, "sleep", sleep)
        with looked_at(spool) as ledger:
            assert rows(ledger, lane(spool)) == ALL
        assert waited == [PAUSE_S, PAUSE_S]
        waited.clear()
        fcntl.flock(other, fcntl.LOCK_EX)
        monkeypatch.setattr(time, "sleep", waited.append)
        assert refused(spool).id == "ledger.locked"
        assert sum(waited) == pytest.approx(WAIT_S)


def test_what_the_system_says_of_the_spool_is_told_with_what_was_tried(tmp_path: Path) -> None:
    with pytest.raises(SpoolError) as raised:
        open_file_to_read(tmp_path / ("x" * 300))
    assert raised.value.id.startswith("disk.")
    assert "open the ledger" in raised.value.message


def test_one_that_somebody_begins_to_write_while_it_is_read_at_rest_is_not_trusted(
    spool: Path,
) -> None:
    with filled(spool):
        pass
    with looked_at(spool) as ledger:
        with Ledger.open(spool, clock=SYSTEM_CLOCK) as writing:
            fill(writing, lane(spool), 11, 11)
        with pytest.raises(SpoolError) as raised:
            rows(ledger, lane(spool))
    assert raised.value.id == "ledger.changed"


def test_a_change_that_makes_a_read_fail_is_no_damage(spool: Path) -> None:
    with filled(spool):
        pass
    with looked_at(spool) as ledger:
        os.truncate(spool / NAME, 8192)  # as by whoever makes it smaller
        with pytest.raises(SpoolError) as raised:
            rows(ledger, lane(spool))
    assert raised.value.id == "ledger.changed"


def test_a_missing_one_is_not_made(spool: Path) -> None:
    assert "is missing" in refused(spool).message


def test_a_damaged_one_is_not_put_aside(spool: Path) -> None:
    (spool / NAME).write_bytes(b"SQLite format 3\0" + b"\xff" * 4096)
    assert "is damaged" in refused(spool).message


def test_one_that_was_not_made_to_its_end_is_left_as_it_is(spool: Path) -> None:
    (spool / NAME).touch()
    assert "not made to its end" in refused(spool).message


def test_an_earlier_version_is_not_migrated(spool: Path) -> None:
    with filled(spool):
        pass
    with closing(sqlite3.connect(spool / NAME)) as connection:
        connection.execute("PRAGMA user_version = 5")
        connection.execute("DROP TABLE given_up")
    assert "of an earlier version" in refused(spool).message


def test_one_that_was_put_aside_is_read_too(spool: Path) -> None:
    with filled(spool):
        pass
    kept = spool / f"{NAME}.2026-01-01T00:00:00.000Z.bad"
    (spool / NAME).rename(kept)
    with read_only(spool, spool.with_name("beyond")) as beyond:
        assert list(kept_audit(beyond / kept.name)) == []


def test_a_spool_that_may_be_written_is_opened_as_always(spool: Path) -> None:
    with filled(spool):
        pass
    with Ledger.open_to_read(spool, clock=SYSTEM_CLOCK) as ledger:
        assert ledger.writable
