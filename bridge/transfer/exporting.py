"""Packs segments into bundles: chosen, signed, written, read back, and only then called exported."""

import secrets
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bridge.transfer import manifest as manifests
from bridge.transfer import ustar
from bridge.transfer.bundle import MANIFEST_NAME
from bridge.transfer.enclosing import rotation_members
from bridge.transfer.fields import RANGES_TEXT_MAX, SEGMENTS_MAX
from bridge.transfer.lanesums import sums_of
from bridge.transfer.manifest import PAYLOAD_TYPES, Manifest, Packed, name_of, numbers_of
from bridge.transfer.sentelsewhere import sent_elsewhere
from bridge.transfer.slip import bundle_slip, slip_of
from bridge.transfer.sources import DamagedSourceError, Source, Stored
from bridge.transfer.writing import Medium, write
from keys import dsse
from keys.ed25519 import SigningKey
from keys.errors import VerificationError
from spool.clock import Clock
from spool.head import read_head
from spool.lane import Lane
from spool.ledger import Ledger
from spool.ranges import Range
from spool.segment import Segment
from spool.statement import Statement
from spool.totals import Totals

MANIFEST_ROOM = 512
"""Bytes of the manifest's envelope for a segment, at most; and the same for its header and padding."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A segment to be packed: where it lies, and what its seal says."""

    lane: Lane
    said: Statement
    packed: Packed


@dataclass(frozen=True, slots=True)
class Exported:
    """A bundle that was written, or with a dry run would be."""

    path: Path
    manifest: Manifest
    medium: Medium | None
    encrypted: bool


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done: from whom to whom, where to, how large, what the operator says of it."""

    sender: str
    recipient: str
    folder: Path
    name: str | None
    size_max: int
    age: Sequence[str]
    note: str


def chosen(lane: Lane, numbers: Sequence[Range]) -> Iterator[Chosen]:
    """The segments of ``lane`` with these numbers, ascending; what is missing is left out.

    Raises :class:`DamagedSourceError` for one that is no segment, or :class:`OSError`.
    """
    held = list(lane.sealed_numbers())
    for each in numbers:
        # Numbers may come from outside: what is held is gone through, not what is named.
        for seq in held[bisect_left(held, each.first) : bisect_right(held, each.last)]:
            try:
                with Segment.open(lane.segment_place(seq)) as segment:
                    segment.check_place(lane.node, lane.stream, seq)
                    said, digest, size = segment.statement, segment.digest, segment.stored_size
            except FileNotFoundError:
                continue
            except VerificationError as error:
                raise DamagedSourceError(name_of(lane.node, lane.stream, seq)) from error
            yield Chosen(lane, said, Packed(lane.node, lane.stream, seq, size, digest))


def parted(found: Sequence[Chosen], size_max: int) -> Iterator[list[Chosen]]:
    """``found``, in parts that a bundle of ``size_max`` bytes holds each.

    Raises :class:`VerificationError` ``export.max_size`` where a single segment is too large for it.
    """
    part: list[Chosen] = []
    holes = 0
    room = size_max - 8 * ustar.BLOCK
    for each in found:
        needs = each.packed.size + 2 * MANIFEST_ROOM + 2 * ustar.BLOCK
        if needs > size_max - 8 * ustar.BLOCK:
            raise VerificationError(
                "export.max_size",
                f"Segment {each.packed.seq} of {each.lane.node}/{each.lane.stream} alone needs "
                f"{needs + 8 * ustar.BLOCK} bytes.",
                "Give a larger --max-size.",
            )
        if not part or part[-1].lane != each.lane:
            holes = 0
        elif part[-1].packed.seq + 1 != each.packed.seq:
            holes += 1
        # Two numbers with what parts them, for each range.
        text = (holes + 1) * (2 * len(str(each.packed.seq)) + 2)
        if part and (needs > room or len(part) == SEGMENTS_MAX or text > RANGES_TEXT_MAX):
            yield part
            part, room, holes = [], size_max - 8 * ustar.BLOCK, 0
        part.append(each)
        room -= needs
    if part:
        yield part


class Exporter:
    """Writes bundles of one node."""

    def __init__(self, ledger: Ledger, signer: SigningKey, clock: Clock) -> None:
        self._ledger = ledger
        self._signer = signer
        self._clock = clock
        self._rotations = rotation_members(signer.rotations)

    def export(
        self,
        part: Sequence[Chosen],
        order: Order,
        progress: Callable[[int], None] = lambda _: None,
        *,
        dry_run: bool = False,
    ) -> Exported:
        """Write one bundle of ``part``, whose segments are pending or exported.

        Raises :class:`SpoolError`, :class:`VerificationError` or :class:`OSError`; then nothing that
        looks whole is there, and nothing was exported.
        """
        identity = secrets.token_hex(16)
        now = self._clock.wall_ms()
        if dry_run:
            told = self._manifest(part, order, identity, 1, now)
            return Exported(order.folder / "", told, None, bool(order.age))
        numbers = [
            (Lane(part[0].lane.spool, *lane), each)
            for lane, ranges in numbers_of([chosen.packed for chosen in part])
            for each in ranges
        ]
        serial = self._ledger.begin_bundle(
            identity, now, order.recipient, str(order.folder.absolute()), numbers
        )
        try:
            told = self._manifest(part, order, identity, serial, now)
            path = order.folder / (order.name or file_name(told, encrypted=bool(order.age)))
            medium = write(path, list(self._sources(told, part)), order.age, progress)
            slip_of(path, bundle_slip(path.name, told, medium), medium)
        except BaseException:
            self._ledger.drop_bundle(serial)
            raise
        parts = list(_stretches(part, self._ledger))
        self._ledger.end_bundle(serial, str(path.absolute()), medium.size, medium.sha256, parts)
        return Exported(path, told, medium, bool(order.age))

    def _sources(self, told: Manifest, part: Sequence[Chosen]) -> Iterator[Source]:
        envelope = dsse.seal(PAYLOAD_TYPES[told.version], manifests.encode(told), [self._signer])
        yield Source(MANIFEST_NAME, len(envelope), envelope)
        for member, data in self._rotations:
            yield Source(member.name, member.size, data)
        for each in part:
            stored = Stored(
                each.lane.segment_place(each.packed.seq), each.said.size, each.said.sha256
            )
            yield Source(each.packed.name, each.packed.size, stored)

    def _manifest(
        self, part: Sequence[Chosen], order: Order, identity: str, serial: int, now: int
    ) -> Manifest:
        packed = tuple(each.packed for each in part)
        lanes = []
        for (node, stream), ranges in numbers_of(packed):
            inside = [each for each in part if each.packed.lane == (node, stream)]
            head = read_head(inside[0].lane)
            if head is None:
                raise VerificationError(
                    "spool.head_lost",
                    f"The lane {node}/{stream} has lost its head.",
                    "Start the daemon once; it begins a new chain that says so.",
                )
            said = [each.said for each in inside]
            lanes.append(sums_of(node, stream, ranges, said, (head.chain, head.seq, head.digest)))
        return Manifest(
            identity,
            serial,
            now,
            order.sender,
            order.recipient,
            manifests.check_note(order.note),
            self._ledger.newest_receipt(order.recipient).serial,
            tuple(lanes),
            packed,
            tuple(member for member, _ in self._rotations),
            sent_elsewhere(self._ledger, part[0].lane.spool, order.sender)
            if self._reads_version_2(order.recipient)
            else None,
        )

    def _reads_version_2(self, relay: str) -> bool:
        """Whether ``relay`` does, as far as it has said; every relay that was released does."""
        said = self._ledger.accepts(relay)
        return not said or "bundle.v2" in said


def file_name(told: Manifest, *, encrypted: bool) -> str:
    """What a bundle is called where nobody says otherwise."""
    ending = "agb.age" if encrypted else "agb"
    return f"{told.sender}-to-{told.recipient}-{told.serial:06d}.{ending}"


def _stretches(
    part: Sequence[Chosen], ledger: Ledger
) -> Iterator[tuple[Lane, Range, Totals, Totals]]:
    """The runs of adjacent segments in one state, with the chain's totals around them."""
    lanes = {each.lane for each in part}
    begins = {(lane, span.first) for lane in lanes for span in ledger.spans(lane)}
    run: list[Chosen] = []
    for each in part:
        if run and not (
            run[-1].lane == each.lane
            and run[-1].said.chain == each.said.chain
            and run[-1].said.seq + 1 == each.said.seq
            and (each.lane, each.said.seq) not in begins
        ):
            yield _stretch(run)
            run = []
        run.append(each)
    if run:
        yield _stretch(run)


def _stretch(run: Sequence[Chosen]) -> tuple[Lane, Range, Totals, Totals]:
    first, last = run[0], run[-1]
    return first.lane, Range(first.said.seq, last.said.seq), first.said.before, last.said.after
