"""The tables of the ledger.

The version of the tables is SQLite's ``user_version``. Version 1 grew while nobody else had it: its
files lack some of the tables and columns, or none; :mod:`spool.ledger_migrating` takes all of them.
"""

import sqlite3
from contextlib import closing
from functools import cache

from spool.ledger_db import Transaction

VERSION = 6
APPLICATION_ID = 0x41674272
"""``AgBr`` in ASCII; ``file ledger.db`` shows it."""

# The last column of a table without rowids is none of its key's: the check of SQLite 3.40 reads rows as
# far as the last one, and calls NULL what the file has after it, which is all that is in no key.
TABLES = {
    # fork: empty, or the name of a segment whose number another one has, which is a lane of its own
    # in_doubt, partial: records; sums of what the audit says, which is pruned
    # partial_seen: so many of partial a person has seen
    "lane": """(
        id INTEGER PRIMARY KEY,
        node TEXT NOT NULL,
        stream TEXT NOT NULL,
        fork TEXT NOT NULL DEFAULT '',
        in_doubt INTEGER NOT NULL DEFAULT 0,
        partial INTEGER NOT NULL DEFAULT 0,
        partial_seen INTEGER NOT NULL DEFAULT 0,
        UNIQUE (node, stream, fork))""",
    "span": """(
        lane INTEGER NOT NULL REFERENCES lane,
        first INTEGER NOT NULL CHECK (first >= 1),
        last INTEGER NOT NULL CHECK (last >= first),
        chain TEXT NOT NULL,
        state TEXT NOT NULL
            CHECK (state IN ('pending', 'exported', 'delivered', 'quarantined', 'lost')),
        before_records INTEGER NOT NULL CHECK (before_records >= 0),
        before_raw_size INTEGER NOT NULL CHECK (before_raw_size >= 0),
        records INTEGER NOT NULL CHECK (records >= 0),
        raw_size INTEGER NOT NULL CHECK (raw_size >= 0),
        PRIMARY KEY (lane, first)) WITHOUT ROWID""",
    # delivered once, and to be sent a second time on purpose
    "again": """(
        lane INTEGER NOT NULL REFERENCES lane,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL CHECK (last >= first),
        PRIMARY KEY (lane, first)) WITHOUT ROWID""",
    # of what is lost, the numbers whose loss a person has seen
    "lost_seen": """(
        lane INTEGER NOT NULL REFERENCES lane,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL CHECK (last >= first),
        PRIMARY KEY (lane, first)) WITHOUT ROWID""",
    # each time that a person said so: lost segments that were new, and how many records all lost ones
    # hold; or records of a lower count that were new
    "seen": """(
        id INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        lane INTEGER NOT NULL REFERENCES lane,
        numbers TEXT NOT NULL,
        segments INTEGER NOT NULL,
        records INTEGER NOT NULL,
        partial INTEGER NOT NULL,
        note TEXT NOT NULL)""",
    # requests without a final answer; under_way: the last attempt's outcome is not known yet
    # sent_to, records, raw_size: where the last attempt went, and what it carried
    "batch": """(
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        lane INTEGER NOT NULL REFERENCES lane,
        chain TEXT NOT NULL,
        first_seq INTEGER NOT NULL,
        first_line INTEGER NOT NULL,
        last_seq INTEGER NOT NULL,
        end_line INTEGER NOT NULL,
        key TEXT NOT NULL UNIQUE,
        attempts INTEGER NOT NULL DEFAULT 0,
        attempted_at INTEGER,
        under_way INTEGER NOT NULL DEFAULT 0,
        in_doubt INTEGER NOT NULL DEFAULT 0,
        sent_to TEXT NOT NULL DEFAULT '',
        records INTEGER NOT NULL DEFAULT 0,
        raw_size INTEGER NOT NULL DEFAULT 0)""",
    # lines with a final answer, of segments that have others without
    "answered": """(
        lane INTEGER NOT NULL REFERENCES lane,
        seq INTEGER NOT NULL,
        first_line INTEGER NOT NULL,
        end_line INTEGER NOT NULL CHECK (end_line > first_line),
        PRIMARY KEY (lane, seq, first_line)) WITHOUT ROWID""",
    "exception": """(
        lane INTEGER NOT NULL REFERENCES lane,
        seq INTEGER NOT NULL,
        line INTEGER NOT NULL,
        at INTEGER NOT NULL,
        verdict TEXT NOT NULL,
        status INTEGER NOT NULL,
        text TEXT NOT NULL,
        PRIMARY KEY (lane, seq, line)) WITHOUT ROWID""",
    # given up, and why; a loss record stands above the number above, or is still to be sealed
    "undeclared": """(
        lane INTEGER NOT NULL REFERENCES lane,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL CHECK (last >= first),
        records INTEGER NOT NULL,
        raw_size INTEGER NOT NULL,
        above INTEGER NOT NULL,
        why TEXT NOT NULL DEFAULT 'no_room',
        PRIMARY KEY (lane, first)) WITHOUT ROWID""",
    # written: its bytes are on the medium, verified; a row without it is an export that a crash ended
    "bundle": """(
        serial INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        at INTEGER NOT NULL,
        recipient TEXT NOT NULL,
        path TEXT NOT NULL,
        written INTEGER NOT NULL DEFAULT 0,
        size INTEGER,
        sha256 TEXT)""",
    "bundle_part": """(
        serial INTEGER NOT NULL REFERENCES bundle,
        lane INTEGER NOT NULL REFERENCES lane,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL CHECK (last >= first),
        PRIMARY KEY (serial, lane, first)) WITHOUT ROWID""",
    # every segment that was imported, also after its file is gone; of one number there may be forks
    # unlinked: it names another one as its predecessor than the one that has that number here
    "imported": """(
        lane INTEGER NOT NULL REFERENCES lane,
        seq INTEGER NOT NULL,
        digest TEXT NOT NULL,
        prev TEXT NOT NULL,
        unlinked INTEGER NOT NULL DEFAULT 0,
        fork INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (lane, seq, digest)) WITHOUT ROWID""",
    # the newest receipt of each relay that was applied, and those that were made for each node
    # accepts: the formats that the relay reads
    "receipt": """(
        peer TEXT NOT NULL,
        made INTEGER NOT NULL,
        serial INTEGER NOT NULL,
        at INTEGER NOT NULL,
        accepts TEXT NOT NULL DEFAULT '',
        PRIMARY KEY (peer, made)) WITHOUT ROWID""",
    # numbers of an imported lane that its node sent itself; digest: of the last; told_by: the id of
    # the key that signed it, empty where an earlier version did not note that
    "elsewhere": """(
        lane INTEGER NOT NULL REFERENCES lane,
        chain TEXT NOT NULL,
        first INTEGER NOT NULL CHECK (first >= 1),
        last INTEGER NOT NULL CHECK (last >= first),
        told_by TEXT NOT NULL DEFAULT '',
        digest TEXT NOT NULL,
        PRIMARY KEY (lane, chain, first, last, told_by)) WITHOUT ROWID""",
    # what a node gave up of a lane that is imported here: by its loss record with the number seq
    "given_up": """(
        lane INTEGER NOT NULL REFERENCES lane,
        seq INTEGER NOT NULL,
        first INTEGER NOT NULL CHECK (first >= 1),
        last INTEGER NOT NULL CHECK (last >= first),
        told_by TEXT NOT NULL,
        PRIMARY KEY (lane, seq, first)) WITHOUT ROWID""",
    # numbers that a relay never got, by its newest receipt
    "missing": """(
        peer TEXT NOT NULL,
        lane INTEGER NOT NULL REFERENCES lane,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL,
        PRIMARY KEY (peer, lane, first)) WITHOUT ROWID""",
    "audit": """(
        id INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        lane INTEGER NOT NULL REFERENCES lane,
        chain TEXT NOT NULL,
        first_seq INTEGER NOT NULL,
        first_line INTEGER NOT NULL,
        last_seq INTEGER NOT NULL,
        end_line INTEGER NOT NULL,
        key TEXT,
        path TEXT NOT NULL,
        records INTEGER NOT NULL,
        raw_size INTEGER NOT NULL,
        status INTEGER,
        verdict TEXT NOT NULL,
        accepted INTEGER,
        in_doubt INTEGER NOT NULL,
        text TEXT NOT NULL)""",
}

FIRST = {"lane", "span", "batch", "answered", "exception", "audit"}
"""The tables that every version has."""


def create(tx: Transaction) -> None:
    """Make the tables; all or none, as the transaction goes."""
    for name, columns in TABLES.items():
        tx.execute(f"CREATE TABLE {name} {columns}")
    tx.execute("CREATE INDEX batch_order ON batch (lane, first_seq, first_line)")
    tx.execute("CREATE INDEX imported_odd ON imported (lane, seq) WHERE fork = 1 OR unlinked = 1")
    tx.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    tx.execute(f"PRAGMA user_version = {VERSION}")


def columns(connection: Transaction, schema: str = "main") -> dict[str, list[str]]:
    """The tables and their columns; ``schema`` is ``main`` or what was attached."""
    rows = connection.execute(
        "SELECT tables.name, info.name FROM pragma_table_list AS tables"
        " JOIN pragma_table_info(tables.name, tables.schema) AS info"
        " WHERE tables.schema = ? AND tables.type = 'table' AND tables.name NOT LIKE 'sqlite_%'"
        " ORDER BY tables.name, info.cid",
        (schema,),
    )
    found: dict[str, list[str]] = {}
    for table, column in rows:
        found.setdefault(table, []).append(column)
    return found


@cache
def expected() -> dict[str, list[str]]:
    """The tables of this version and their columns."""
    with closing(sqlite3.connect(":memory:")) as connection:
        create(connection)
        return columns(connection)
