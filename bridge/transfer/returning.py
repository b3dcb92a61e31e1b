"""The way back: what a relay knows of a node's lanes, and what the node makes of it.

A receipt is a relay's word. It moves what it names as an answer of the beacon would, as far as the
digests in it are of segments of ours; delivered stays delivered, and nothing is deleted.
"""

import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bridge.transfer.bundle import MANIFEST_NAME, ReturnBundle
from bridge.transfer.enclosing import Enclosed, rotation_members
from bridge.transfer.importing import wanting
from bridge.transfer.receipt import (
    FORMATS,
    RECEIPT_MAX,
    RECEIPT_TYPE,
    REFUSED_MAX,
    RETURN_TYPE,
    SPANS_MAX,
    LaneReceipt,
    Receipt,
    Refused,
    Return,
    Span,
    encode_receipt,
    encode_return,
)
from bridge.transfer.slip import sum_of
from bridge.transfer.writing import Medium, Source, write
from keys import dsse
from keys.ed25519 import SigningKey
from keys.errors import VerificationError, shown
from spool.clock import Clock
from spool.discovery import said_by, totals_before
from spool.head import Head, read_head
from spool.lane import SEQ_MAX, Lane, lanes
from spool.ledger import DISCARDED, Ledger, RecordException, State
from spool.ranges import Range
from spool.segment import Segment

_TOO_LARGE = 413
_WORD = "receipt"
_UNPRINTABLE = re.compile(r"[^ -~]")


def receipt_for(
    ledger: Ledger, spool: Path, relay: str, node: str, clock: Clock, text_max: int = 0
) -> Receipt:
    """All that is known here of ``node``, as a receipt with a serial of its own.

    Of each answer of the beacon's it carries at most ``text_max`` characters, those that are printable.
    Raises :class:`VerificationError` ``receipt.nothing`` where nothing of that node ever came.
    """
    found = [lane for lane in lanes(spool) if lane.node == node and lane.imported.exists()]
    if not found:
        raise VerificationError(
            "receipt.nothing",
            f"Nothing of a node {shown(node)} was ever imported here.",
            "Look at bridge status for the nodes that were.",
        )
    now = clock.wall_ms()
    told = tuple(_lane_receipt(ledger, lane, text_max) for lane in found)
    return Receipt(ledger.next_receipt(node, now), now, relay, node, told)


def _lane_receipt(ledger: Ledger, lane: Lane, text_max: int) -> LaneReceipt:
    refused = [
        Refused(
            each.seq,
            each.line,
            each.status,
            "too_large" if each.status == _TOO_LARGE else "refused",
            # Where a person here gave it up, the text is that person's, and no answer.
            "" if each.verdict == DISCARDED else _UNPRINTABLE.sub("?", each.text)[:text_max],
        )
        for each in ledger.exceptions(lane)
    ]
    # What there is no room to call refused must not be called delivered either.
    end = refused[REFUSED_MAX].seq if len(refused) > REFUSED_MAX else SEQ_MAX + 1
    refused = [each for each in refused if each.seq < end]
    spans = []
    for span in ledger.spans(lane)[:SPANS_MAX]:
        last = min(span.last, end - 1)
        digest = ledger.imported_digest(lane, last) if span.first <= last else None
        state = "pending" if span.state is State.EXPORTED else str(span.state)
        if digest is not None and state in ("pending", "delivered", "quarantined"):
            spans.append(Span(span.chain, span.first, last, state, digest))
    counts = [c for c in ledger.counts() if (c.node, c.stream) == (lane.node, lane.stream)]
    return LaneReceipt(
        lane.stream,
        tuple(spans),
        tuple(refused),
        tuple(wanting(ledger, lane)),
        sum(each.in_doubt for each in counts),
    )


def write_return(
    folder: Path,
    name: str | None,
    receipt: Receipt,
    token: bytes | None,
    *,
    signer: SigningKey,
    age: Sequence[str],
    clock: Clock,
    progress: Callable[[int], None] = lambda _: None,
) -> tuple[Path, Return, Medium]:
    """Write the return bundle that carries ``receipt``, and ``token`` if there is one.

    Raises :class:`VerificationError` ``receipt.too_large``, and as
    :func:`bridge.transfer.writing.write` does.
    """
    envelope = dsse.seal(RECEIPT_TYPE, encode_receipt(receipt), [signer])
    if len(envelope) > RECEIPT_MAX:
        raise VerificationError(
            "receipt.too_large",
            f"The receipt would have more than {RECEIPT_MAX} bytes, and no reader takes that.",
            "Set transfer.return_text to 0, or run: bridge replay --state quarantined",
        )
    held = [("receipt.dsse.json", envelope)]
    if token is not None:
        held.append(("token.jwt", token))
    rotated = rotation_members(signer.rotations)
    told = Return(
        secrets.token_hex(16),
        receipt.serial,
        clock.wall_ms(),
        receipt.relay,
        receipt.node,
        FORMATS,
        tuple(Enclosed.of(member, data) for member, data in held),
        tuple(member for member, _ in rotated),
    )
    signed = dsse.seal(RETURN_TYPE, encode_return(told), [signer])
    sources = [Source(MANIFEST_NAME, len(signed), signed)]
    sources += [Source(member.name, member.size, data) for member, data in rotated]
    sources += [Source(member, len(data), data) for member, data in held]
    ending = "agr.age" if age else "agr"
    path = folder / (name or f"{told.sender}-to-{told.recipient}-{told.serial:06d}.{ending}")
    medium = write(path, sources, age, progress)
    sum_of(path, medium)
    return path, told, medium


@dataclass(slots=True)
class Applied:
    """What a receipt did: records that it moved, by state, and what it asks for."""

    stale: bool = False
    delivered: int = 0
    quarantined: int = 0
    pending: int = 0
    missing: int = 0
    foreign: list[tuple[str, int]] = field(default_factory=list)
    """Stream and number of spans whose digest is not that of a segment of ours."""


def apply(
    ledger: Ledger, spool: Path, node: str, found: ReturnBundle, clock: Clock, *, dry_run: bool
) -> Applied:
    """Let the receipt in ``found`` move what it names; twice, or late, changes nothing.

    Raises :class:`VerificationError` ``bundle.recipient`` where it is for another node,
    ``receipt.record`` where it names a record that there is not.
    """
    receipt = found.receipt
    if receipt.node != node:
        raise VerificationError(
            "bundle.recipient",
            f"The return bundle is for {shown(receipt.node)}, and this is {node}.",
            "Carry it to its recipient; nothing was changed.",
        )
    applied = Applied()
    applied.stale = receipt.serial < ledger.receipt_from(receipt.relay)
    missing = []
    heard = [_heard(Lane(spool, node, told.stream), told) for told in receipt.lanes]
    for each in heard:
        for span in each.told.spans:
            if each.head is None or span not in each.ours:
                applied.foreign.append((each.told.stream, span.last))
                continue
            _apply_span(
                ledger,
                each.lane,
                each.head,
                span,
                each.told,
                applied=applied,
                at=clock.wall_ms(),
                dry_run=dry_run,
            )
        missing += [(each.lane, numbers) for numbers in each.told.missing]
        applied.missing += sum(map(len, each.told.missing))
    if not dry_run and not applied.stale:
        ledger.note_receipt(receipt.relay, receipt.serial, clock.wall_ms(), missing)
    return applied


@dataclass(frozen=True, slots=True)
class _Heard:
    """What a receipt tells of a lane: which of its spans end with a segment that we sealed."""

    lane: Lane
    head: Head | None
    told: LaneReceipt
    ours: Sequence[Span]


def _heard(lane: Lane, told: LaneReceipt) -> _Heard:
    """Judged before anything moves; raises :class:`VerificationError` ``receipt.record``."""
    head = read_head(lane)
    if head is None:
        return _Heard(lane, None, told, ())
    ours = [span for span in told.spans if _is_ours(lane, head, span)]
    # The books count what is refused off what is delivered: it must be records that there are.
    last = {each.seq: each.line for each in told.refused}  # they are in order
    for seq, line in last.items():
        if any(span.first <= seq <= span.last for span in ours):
            held = totals_before(lane, head, seq + 1) - totals_before(lane, head, seq)
            if line >= held.records:
                raise VerificationError(
                    "receipt.record",
                    f"The receipt says that record {line} of {lane.stream} {seq} was refused, and "
                    f"that segment holds {held.records}.",
                    "Nothing was changed. Ask the relay's operator: its books are not of this spool.",
                )
    return _Heard(lane, head, told, ours)


def _is_ours(lane: Lane, head: Head, span: Span) -> bool:
    """Whether the last segment of ``span`` is the one that we sealed; links vouch for those before."""
    if (head.chain, head.seq, head.digest) == (span.chain, span.last, span.digest):
        return True
    try:
        with Segment.open(lane.segment(span.last)) as segment:
            return (segment.statement.chain, segment.digest) == (span.chain, span.digest)
    except FileNotFoundError:
        pass
    except VerificationError:
        return False
    after = said_by(lane, span.last + 1)
    return after is not None and (after.chain, after.prev) == (span.chain, span.digest)


def _apply_span(
    ledger: Ledger,
    lane: Lane,
    head: Head,
    span: Span,
    told: LaneReceipt,
    *,
    applied: Applied,
    at: int,
    dry_run: bool,
) -> None:
    target = State(span.state)
    for part, state in _stretches(ledger, lane, span):
        before = totals_before(lane, head, part.first)
        after = totals_before(lane, head, part.last + 1)
        records = (after - before).records
        if target is State.PENDING:
            applied.pending += records
            continue
        if state is target:
            continue
        exceptions = [
            RecordException(each.seq, each.line, at, each.code, each.status, each.text or _WORD)
            for each in told.refused
            if part.first <= each.seq <= part.last
        ]
        moved = (
            len(part)
            if dry_run
            else ledger.confirm(
                lane, part, target, before=before, after=after, exceptions=exceptions
            )
        )
        if moved and target is State.DELIVERED:
            applied.delivered += records - len(exceptions)
            applied.quarantined += len(exceptions)
        elif moved:
            applied.quarantined += records


def _stretches(ledger: Ledger, lane: Lane, span: Span) -> Iterator[tuple[Range, State]]:
    """What the ledger has of the numbers of ``span``, in that chain, each in one state."""
    for known in ledger.spans(lane):
        first, last = max(known.first, span.first), min(known.last, span.last)
        if first <= last and known.chain == span.chain:
            yield Range(first, last), known.state
