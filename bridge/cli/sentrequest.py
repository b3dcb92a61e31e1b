"""What there is to say of one request that left, in JSON and for people."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from bridge.terminal import counted
from keys.errors import VerificationError
from spool.clock import rfc3339
from spool.lane import Lane
from spool.ledger import AuditRow, Batch, Bounds
from spool.ledger_audit import WITHDRAWN
from spool.segment import Segment

NO_ANSWER = "no answer"
FROM_0 = "(counted from 0)"
"""What stands after each line's number."""
NOT_HELD = "no longer held"


def digests_of(lane: Lane, bounds: Bounds) -> list[Mapping[str, Any]]:
    """The segments that a request carried, with their digests as far as they are still held."""
    return [
        {"seq": seq, "digest": digest_of(lane, bounds.chain, seq)}
        for seq in range(bounds.first_seq, _last(bounds) + 1)
    ]


def digest_of(lane: Lane, chain: str, seq: int) -> str | None:
    """The digest of a segment of that chain; None where it is not held."""
    return held_digest(lane, seq, chain)


def held_digest(lane: Lane, seq: int, chain: str | None = None) -> str | None:
    """The digest of a segment, of ``chain`` if one is given; None where it is not held."""
    try:
        with Segment.open(lane.segment(seq)) as segment:
            said = segment.statement
            if (said.node, said.stream, said.seq) != (lane.node, lane.stream, seq):
                return None
            return segment.digest if chain in (None, said.chain) else None
    except (FileNotFoundError, VerificationError):
        return None


def _bounds(bounds: Bounds) -> Mapping[str, Any]:
    return {
        "chain": bounds.chain,
        "from": {"seq": bounds.first_seq, "line": bounds.first_line},
        "before": {"seq": bounds.last_seq, "line": bounds.end_line},
    }


def row_answer(row: AuditRow, segments: list[Mapping[str, Any]] | None) -> Mapping[str, Any]:
    """An answered request in JSON."""
    answer = row.answer
    return {
        "at": rfc3339(answer.at),
        "to": answer.to,
        "path": urlsplit(answer.to).path,
        "node": row.node,
        "stream": row.stream,
        **_bounds(row.bounds),
        "records": answer.sent.records,
        "raw_size": answer.sent.raw_size,
        "key": row.key,
        "status": answer.status,
        "verdict": answer.verdict,
        "accepted": answer.accepted,
        "in_doubt": row.in_doubt,
        "text": answer.text,
        **({} if segments is None else {"segments": segments}),
    }


def attempt_answer(lane: Lane, batch: Batch) -> Mapping[str, Any]:
    """A request without an answer in JSON."""
    at = batch.attempted_at
    return {
        "at": None if at is None else rfc3339(at),
        "node": lane.node,
        "stream": lane.stream,
        **_bounds(batch.bounds),
        "key": batch.key,
        "attempts": batch.attempts,
    }


def _last(bounds: Bounds) -> int:
    """The last segment of which something was sent; of a heartbeat there are no lines at all."""
    return max(bounds.last_seq - (bounds.end_line == 0), bounds.first_seq)


def _which(bounds: Bounds) -> str:
    last = _last(bounds)
    numbers = f"{bounds.first_seq}" if last == bounds.first_seq else f"{bounds.first_seq}-{last}"
    return numbers + (f" from line {bounds.first_line} {FROM_0}" if bounds.first_line else "")


def row_line(row: AuditRow) -> str:
    """An answered request for people."""
    answer = row.answer
    records = counted(answer.sent.records, "record", "records")
    what = f"{row.node}/{row.stream} {_which(row.bounds)}, {records}"
    if answer.verdict == WITHDRAWN:
        return (
            f"{rfc3339(answer.at)}  {NO_ANSWER}: {what} to {answer.to}, then another way; "
            "the beacon may have it"
        )
    if answer.status is None:
        return f"{rfc3339(answer.at)}  not sent: {what}; this route does not carry it"
    doubt = ", in doubt" if row.in_doubt else ""
    said = f"{answer.status} {answer.verdict}{doubt}"
    return f"{rfc3339(answer.at)}  {said}: {what} to {answer.to}"


def attempt_line(lane: Lane, batch: Batch) -> str:
    """A request without an answer for people."""
    at = "" if batch.attempted_at is None else f"{rfc3339(batch.attempted_at)}  "
    what = f"{lane.node}/{lane.stream} {_which(batch.bounds)}"
    attempts = counted(batch.attempts, "attempt", "attempts")
    return f"{at}{NO_ANSWER}: {what}, {attempts}; the beacon may have it"


def digest_lines(digests: list[Mapping[str, Any]]) -> list[str]:
    """The segments of a request for people."""
    return [f"    {each['seq']} {each['digest'] or NOT_HELD}" for each in digests]
