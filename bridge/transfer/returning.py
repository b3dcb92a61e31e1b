"""The way back: what a relay knows of a node's lanes, and what the node makes of it.

A receipt is a relay's word. It moves what it names as an answer of the beacon would, as far as the
digests in it are of segments of ours; delivered stays delivered, and nothing is deleted.
"""

import re
import secrets
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bridge.transfer.bundle import MANIFEST_NAME
from bridge.transfer.enclosing import Enclosed, rotation_members
from bridge.transfer.fields import RANGES_TEXT_MAX
from bridge.transfer.gaps import wanting
from bridge.transfer.receipt import (
    RECEIPT_TYPE,
    STATES,
    Fork,
    LaneReceipt,
    Receipt,
    Refused,
    Span,
    encode_receipt,
)
from bridge.transfer.receiptroom import within
from bridge.transfer.returnmanifest import FORMATS, RETURN_TYPE, Return, encode_return
from bridge.transfer.slip import return_slip, slip_of
from bridge.transfer.sources import Source
from bridge.transfer.writing import Medium, write
from keys import dsse
from keys.ed25519 import SigningKey
from keys.errors import VerificationError, shown
from keys.truststore import TrustStore
from spool.chain import NEW_CHAIN_STEP
from spool.clock import Clock
from spool.discovery import said_by
from spool.lane import Lane, lanes
from spool.ledger import DISCARDED, Ledger, State
from spool.ranges import RANGES_MAX, Range, format_ranges

_TOO_LARGE = 413
_WORD = "receipt"
_MANY = 2000
"""Refused records of a lane: for fewer there is room, whatever other lanes hold."""
_UNPRINTABLE = re.compile(r"[^ -~]")


def receipt_for(
    ledger: Ledger,
    trust: TrustStore,
    spool: Path,
    relay: str,
    node: str,
    clock: Clock,
    *,
    text_max: int = 0,
    dry_run: bool = False,
) -> tuple[Receipt, int]:
    """What is known here of ``node``, as a receipt with a serial of its own (a dry run takes none).

    All of it, as far as a receipt has room (see :func:`bridge.transfer.receiptroom.within`); and how
    many segments are left out for want of it.

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
    told = tuple(_lane_receipt(ledger, trust, lane, text_max) for lane in found)
    serial = 1 if dry_run else ledger.next_receipt(node, now)
    whole = Receipt(serial, now, relay, node, told)
    receipt = within(whole)
    return receipt, _segments(whole) - _segments(receipt)


def _segments(receipt: Receipt) -> int:
    return sum(len(lane.forks) + sum(map(len, lane.spans)) for lane in receipt.lanes)


def _lane_receipt(ledger: Ledger, trust: TrustStore, lane: Lane, text_max: int) -> LaneReceipt:
    refused = _refused_of(ledger, lane, text_max)
    spans: list[Span] = []
    forks = ledger.forks(lane)
    # A digest vouches for what it is linked to: not for what lies before a fork, or a broken link.
    cuts = sorted(
        {
            *(seq for seq, _ in forks),
            *ledger.unlinked(lane),
            *_left_at(ledger, lane),
            *_around(refused),
        }
    )
    for span in ledger.spans(lane):
        for part in _cut(Range(span.first, span.last), cuts):
            digest = ledger.imported_digest(lane, part.last)
            state = _word_for(span.state)
            if digest is not None and state is not None:
                spans.append(Span(span.chain, part.first, part.last, state, digest))
    counts = [c for c in ledger.counts() if (c.node, c.stream) == (lane.node, lane.stream)]
    return LaneReceipt(
        lane.stream,
        tuple(spans),
        tuple(refused),
        tuple(_asked_for(wanting(ledger, lane, trust))),
        sum(each.in_doubt for each in counts),
        tuple(_forks(ledger, lane, forks, text_max)),
    )


def _around(refused: Sequence[Refused]) -> Iterator[int]:
    """Where there may be no room for all of ``refused``, a segment with any is a run by itself.

    What was delivered whole is told then, whatever becomes of the others.
    """
    if len(refused) > _MANY:
        for seq in {each.seq for each in refused}:
            yield from (seq, seq + 1)


def _asked_for(wanted: Sequence[Range]) -> Iterator[Range]:
    """The first numbers that are wanting, as many as a reader takes; the rest is asked for later."""
    room = RANGES_TEXT_MAX
    for each in wanted[:RANGES_MAX]:
        room -= len(format_ranges([each])) + 1
        if room < 0:
            return
        yield each


def _left_at(ledger: Ledger, lane: Lane) -> Iterator[int]:
    """Where chains were left: a spool that was set back knows the beginning of its old chain alone."""
    for each in (lane, *lane.fork_lanes()):
        for span in ledger.spans(each):
            if span.first % NEW_CHAIN_STEP == 0:
                said = said_by(each, span.first)
                if said is not None and said.follows is not None:
                    yield said.follows.seq + 1


def _forks(
    ledger: Ledger, lane: Lane, found: Sequence[tuple[int, str]], text_max: int
) -> Iterator[Fork]:
    for seq, digest in found:
        fork = lane.fork_of(seq, digest)
        refused = tuple(_refused_of(ledger, fork, text_max))
        for span in ledger.spans(fork):
            state = _word_for(span.state)
            if state is not None:
                yield Fork(Span(span.chain, seq, seq, state, digest), refused)


def _refused_of(ledger: Ledger, lane: Lane, text_max: int) -> list[Refused]:
    return [
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


def _word_for(state: State) -> str | None:
    word = "pending" if state is State.EXPORTED else str(state)
    return word if word in STATES else None


def _cut(numbers: Range, cuts: Sequence[int]) -> Iterator[Range]:
    """``numbers``, in parts that begin at ``cuts``."""
    first = numbers.first
    for cut in cuts[bisect_right(cuts, first) :]:
        if cut > numbers.last:
            break
        yield Range(first, cut - 1)
        first = cut
    if first <= numbers.last:
        yield Range(first, numbers.last)


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

    Raises as :func:`bridge.transfer.writing.write` does.
    """
    envelope = dsse.seal(RECEIPT_TYPE, encode_receipt(receipt), [signer])
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
    slip_of(path, return_slip(path.name, told, receipt, medium), medium)
    return path, told, medium
