"""The manifest of a bundle: who sends what to whom; signed by the sender, member by member.

See ``docs/formats.md`` for each field. Everything is judged strictly: what our writer would not have
written is refused.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import orjson

from bridge.transfer.enclosing import DIGEST, ROTATION, Enclosed, enclosed_in
from keys.errors import VerificationError
from keys.rotation import ROTATION_MAX, ROTATIONS_MAX
from keys.strictjson import Fields, loads
from spool.clock import parse_rfc3339, rfc3339
from spool.errors import RecordError
from spool.lane import SEQ_MAX
from spool.ranges import Range, format_ranges, parse_ranges
from spool.segment import SEGMENT_STORED_MAX
from spool.statement import Statement

PAYLOAD_TYPE = "application/vnd.airgap-bridge.bundle.v1+json"
SEGMENTS_MAX = 4096
"""Segments in a bundle."""
MANIFEST_MAX = 4 * 1024 * 1024
"""Bytes of a manifest's envelope: 4,096 members of 500 bytes, in base64."""
NOTE_MAX = 500
"""Characters of the operator's note."""
NODE = r"[a-z0-9][a-z0-9-]{0,62}"
STREAM = r"[a-z][a-z0-9-]{0,31}"
ID = r"[0-9a-f]{32}"
_CONTROLS = r"\x00-\x1f\x7f-\x9f"
_FORMATS = r"\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
_INVISIBLE = r"\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0"
_TAGS = r"\U000e0000-\U000e0fff"
NOTE = rf"[^{_CONTROLS}{_FORMATS}{_INVISIBLE}{_TAGS}]{{0,{NOTE_MAX}}}"
"""On one line, without controls and invisible marks: whole messages hide in them. The ranges stand
here, for what Python knows of Unicode differs from machine to machine, and both sides must agree."""
_TIME = r"[0-9T:.Z-]{24}"
_RANGES = r"[0-9,-]{1,16384}"
_COUNT_MAX = 2**53 - 1


def name_of(node: str, stream: str, seq: int) -> str:
    """The name of a segment's member."""
    return f"segments/{node}/{stream}/{seq:012d}.ndjson.zst"


@dataclass(frozen=True, slots=True)
class Packed:
    """A segment in a bundle: its place, its stored bytes, its statement's digest."""

    node: str
    stream: str
    seq: int
    size: int
    digest: str

    @property
    def lane(self) -> tuple[str, str]:
        """Its node and stream."""
        return self.node, self.stream

    @property
    def name(self) -> str:
        """Its member's name."""
        return name_of(self.node, self.stream, self.seq)


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


@dataclass(frozen=True, slots=True)
class Manifest:
    """A bundle's manifest; ``made_at`` in ms since 1970 UTC.

    ``received`` is the serial of the last receipt of the recipient that the sender has applied, 0
    before the first.
    """

    id: str
    serial: int
    made_at: int
    sender: str
    recipient: str
    note: str
    received: int
    lanes: tuple[LaneSums, ...]
    members: tuple[Packed, ...]
    rotations: tuple[Enclosed, ...] = ()
    """The statements by which the sender's keys took over from one another."""


def encode(manifest: Manifest) -> bytes:
    """The bytes that are signed."""
    return orjson.dumps(
        {
            "v": 1,
            "id": manifest.id,
            "serial": manifest.serial,
            "made_at": rfc3339(manifest.made_at),
            "from": manifest.sender,
            "to": manifest.recipient,
            "note": manifest.note,
            "received": manifest.received,
            "rotations": [each.out() for each in manifest.rotations],
            "lanes": [_lane_out(lane) for lane in manifest.lanes],
            "members": [
                {"name": each.name, "size": each.size, "digest": each.digest}
                for each in manifest.members
            ],
        }
    )


def _lane_out(lane: LaneSums) -> dict[str, object]:
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


def decode(data: bytes) -> Manifest:
    """The manifest in ``data``.

    Raises :class:`VerificationError` ``json.*``, ``document.*``, ``ranges.form``, ``manifest.sense``.
    """
    fields = Fields(loads(data, limit=MANIFEST_MAX), "manifest")
    fields.integer("v", 1, 1)
    manifest = Manifest(
        fields.text("id", ID),
        fields.integer("serial", 1, _COUNT_MAX),
        _moment(fields, "made_at"),
        fields.text("from", NODE),
        fields.text("to", NODE),
        fields.text("note", NOTE),
        fields.integer("received", 0, _COUNT_MAX),
        tuple(_lane_in(item) for item in fields.objects("lanes", 0, SEGMENTS_MAX)),
        tuple(_packed(item) for item in fields.objects("members", 0, SEGMENTS_MAX)),
        rotations_in(fields),
    )
    fields.done()
    _check_sense(manifest)
    return manifest


def rotations_in(fields: Fields) -> tuple[Enclosed, ...]:
    """What a manifest says of the rotation statements beside it; raises ``document.*``."""
    found = fields.objects("rotations", 0, ROTATIONS_MAX)
    return tuple(enclosed_in(item, ROTATION, ROTATION_MAX) for item in found)


def _lane_in(item: Fields) -> LaneSums:
    head = item.object("head")
    lane = LaneSums(
        item.text("node", NODE),
        item.text("stream", STREAM),
        parse_ranges(item.text("ranges", _RANGES), limit=SEGMENTS_MAX),
        item.integer("records", 0, _COUNT_MAX),
        item.integer("raw_size", 0, _COUNT_MAX),
        None if item.is_null("first_at") else _moment(item, "first_at"),
        None if item.is_null("last_at") else _moment(item, "last_at"),
        head.text("chain", ID),
        head.integer("seq", 1, SEQ_MAX),
        head.text("digest", DIGEST),
        tuple(_lost_in(lost) for lost in item.objects("lost", 0, SEGMENTS_MAX)),
    )
    head.done()
    item.done()
    return lane


def _lost_in(item: Fields) -> tuple[str, int | None]:
    ranges = item.text("ranges", r"[0-9,-]{0,16384}")
    if ranges:
        parse_ranges(ranges)
    records = None if item.is_null("records") else item.integer("records", 0, _COUNT_MAX)
    item.done()
    return ranges, records


def _packed(item: Fields) -> Packed:
    name = item.text("name", rf"segments/{NODE}/{STREAM}/[0-9]{{12}}\.ndjson\.zst")
    size = item.integer("size", 1, SEGMENT_STORED_MAX)
    digest = item.text("digest", DIGEST)
    item.done()
    _, node, stream, file = name.split("/")
    return Packed(node, stream, int(file[:12]), size, digest)


def _moment(fields: Fields, name: str) -> int:
    try:
        return parse_rfc3339(fields.text(name, _TIME))
    except RecordError as error:
        raise _nonsense(f"its {name} is no time") from error


def _check_sense(manifest: Manifest) -> None:
    places = [(each.node, each.stream, each.seq) for each in manifest.members]
    if places != sorted(set(places)) or any(seq < 1 for *_, seq in places):
        raise _nonsense("its members are not in order, or one stands in it twice")
    if any(node != manifest.sender for node, *_ in places):
        raise _nonsense("it holds another node's segments than its sender's")
    found = [(lane, tuple(numbers)) for lane, numbers in numbers_of(manifest.members)]
    said = [((lane.node, lane.stream), lane.ranges) for lane in manifest.lanes]
    if found != said:
        raise _nonsense("its lanes are not what its members are")
    for lane in manifest.lanes:
        if (lane.first_at is None) != (lane.records == 0) or (
            lane.first_at is not None and (lane.last_at is None or lane.last_at < lane.first_at)
        ):
            raise _nonsense("its times contradict its records")
        if lane.ranges[-1].last > lane.head_seq:
            raise _nonsense("a lane's head lies below its segments")


def numbers_of(members: Sequence[Packed]) -> Iterator[tuple[tuple[str, str], list[Range]]]:
    """The numbers of each lane among ``members``, which are in order."""
    for lane, group in groupby(members, lambda each: each.lane):
        ranges: list[Range] = []
        for each in group:
            if ranges and ranges[-1].last + 1 == each.seq:
                ranges[-1] = Range(ranges[-1].first, each.seq)
            else:
                ranges.append(Range(each.seq, each.seq))
        yield lane, ranges


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


def unlike(
    told: Manifest, held: Mapping[tuple[str, str], Sequence[Statement]]
) -> Iterator[VerificationError]:
    """The lanes of which ``told`` says something else than all of their statements, ``held``, do."""
    for lane in told.lanes:
        head = (lane.head_chain, lane.head_seq, lane.head_digest)
        said = held[lane.node, lane.stream]
        if sums_of(lane.node, lane.stream, lane.ranges, said, head) != lane:
            yield VerificationError(
                "manifest.sums",
                f"The manifest says of {lane.node}/{lane.stream} something else than its segments.",
                "Do not approve it; ask its sender what it holds.",
            )


def check_note(text: str) -> str:
    """``text``, if it may be an operator's note; else :class:`VerificationError` ``manifest.note``."""
    if re.fullmatch(NOTE, text) is None:
        raise VerificationError(
            "manifest.note",
            f"A note has more than {NOTE_MAX} characters, line breaks, or marks that do not show.",
            "Write it on one line of plain text.",
        )
    return text


def _nonsense(why: str) -> VerificationError:
    return VerificationError(
        "manifest.sense",
        f"A manifest contradicts itself: {why}.",
        "Take the bundle from its source again.",
    )
