"""What a file in the ledger's place is, and what SQLite's errors about it become."""

import errno
import os
import resource
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from keys.errors import ConfigError
from spool.clock import SYSTEM_CLOCK
from spool.errors import SpoolError
from spool.ledger import Ledger
from spool.ledger_condition import Condition, examine
from spool.ledger_errors import code_of, in_words, is_damage, translated
from spool.ledger_schema import APPLICATION_ID, FIRST, TABLES, VERSION
from tests.support.ledgers import fill, lane


@pytest.fixture(scope="module")
def today(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of a ledger of today, closed."""
    spool = tmp_path_factory.mktemp("today")
    with Ledger.open(spool, clock=SYSTEM_CLOCK) as ledger:
        fill(ledger, lane(spool), 1, 10)
    return (spool / "ledger.db").read_bytes()


@pytest.fixture
def path(tmp_path: Path, today: bytes) -> Path:
    """A copy of it."""
    copy = tmp_path / "ledger.db"
    copy.write_bytes(today)
    return copy


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for each in statements:
            connection.execute(each)


def problem(path: Path) -> str:
    before = path.read_bytes()
    with pytest.raises(ConfigError) as caught:
        examine(path)
    assert path.read_bytes() == before
    return caught.value.id


def version(number: int) -> str:
    return f"PRAGMA user_version = {number}"


PAGE = 4096
OTHER_OWNER = "PRAGMA application_id = 7"
NO_OWNER = "PRAGMA application_id = 0"


def test_a_ledger_of_today_is_good_and_an_empty_file_empty(path: Path, tmp_path: Path) -> None:
    assert examine(path) is Condition.GOOD
    empty = tmp_path / "empty.db"
    empty.touch()
    assert examine(empty) is Condition.EMPTY
    change(empty, "VACUUM")  # a database, of nobody and without tables
    assert examine(empty) is Condition.EMPTY


@pytest.mark.parametrize("number", range(1, VERSION))
def test_every_earlier_version_is_older_with_all_of_its_tables_or_the_first_alone(
    path: Path, number: int
) -> None:
    change(path, version(number))
    assert examine(path) is Condition.OLDER
    for name in set(TABLES) - set(FIRST):
        change(path, "PRAGMA foreign_keys = OFF", f"DROP TABLE {name}")
    assert examine(path) is Condition.OLDER


@pytest.mark.parametrize(
    "changes",
    [
        (NO_OWNER,),
        (OTHER_OWNER,),
        (OTHER_OWNER, version(VERSION + 1)),
        (version(0),),
        (version(-1),),
        (version(1), "CREATE TABLE more (one)"),
        (version(1), "DROP TABLE span"),
        ("CREATE TABLE more (one)",),
        ("ALTER TABLE seen ADD COLUMN more",),
        ("DROP TABLE seen",),
    ],
    ids=str,
)
def test_a_file_of_somebody_else_or_changed_by_him_is_foreign(
    path: Path, changes: tuple[str, ...]
) -> None:
    change(path, "PRAGMA foreign_keys = OFF", *changes)
    assert problem(path) == "ledger.foreign"


@pytest.mark.parametrize(
    "statement", [f"PRAGMA application_id = {APPLICATION_ID}", version(1), "CREATE TABLE one (two)"]
)
def test_a_file_without_all_that_a_ledger_has_is_not_called_empty(
    tmp_path: Path, statement: str
) -> None:
    path = tmp_path / "other.db"
    change(path, statement)
    assert problem(path) == "ledger.foreign"


def test_a_newer_one_is_newer_whatever_is_in_it(path: Path) -> None:
    change(path, version(VERSION + 1), "CREATE TABLE more (one)")
    assert problem(path) == "ledger.newer"


def spoil(path: Path, table: str) -> None:
    """The first page of a table."""
    query = "SELECT rootpage FROM sqlite_master WHERE name = ?"
    with closing(sqlite3.connect(path)) as connection:
        (page,) = connection.execute(query, (table,)).fetchone()
    data = bytearray(path.read_bytes())
    data[(page - 1) * PAGE : page * PAGE] = b"\xff" * PAGE
    path.write_bytes(data)


@pytest.mark.parametrize("table", sorted({*TABLES} - {"audit"}))
@pytest.mark.parametrize("number", [VERSION, 1])
def test_a_damaged_page_of_any_table_is_found_of_every_version(
    path: Path, table: str, number: int
) -> None:
    change(path, version(number))
    spoil(path, table)
    assert examine(path) is Condition.DAMAGED


def test_so_it_is_at_the_end_of_the_audit_where_rows_are_added(path: Path) -> None:
    spoil(path, "audit")
    assert examine(path) is Condition.DAMAGED


@pytest.mark.parametrize("number", [VERSION, 1])
def test_a_row_that_its_table_forbids_is_damage(path: Path, number: int) -> None:
    change(path, version(number))
    for statement in (
        "UPDATE sqlite_master SET sql = replace(sql, 'node TEXT NOT NULL', 'node TEXT')",
        "UPDATE lane SET node = NULL",
        "UPDATE sqlite_master SET sql = replace(sql, 'node TEXT', 'node TEXT NOT NULL')",
    ):
        change(path, "PRAGMA writable_schema = ON", statement)
    assert examine(path) is Condition.DAMAGED


def test_of_the_audit_what_lies_before_its_end_is_not_read(path: Path) -> None:
    """It grows for years, and a spoiled page of old times must not cost the whole ledger."""
    row = (
        "INSERT INTO audit (at, lane, chain, first_seq, first_line, last_seq, end_line, path,"
        " records, raw_size, verdict, in_doubt, text)"
        " VALUES (1, 1, 'c', 1, 0, 1, 1, '/', 1, 1, 'delivered', 0, 'row %d' || hex(zeroblob(999)))"
    )
    change(path, *(row % number for number in range(20)))
    data = bytearray(path.read_bytes())
    begin = data.index(b"row 0") // PAGE * PAGE
    assert b"row 19" not in data[begin : begin + PAGE]
    data[begin : begin + PAGE] = b"\xff" * PAGE
    path.write_bytes(data)
    assert examine(path) is Condition.GOOD


def test_what_is_no_database_is_damaged_and_a_missing_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with pytest.raises(SpoolError) as caught:
        examine(path)
    assert caught.value.id == "ledger.io"
    path.write_bytes(b"no database at all" * 500)
    assert examine(path) is Condition.DAMAGED


def said(code: int | None, words: str = "words") -> sqlite3.Error:
    error = sqlite3.OperationalError(words)
    if code is not None:
        error.sqlite_errorcode = code
    return error


CODES = [
    (sqlite3.SQLITE_FULL, "ledger.full"),
    (sqlite3.SQLITE_READONLY, "ledger.readonly"),
    (sqlite3.SQLITE_READONLY_DBMOVED, "ledger.readonly"),
    (sqlite3.SQLITE_PERM, "ledger.readonly"),
    (sqlite3.SQLITE_BUSY, "ledger.busy"),
    (sqlite3.SQLITE_BUSY_SNAPSHOT, "ledger.busy"),
    (sqlite3.SQLITE_LOCKED, "ledger.busy"),
    (sqlite3.SQLITE_LOCKED_SHAREDCACHE, "ledger.busy"),
    (sqlite3.SQLITE_CORRUPT, "ledger.corrupt"),
    (sqlite3.SQLITE_CORRUPT_INDEX, "ledger.corrupt"),
    (sqlite3.SQLITE_NOTADB, "ledger.corrupt"),
    (sqlite3.SQLITE_IOERR, "ledger.io"),
    (sqlite3.SQLITE_IOERR_FSYNC, "ledger.io"),
    (sqlite3.SQLITE_CANTOPEN, "ledger.io"),
    (sqlite3.SQLITE_CONSTRAINT, "ledger.io"),
    (None, "ledger.io"),
]


@pytest.mark.parametrize(("code", "problem"), CODES)
def test_each_word_of_sqlite_has_an_id_however_it_is_extended(
    tmp_path: Path, code: int | None, problem: str
) -> None:
    told = in_words(said(code), tmp_path / "ledger.db")
    assert told.id == problem
    assert told.message
    assert told.hint
    assert is_damage(said(code)) == (problem == "ledger.corrupt")


def test_an_error_without_a_code_is_an_error_and_nothing_else() -> None:
    assert code_of(said(None)) == sqlite3.SQLITE_ERROR


def test_what_sqlite_said_is_shown_without_what_a_terminal_obeys(tmp_path: Path) -> None:
    message = in_words(said(sqlite3.SQLITE_IOERR, "disk \x1b[2J"), tmp_path / "ledger.db").message
    assert "disk" in message
    assert "\x1b" not in message


@pytest.mark.parametrize("code", [sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN])
def test_where_no_more_files_may_be_open_that_is_said_with_what_was_tried(
    tmp_path: Path, code: int
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        told = in_words(said(code), tmp_path / "ledger.db")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert told.id == "files.too_many"
    assert f"cannot open the ledger ({os.strerror(errno.EMFILE)})" in told.message


def test_where_the_trial_fails_for_another_reason_it_is_no_disk_that_may_not_be_written(
    tmp_path: Path,
) -> None:
    path = tmp_path / "no folder" / "ledger.db"
    assert in_words(said(sqlite3.SQLITE_IOERR), path).id == "ledger.io"


def test_the_trial_whether_the_disk_is_full_leaves_no_file(tmp_path: Path) -> None:
    in_words(said(sqlite3.SQLITE_IOERR), tmp_path / "ledger.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [said(sqlite3.SQLITE_FULL), sqlite3.ProgrammingError("closed")])
def test_an_error_is_translated_with_its_cause(tmp_path: Path, error: sqlite3.Error) -> None:
    with pytest.raises(SpoolError) as caught, translated(tmp_path / "ledger.db"):
        raise error
    assert caught.value.__cause__ is error


def test_other_errors_pass_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(KeyError), translated(tmp_path / "ledger.db"):
        raise KeyError
