"""What there is to say of one bundle that was written, in JSON and for people."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bridge.cli.sentrequest import NOT_HELD, held_digest
from spool.clock import rfc3339
from spool.lane import Lane
from spool.ledger_bundles import Packed, Written


def bundle_answer(bundle: Written, segments: list[Mapping[str, Any]] | None) -> Mapping[str, Any]:
    """A bundle in JSON, with its ``segments`` if given."""
    return {
        "at": rfc3339(bundle.at),
        "path": bundle.path,
        "recipient": bundle.recipient,
        "serial": bundle.serial,
        "id": bundle.id,
        "size": bundle.size,
        "sha256": bundle.sha256,
        **({} if segments is None else {"segments": segments}),
    }


def segments_in(spool: Path, packed: Packed) -> list[Mapping[str, Any]]:
    """Its segments, with their digests as far as they are still held."""
    return [
        {"node": node, "stream": stream, "seq": seq, "digest": digest}
        for (node, stream), ranges in packed.items()
        for each in ranges
        for seq in range(each.first, each.last + 1)
        for digest in [held_digest(Lane(spool, node, stream), seq)]
    ]


def bundle_line(bundle: Written) -> str:
    """A bundle for people."""
    return (
        f"{rfc3339(bundle.at)}  bundle {bundle.serial} for {bundle.recipient}: {bundle.path}, "
        f"{bundle.size} bytes, sha256 {bundle.sha256}"
    )


def segment_lines(segments: list[Mapping[str, Any]]) -> Iterator[str]:
    """Its segments for people."""
    for each in segments:
        digest = each["digest"] or NOT_HELD
        yield f"    {each['node']}/{each['stream']} {each['seq']} {digest}"
