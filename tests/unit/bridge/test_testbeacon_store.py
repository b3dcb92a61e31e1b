"""The beacon's database: what it keeps, and when it keeps nothing."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bridge.testbeacon.bodies import Record
from bridge.testbeacon.refusal import Refusal
from bridge.testbeacon.store import Counts, Request, Store, stored_records
from keys.errors import ConfigError

REQUEST = Request(1, "/v1/beacon/ingest-traces", "transactions", None, "ab" * 32, 10)


def record(key: str) -> Record:
    return Record(b'{"id":"%b"}' % key.encode(), key.encode(), key)


def test_what_was_added_is_seen_by_another_reader_at_once(tmp_path: Path) -> None:
    with closing(Store(tmp_path / "b.db")) as store:
        assert store.add(REQUEST, [record("a"), record("a"), record("b")]) == 2
        found = [
            (r.request, r.ordinal, r.id) for r in stored_records(tmp_path / "b.db", "transactions")
        ]
    assert found == [(1, 0, "a"), (1, 1, "a"), (1, 2, "b")]


def test_a_request_without_records_is_counted(tmp_path: Path) -> None:
    with closing(Store(tmp_path / "b.db")) as store:
        assert store.add(REQUEST, []) == 0
        assert store.counts() == {"transactions": Counts(1, 0, 0)}


def test_the_same_identity_in_another_stream_is_another_record(tmp_path: Path) -> None:
    with closing(Store(tmp_path / "b.db")) as store:
        other = Request(1, "/x", "langgraph", None, "ab" * 32, 10)
        assert [store.add(REQUEST, [record("a")]), store.add(other, [record("a")])] == [1, 1]


def test_a_failed_request_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "b.db"
    with closing(Store(path)) as store:
        with closing(sqlite3.connect(path)) as db:
            db.execute(
                "CREATE TRIGGER no BEFORE INSERT ON records BEGIN SELECT RAISE(ABORT,'x'); END"
            )
            db.commit()
        with pytest.raises(Refusal) as caught:
            store.add(REQUEST, [record("a")])
        assert caught.value.status == 500
        with closing(sqlite3.connect(path)) as db:
            db.execute("DROP TRIGGER no")
            db.commit()
        assert store.counts() == {}
        assert store.add(REQUEST, [record("a")]) == 1


def test_a_database_of_another_version_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "b.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 2")
    with pytest.raises(ConfigError, match="version is 2"):
        Store(path)
