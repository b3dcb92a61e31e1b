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
from bridge.transfer.fields import COUNT_MAX, ID, NODE, SEGMENTS_MAX, STREAM, moment_in, nonsense
from bridge.transfer.lanesums import LaneSums, lane_in, lane_out, sums_of
from keys.errors import VerificationError
from keys.rotation import ROTATION_MAX, ROTATIONS_MAX
from keys.strictjson import Fields, loads
from spool.clock import rfc3339
from spool.lane import SEQ_MAX
from spool.ledger import Elsewhere
from spool.ranges import Range
from spool.segment import SEGMENT_STORED_MAX
from spool.statement import Statement

PAYLOAD_TYPES = {
    version: f"application/vnd.airgap-bridge.bundle.v{version}+json" for version in (1, 2)
}
"""By version. Version 2 tells also what the beacon got another way."""
ELSEWHERE_MAX = 1000
"""Runs of numbers that went another way, in a manifest."""
MANIFEST_MAX = 4 * 1024 * 1024
"""Bytes of a manifest's envelope: 4,096 members of 500 bytes, in base64."""
NOTE_MAX = 500
"""Characters of the operator's note."""
_CONTROLS = r"\x00-\x1f\x7f-\x9f"
_FORMATS = r"\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
_INVISIBLE = r"\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0"
_SURROGATES = r"\ud800-\udfff"
"""What the command line has where it was given bytes that are no UTF-8."""
_TAGS = r"\U000e0000-\U000e0fff"
NOTE = rf"[^{_CONTROLS}{_FORMATS}{_INVISIBLE}{_SURROGATES}{_TAGS}]{{0,{NOTE_MAX}}}"
"""On one line, without controls and invisible marks: whole messages hide in them. The ranges stand
here, for what Python knows of Unicode differs from machine to machine, and both sides must agree."""


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
class Sent:
    """Adjacent segments that the sender sent to the beacon itself."""

    stream: str
    run: Elsewhere


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
    elsewhere: tuple[Sent, ...] | None = None
    """What of the sender's lanes the beacon got another way; None in version 1, which cannot say it."""

    @property
    def version(self) -> int:
        """The version of its format."""
        return 1 if self.elsewhere is None else 2


def encode(manifest: Manifest) -> bytes:
    """The bytes that are signed."""
    told = {} if manifest.elsewhere is None else {"elsewhere": _sent_out(manifest.elsewhere)}
    return orjson.dumps(
        {
            "v": manifest.version,
            "id": manifest.id,
            "serial": manifest.serial,
            "made_at": rfc3339(manifest.made_at),
            "from": manifest.sender,
            "to": manifest.recipient,
            "note": manifest.note,
            "received": manifest.received,
            "rotations": [each.out() for each in manifest.rotations],
            "lanes": [lane_out(lane) for lane in manifest.lanes],
            "members": [
                {"name": each.name, "size": each.size, "digest": each.digest}
                for each in manifest.members
            ],
            **told,
        }
    )


def _sent_out(elsewhere: Sequence[Sent]) -> list[dict[str, object]]:
    return [
        {
            "stream": each.stream,
            "chain": each.run.chain,
            "first": each.run.first,
            "last": each.run.last,
            "digest": each.run.digest,
        }
        for each in elsewhere
    ]


def decode(data: bytes, version: int = 1) -> Manifest:
    """The manifest in ``data``, of that ``version``.

    Raises :class:`VerificationError` ``json.*``, ``document.*``, ``ranges.form``, ``manifest.sense``.
    """
    fields = Fields(loads(data, limit=MANIFEST_MAX), "manifest")
    fields.integer("v", version, version)
    manifest = Manifest(
        fields.text("id", ID),
        fields.integer("serial", 1, COUNT_MAX),
        moment_in(fields, "made_at"),
        fields.text("from", NODE),
        fields.text("to", NODE),
        fields.text("note", NOTE),
        fields.integer("received", 0, COUNT_MAX),
        tuple(lane_in(item) for item in fields.objects("lanes", 0, SEGMENTS_MAX)),
        tuple(_packed(item) for item in fields.objects("members", 0, SEGMENTS_MAX)),
        rotations_in(fields),
        None
        if version == 1
        else tuple(_sent_in(item) for item in fields.objects("elsewhere", 0, ELSEWHERE_MAX)),
    )
    fields.done()
    _check_sense(manifest)
    return manifest


def _sent_in(item: Fields) -> Sent:
    stream = item.text("stream", STREAM)
    run = Elsewhere(
        item.text("chain", ID),
        item.integer("first", 1, SEQ_MAX),
        item.integer("last", 1, SEQ_MAX),
        item.text("digest", DIGEST),
    )
    item.done()
    return Sent(stream, run)


def rotations_in(fields: Fields) -> tuple[Enclosed, ...]:
    """What a manifest says of the rotation statements beside it; raises ``document.*``."""
    found = fields.objects("rotations", 0, ROTATIONS_MAX)
    return tuple(enclosed_in(item, ROTATION, ROTATION_MAX) for item in found)


def _packed(item: Fields) -> Packed:
    name = item.text("name", rf"segments/{NODE}/{STREAM}/[0-9]{{12}}\.ndjson\.zst")
    size = item.integer("size", 1, SEGMENT_STORED_MAX)
    digest = item.text("digest", DIGEST)
    item.done()
    _, node, stream, file = name.split("/")
    return Packed(node, stream, int(file[:12]), size, digest)


def _check_sense(manifest: Manifest) -> None:
    places = [(each.node, each.stream, each.seq) for each in manifest.members]
    if places != sorted(set(places)) or any(seq < 1 for *_, seq in places):
        raise nonsense("its members are not in order, or one stands in it twice")
    if any(node != manifest.sender for node, *_ in places):
        raise nonsense("it holds another node's segments than its sender's")
    found = [(lane, tuple(numbers)) for lane, numbers in numbers_of(manifest.members)]
    said = [((lane.node, lane.stream), lane.ranges) for lane in manifest.lanes]
    if found != said:
        raise nonsense("its lanes are not what its members are")
    ends = ("", 0)
    for sent in manifest.elsewhere or ():
        if not (ends < (sent.stream, sent.run.first) and sent.run.first <= sent.run.last):
            raise nonsense("what went another way is not in order")
        ends = (sent.stream, sent.run.last)
    for lane in manifest.lanes:
        if (lane.first_at is None) != (lane.records == 0) or (
            lane.first_at is not None and (lane.last_at is None or lane.last_at < lane.first_at)
        ):
            raise nonsense("its times contradict its records")
        if lane.ranges[-1].last > lane.head_seq:
            raise nonsense("a lane's head lies below its segments")


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
