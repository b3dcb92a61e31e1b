"""The durable head of a lane: the last number that counts.

Nothing above the head is read, sent or exported; a sealing counts from the moment that its head is
durable. The head also holds the inode number of the lane's folder, so that a spool that was restored
or copied is seen, and begins a new chain instead of giving old numbers to new records.
"""

import os
from dataclasses import dataclass

import orjson

from keys.errors import VerificationError
from keys.strictjson import Fields, loads
from spool.durable import Disk, replace_file
from spool.lane import SEQ_MAX, Lane
from spool.safefile import read_whole
from spool.statement import COUNT_MAX
from spool.totals import Totals

HEAD_MAX = 1024
"""Bytes of a head; ours have about 300."""


@dataclass(frozen=True, slots=True)
class Head:
    """A chain, its first and last number, that statement's digest, and what it holds by then.

    ``folder`` is the inode number of the lane's folder.
    """

    chain: str
    first: int
    seq: int
    digest: str
    after: Totals
    folder: int


def encode(head: Head) -> bytes:
    """The bytes of a head file."""
    return orjson.dumps(
        {
            "v": 1,
            "chain": head.chain,
            "first": head.first,
            "seq": head.seq,
            "digest": head.digest,
            "records": head.after.records,
            "raw_size": head.after.raw_size,
            # As text: an inode number can be larger than what every JSON reader holds exactly.
            "folder": str(head.folder),
        }
    )


def decode(data: bytes) -> Head:
    """The head in ``data``, or :class:`VerificationError`."""
    fields = Fields(loads(data, limit=HEAD_MAX), "head")
    fields.integer("v", 1, 1)
    head = Head(
        chain=fields.text("chain", r"[0-9a-f]{32}"),
        first=fields.integer("first", 1, SEQ_MAX),
        seq=fields.integer("seq", 1, SEQ_MAX),
        digest=fields.text("digest", r"[0-9a-f]{64}"),
        after=Totals(
            fields.integer("records", 0, COUNT_MAX), fields.integer("raw_size", 0, COUNT_MAX)
        ),
        folder=int(fields.text("folder", r"[0-9]{1,20}")),
    )
    fields.done()
    return head


def read_head(lane: Lane) -> Head | None:
    """The lane's head; None where there is none, or what lies there is no head (lost)."""
    try:
        return decode(read_whole(lane.head, HEAD_MAX, own=True))
    except (FileNotFoundError, VerificationError):
        return None


def write_head(disk: Disk, lane: Lane, head: Head) -> None:
    """Make ``head`` the lane's durable head. Raises :class:`OSError`."""
    replace_file(disk, lane.head, encode(head))


def folder_inode(lane: Lane) -> int:
    """The inode number of the lane's folder."""
    return os.stat(lane.folder).st_ino  # noqa: PTH116 - the number is all that is wanted
