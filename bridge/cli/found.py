"""What there is to say of one segment file, in JSON and for people."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bridge.terminal import counted
from keys.errors import BridgeError
from spool.clock import rfc3339
from spool.statement import Statement


@dataclass
class Found:
    """What was found out; ``signature`` is verified, untrusted, bad, or unknown without a key."""

    said: Statement
    digest: str
    stored_size: int
    key: str
    signature: str = "unknown"
    frames: int = 0
    error: BridgeError | None = None
    shown: list[str] = field(default_factory=list)


def answer_of(path: Path, found: Found) -> Mapping[str, Any]:
    """The answer in JSON, without the lines."""
    said, error = found.said, found.error
    answer = {
        "path": str(path),
        "kind": "segment",
        "valid": error is None,
        "node": said.node,
        "stream": said.stream,
        "chain": said.chain,
        "seq": said.seq,
        "prev": said.prev,
        "digest": found.digest,
        "records": said.records,
        "raw_size": said.raw_size,
        "size": said.size,
        "stored_size": found.stored_size,
        "frames": found.frames,
        "sha256": said.sha256,
        "before": {"records": said.before.records, "raw_size": said.before.raw_size},
        "first_at": None if said.first_at is None else rfc3339(said.first_at),
        "last_at": None if said.last_at is None else rfc3339(said.last_at),
        "reason": said.reason,
        "policy": said.policy,
        "follows": None
        if said.follows is None
        else {
            "chain": said.follows.chain,
            "seq": said.follows.seq,
            "digest": said.follows.digest,
            "why": said.follows.why,
        },
        "lost": None
        if said.lost is None
        else {
            "ranges": said.lost.ranges,
            "records": said.lost.records,
            "raw_size": said.lost.raw_size,
            "why": said.lost.why,
        },
        "of": said.of,
        "signature": {"key": found.key, "state": found.signature},
    }
    if error is not None:
        answer["error"] = {"id": error.id, "message": error.message, "hint": error.hint}
    return answer


_SIGNATURE = {
    "verified": "verified, the key is trusted",
    "untrusted": "by a key that is not trusted for this node",
    "bad": "bad: this key did not sign it",
    "unknown": "not verified: could not tell, no key given (--key PUB.pem)",
}


def lines_of(path: Path, found: Found) -> list[str]:
    """The same for people."""
    said = found.said
    valid = "no" if found.error else "yes"
    if found.error is None and found.signature == "unknown":
        valid = "its bytes are; nobody has vouched for them"
    lines = [
        f"segment    {path}",
        f"lane       {said.node}/{said.stream} {said.seq}, chain {said.chain}",
        f"valid      {valid}",
        f"signature  {_SIGNATURE[found.signature]}",
        f"key        {found.key}",
        f"digest     {found.digest}",
        f"records    {said.records}, after {said.before.records} in its chain",
        f"size       {found.stored_size} bytes stored, {said.raw_size} bytes of records",
        f"sealed by  {said.reason}",
    ]
    if said.first_at is not None and said.last_at is not None:
        lines.append(f"accepted   {rfc3339(said.first_at)} to {rfc3339(said.last_at)}")
    if said.follows is not None:
        follows = said.follows
        lines.append(f"follows    chain {follows.chain} up to {follows.seq} ({follows.why})")
    if said.lost is not None:
        lost = said.lost
        many = (
            "nobody knows how many records"
            if lost.records is None
            else counted(lost.records, "record", "records")
        )
        lines.append(f"lost       {many}, segments {lost.ranges or '-'} ({lost.why})")
    if said.of is not None:
        lines.append(f"saved from segment {said.of}")
    return lines
