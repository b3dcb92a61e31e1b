"""What a manifest says of each lane in its bundle; a reviewer goes by it."""

from collections.abc import Sequence
from dataclasses import dataclass

from bridge.transfer.enclosing import DIGEST
from bridge.transfer.fields import (
    COUNT_MAX,
    ID,
    NODE,
    RANGES_TEXT_MAX,
    SEGMENTS_MAX,
    STREAM,
    moment_in,
)
from keys.strictjson import Fields
from spool.clock import rfc3339
from spool.lane import SEQ_MAX
from spool.ranges import Range, format_ranges, parse_ranges
from spool.statement import Statement

_RANGES = rf"[0-9,-]{{1,{RANGES_TEXT_MAX}}}"


@dataclass(frozen=True, slots=True)
class LaneSums:
    """What the bundle holds of one lane, and what the sender's head of it was.

    Times in ms since 1970 UTC, None without records; ``lost`` are the numbers that loss records among
    the segments declare, with how many records (None: nobody can tell).
    """

    node: str
    stream: str
    ranges: tuple[Range, ...]
    records: int
    raw_size: int
    first_at: int | None
    last_at: int | None
    head_chain: str
    head_seq: int
    head_digest: str
    lost: tuple[tuple[str, int | None], ...] = ()

    @property
    def segments(self) -> int:
        """How many segments."""
        return sum(map(len, self.ranges))


def lane_out(lane: LaneSums) -> dict[str, object]:
    """As JSON."""
    return {
        "node": lane.node,
        "stream": lane.stream,
        "ranges": format_ranges(lane.ranges),
        "records": lane.records,
        "raw_size": lane.raw_size,
        "first_at": None if lane.first_at is None else rfc3339(lane.first_at),
        "last_at": None if lane.last_at is None else rfc3339(lane.last_at),
        "head": {"chain": lane.head_chain, "seq": lane.head_seq, "digest": lane.head_digest},
        "lost": [{"ranges": ranges, "records": records} for ranges, records in lane.lost],
    }


def lane_in(item: Fields) -> LaneSums:
    """What ``item`` says; raises :class:`VerificationError` ``document.*`` or ``ranges.form``."""
    head = item.object("head")
    lane = LaneSums(
        item.text("node", NODE),
        item.text("stream", STREAM),
        parse_ranges(item.text("ranges", _RANGES), limit=SEGMENTS_MAX),
        item.integer("records", 0, COUNT_MAX),
        item.integer("raw_size", 0, COUNT_MAX),
        None if item.is_null("first_at") else moment_in(item, "first_at"),
        None if item.is_null("last_at") else moment_in(item, "last_at"),
        head.text("chain", ID),
        head.integer("seq", 1, SEQ_MAX),
        head.text("digest", DIGEST),
        tuple(_lost_in(lost) for lost in item.objects("lost", 0, SEGMENTS_MAX)),
    )
    head.done()
    item.done()
    return lane


def _lost_in(item: Fields) -> tuple[str, int | None]:
    ranges = item.text("ranges", rf"[0-9,-]{{0,{RANGES_TEXT_MAX}}}")
    if ranges:
        parse_ranges(ranges)
    records = None if item.is_null("records") else item.integer("records", 0, COUNT_MAX)
    item.done()
    return ranges, records


def sums_of(
    node: str,
    stream: str,
    ranges: Sequence[Range],
    said: Sequence[Statement],
    head: tuple[str, int, str],
) -> LaneSums:
    """What a manifest says of a lane whose segments say ``said``.

    ``head`` is the chain, number and digest of the lane's head.
    """
    begins = [each.first_at for each in said if each.first_at is not None]
    ends = [each.last_at for each in said if each.last_at is not None]
    return LaneSums(
        node,
        stream,
        tuple(ranges),
        sum(each.records for each in said),
        sum(each.raw_size for each in said),
        min(begins, default=None),
        max(ends, default=None),
        *head,
        tuple((each.lost.ranges, each.lost.records) for each in said if each.lost is not None),
    )
