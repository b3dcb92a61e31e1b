"""What of a node's lanes the beacon has got, told to a relay that would miss it otherwise."""

from collections.abc import Iterator
from pathlib import Path

from bridge.transfer.manifest import Sent
from keys.errors import VerificationError
from spool.discovery import said_by
from spool.head import Head, read_head
from spool.lane import Lane
from spool.ledger import Elsewhere, Ledger, Span, State
from spool.segment import Segment
from spool.streams import STREAMS

RUNS_MAX = 100
"""Runs of a lane that are told, the newest; what lies before was told by earlier bundles."""


def sent_elsewhere(ledger: Ledger, spool: Path, node: str) -> tuple[Sent, ...]:
    """The runs of delivered numbers of ``node``, as a manifest has them. Raises :class:`OSError`."""
    return tuple(
        Sent(stream, run)
        for stream in sorted(STREAMS)
        for run in _runs(ledger, Lane(spool, node, stream))
    )


def _runs(ledger: Ledger, lane: Lane) -> Iterator[Elsewhere]:
    head = read_head(lane)
    if head is None:
        return
    for span in ledger.spans(lane, State.DELIVERED)[-RUNS_MAX:]:
        digest = _last_digest(lane, head, span)
        if digest is not None:
            yield Elsewhere(span.chain, span.first, span.last, digest)


def _last_digest(lane: Lane, head: Head, span: Span) -> str | None:
    """The digest of the last segment of ``span``; None where neither it nor the next one is held."""
    if (head.chain, head.seq) == (span.chain, span.last):
        return head.digest
    after = said_by(lane, span.last + 1)
    if after is not None and after.chain == span.chain:
        return after.prev
    try:
        with Segment.open(lane.segment(span.last)) as segment:
            return segment.digest if segment.statement.chain == span.chain else None
    except (FileNotFoundError, VerificationError):
        return None
