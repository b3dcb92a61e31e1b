"""A lane of very many small segments, every one signed and linked; not synced, for speed."""

import hashlib
import os

from keys.ed25519 import SigningKey
from spool.chain import begin_lane
from spool.durable import OS_DISK
from spool.frames import FrameEncoder
from spool.head import Head, folder_mark, write_head
from spool.lane import SHARD, Lane
from spool.segment import make_seal
from spool.statement import NO_DIGEST, Statement
from spool.totals import NOTHING

CHAIN = "c" * 32


def make_segments(lane: Lane, key: SigningKey, count: int, record: bytes) -> None:
    """Fill an empty ``lane`` with segments of one record each.

    ``record`` holds ten zeros, which become the segment's number: all differ.
    """
    begin_lane(OS_DISK, lane)
    encoder = FrameEncoder()
    previous, before = NO_DIGEST, NOTHING
    for seq in range(1, count + 1):
        raw = record.replace(b"0" * 10, b"%010d" % seq, 1) + b"\n"
        frame = encoder.encode(raw)
        said = Statement(
            node=lane.node,
            stream=lane.stream,
            chain=CHAIN,
            seq=seq,
            prev=previous,
            records=1,
            size=len(frame),
            raw_size=len(raw),
            sha256=hashlib.sha256(frame).hexdigest(),
            before=before,
            first_at=seq,
            last_at=seq,
            reason="size",
        )
        seal, previous = make_seal(said, key)
        before = said.after
        path = lane.segment(seq)
        if seq == 1 or seq % SHARD == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(fd, frame + seal)
        os.close(fd)
    write_head(OS_DISK, lane, Head(CHAIN, 1, count, previous, before, folder_mark(lane)))
