"""The durable head of a lane: the last number that counts.

Nothing above the head is read, sent or exported; a sealing counts from the moment that its head is
durable. The head also holds a mark of the lane's folder, so that a spool that was restored or copied
is seen, and begins a new chain instead of giving old numbers to new records.
"""

import fcntl
import hashlib
import os
from array import array
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
_FS_IOC_GETVERSION = 0x80087601
"""Linux: tells an inode's generation, on ext4, XFS, btrfs and their like."""


@dataclass(frozen=True, slots=True)
class Head:
    """A chain, its first and last number, that statement's digest, and what it holds by then.

    ``folder`` is the mark of the lane's folder.
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
            # As text: it can be larger than what every JSON reader holds exactly.
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
    if head.first > head.seq:
        raise VerificationError(
            "head.sense",
            f"A head names {head.seq} as the last number of a chain that begins at {head.first}.",
            "Start the daemon: it begins a new chain that says so.",
        )
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


def folder_mark(lane: Lane) -> int:
    """A number that the lane's folder has, and that a copy of it has not.

    It is made of the inode's number and generation: a folder that is restored where the old one was
    deleted often gets its number again, and never its generation. Where the file system tells no
    generation it is the inode's number. Raises :class:`OSError`.
    """
    fd = os.open(lane.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        inode = os.fstat(fd).st_ino
        generation = array("l", [0])
        try:
            fcntl.ioctl(fd, _FS_IOC_GETVERSION, generation)
        except OSError:
            return inode
    finally:
        os.close(fd)
    said = hashlib.sha256(b"%d %d" % (inode, generation[0])).digest()
    return int.from_bytes(said[:8], "big")


def is_at_home(head: Head, lane: Lane) -> bool:
    """Whether ``head`` was written for this folder, not for one of which this is a copy.

    One that holds the inode's number is of a version that looked at no generation.
    """
    return head.folder in (folder_mark(lane), os.stat(lane.folder).st_ino)  # noqa: PTH116
