"""Reads a lane as a stranger would: every segment up to the head, each check made.

Where a number is missing (it was declared lost), the next one's link cannot be checked.
"""

from collections.abc import Iterator

from keys.ed25519 import SigningKey
from spool.frames import FrameDecoder
from spool.head import read_head
from spool.lane import Lane
from spool.segment import Segment, check_link
from spool.statement import Statement


def statements(lane: Lane, key: SigningKey) -> Iterator[tuple[Statement, list[bytes]]]:
    """Each segment's statement and lines, verified, in order; what is above the head is not read."""
    head = read_head(lane)
    decoder = FrameDecoder()
    previous: tuple[Statement, str] | None = None
    for seq in lane.sealed_numbers():
        if head is None or seq > head.seq:
            continue
        with Segment.open(lane.segment(seq)) as segment:
            segment.check_place(lane.node, lane.stream, seq)
            segment.check_digest()
            segment.check_signature({key.public.id: key.public})
            said = segment.statement
            if previous is not None and previous[0].seq + 1 == said.seq:
                check_link(*previous, said)
            previous = (said, segment.digest)
            yield said, b"".join(raw for raw, _ in segment.raw_frames(decoder)).splitlines()
    if head is not None:
        assert previous is not None
        assert (previous[0].seq, previous[1]) == (head.seq, head.digest)


def lines(lane: Lane, key: SigningKey) -> list[bytes]:
    """All lines of the lane, in order."""
    return [line for _, held in statements(lane, key) for line in held]
