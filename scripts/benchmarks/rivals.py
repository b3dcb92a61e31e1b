"""What the bridge is measured against: the simplest program that does the same work."""

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import orjson
import zstandard

MIB = 1024 * 1024


class BareFile:
    """Appends records to one file, each with a write and an fdatasync of its own."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def append(self, record: bytes) -> None:
        """Return when the record is on disk."""
        os.write(self._fd, record + b"\n")
        os.fdatasync(self._fd)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


class Overwritten:
    """A file that is there already, written over and synced: what a disk does at its quickest."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self._at = 0
        os.pwrite(self._fd, bytes(MIB), 0)
        os.fsync(self._fd)

    def write(self, data: bytes) -> None:
        """Return when ``data`` is on disk, in the place of other bytes."""
        if self._at + len(data) > MIB:
            self._at = 0
        os.pwrite(self._fd, data, self._at)
        os.fdatasync(self._fd)
        self._at += len(data)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


class Sqlite:
    """A table in WAL mode with ``synchronous=FULL``: a transaction is on disk when it returns."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = sqlite3.connect(path, isolation_level=None)
        for statement in (
            "PRAGMA journal_mode=WAL",
            "PRAGMA synchronous=FULL",
            "CREATE TABLE record (id INTEGER PRIMARY KEY, body BLOB NOT NULL)",
        ):
            self._connection.execute(statement)

    def append(self, record: bytes) -> None:
        """One record, one transaction."""
        self._connection.execute("INSERT INTO record (body) VALUES (?)", (record,))

    def append_groups(self, groups: Sequence[Sequence[bytes]]) -> None:
        """Many records a transaction, one for each group."""
        for group in groups:
            self._connection.execute("BEGIN IMMEDIATE")
            rows = [(record,) for record in group]
            self._connection.executemany("INSERT INTO record (body) VALUES (?)", rows)
            self._connection.execute("COMMIT")

    def size(self) -> int:
        """Bytes of the database file, all of the log moved into it."""
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return self._path.stat().st_size

    def close(self) -> None:
        """Close the database."""
        self._connection.close()


def parse_all(groups: Sequence[Sequence[bytes]]) -> None:
    """Parse each record in full, and let go of it: no judge that parses can be faster."""
    for group in groups:
        for record in group:
            orjson.loads(record)


def compress(raw: bytes) -> int:
    """What ``zstd -3`` does to ``raw``, a MiB at a time, nothing stored; how many bytes come out."""
    compressor = zstandard.ZstdCompressor(level=3)
    view = memoryview(raw)
    return sum(len(compressor.compress(view[at : at + MIB])) for at in range(0, len(raw), MIB))


def decompress(path: Path) -> int:
    """What ``zstd -d`` does to a file, its output thrown away; how many bytes come out."""
    room = bytearray(MIB)
    size = 0
    with path.open("rb") as stored:
        reader = zstandard.ZstdDecompressor().stream_reader(
            stored, read_size=256 * 1024, read_across_frames=True
        )
        while got := reader.readinto(room):
            size += got
    return size
