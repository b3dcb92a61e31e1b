CREATE TABLE lane (
        id INTEGER PRIMARY KEY,
        node TEXT NOT NULL,
        stream TEXT NOT NULL,
        fork TEXT NOT NULL DEFAULT '',
        in_doubt INTEGER NOT NULL DEFAULT 0,
        partial INTEGER NOT NULL DEFAULT 0,
        UNIQUE (node, stream, fork));
CREATE TABLE span (
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
        PRIMARY KEY (lane, first)) WITHOUT ROWID;
CREATE TABLE again (
        lane INTEGER NOT NULL REFERENCES lane,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL CHECK (last >= first),
        PRIMARY KEY (lane, first)) WITHOUT ROWID;
CREATE TABLE batch (
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
        raw_size INTEGER NOT NULL DEFAULT 0);
CREATE TABLE answered (
        lane INTEGER NOT NULL REFERENCES lane,
        seq INTEGER NOT NULL,
        first_line INTEGER NOT NULL,
        end_line INTEGER NOT NULL CHECK (end_line > first_line),
        PRIMARY KEY (lane, seq, first_line)) WITHOUT ROWID;
CREATE TABLE exception (
        lane INTEGER NOT NULL REFERENCES lane,
        seq INTEGER NOT NULL,
        line INTEGER NOT NULL,
        at INTEGER NOT NULL,
        verdict TEXT NOT NULL,
        status INTEGER NOT NULL,
        text TEXT NOT NULL,
        PRIMARY KEY (lane, seq, line)) WITHOUT ROWID;
CREATE TABLE undeclared (
        lane INTEGER NOT NULL REFERENCES lane,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL CHECK (last >= first),
        records INTEGER NOT NULL,
        raw_size INTEGER NOT NULL,
        above INTEGER NOT NULL,
        why TEXT NOT NULL DEFAULT 'no_room',
        PRIMARY KEY (lane, first)) WITHOUT ROWID;
CREATE TABLE bundle (
        serial INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        at INTEGER NOT NULL,
        recipient TEXT NOT NULL,
        path TEXT NOT NULL,
        written INTEGER NOT NULL DEFAULT 0,
        size INTEGER,
        sha256 TEXT);
CREATE TABLE bundle_part (
        serial INTEGER NOT NULL REFERENCES bundle,
        lane INTEGER NOT NULL REFERENCES lane,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL CHECK (last >= first),
        PRIMARY KEY (serial, lane, first)) WITHOUT ROWID;
CREATE TABLE imported (
        lane INTEGER NOT NULL REFERENCES lane,
        seq INTEGER NOT NULL,
        digest TEXT NOT NULL,
        prev TEXT NOT NULL,
        unlinked INTEGER NOT NULL DEFAULT 0,
        fork INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (lane, seq, digest)) WITHOUT ROWID;
CREATE TABLE receipt (
        peer TEXT NOT NULL,
        made INTEGER NOT NULL,
        serial INTEGER NOT NULL,
        at INTEGER NOT NULL,
        accepts TEXT NOT NULL DEFAULT '',
        PRIMARY KEY (peer, made)) WITHOUT ROWID;
CREATE TABLE elsewhere (
        lane INTEGER NOT NULL REFERENCES lane,
        chain TEXT NOT NULL,
        first INTEGER NOT NULL CHECK (first >= 1),
        last INTEGER NOT NULL CHECK (last >= first),
        told_by TEXT NOT NULL DEFAULT '',
        digest TEXT NOT NULL,
        PRIMARY KEY (lane, chain, first, last, told_by)) WITHOUT ROWID;
CREATE TABLE missing (
        peer TEXT NOT NULL,
        lane INTEGER NOT NULL REFERENCES lane,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL,
        PRIMARY KEY (peer, lane, first)) WITHOUT ROWID;
CREATE TABLE audit (
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
        text TEXT NOT NULL);
CREATE INDEX batch_order ON batch (lane, first_seq, first_line);
CREATE INDEX imported_odd ON imported (lane, seq) WHERE fork = 1 OR unlinked = 1;
PRAGMA application_id = 1097286258;
PRAGMA user_version = 5;
