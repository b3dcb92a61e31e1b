"""What a return bundle holds, for whoever lets it in."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bridge.terminal import counted
from keys.rotation import Rotation
from spool.clock import rfc3339
from spool.ranges import format_ranges

if TYPE_CHECKING:
    from bridge.transfer.bundle import ReturnBundle
    from bridge.transfer.receipt import LaneReceipt, Refused

_SHOWN = 12


def rotated_told(rotations: Sequence[Rotation]) -> list[str]:
    """For people: which keys of its sender took over from which."""
    return [
        f"  says that key {each.new.id[:16]} took over from {each.old.id[:16]}, {each.made_at}"
        for each in rotations
    ]


def _refused(lane: "LaneReceipt") -> "list[Refused]":
    """All refused records that are told of, also those of forks."""
    return [*lane.refused, *(each for fork in lane.forks for each in fork.refused)]


def _texts(lane: "LaneReceipt") -> list[str]:
    """All that a receipt brings in of the beacon's words."""
    return sorted({each.text for each in _refused(lane) if each.text})


def return_told(found: "ReturnBundle") -> tuple[dict[str, Any], list[str]]:
    """As JSON, and for people: every word in it that is no number, digest or signature."""
    told, receipt = found.manifest, found.receipt
    answer = {
        "id": told.id,
        "serial": told.serial,
        "from": told.sender,
        "to": told.recipient,
        "made_at": rfc3339(told.made_at),
        "key": found.signer.id,
        "accepts": list(told.accepts),
        "token": found.token is not None,
        "lanes": [
            {
                "stream": lane.stream,
                "missing": format_ranges(lane.missing),
                "refused": len(lane.refused),
                "forks": [fork.span.first for fork in lane.forks],
                "texts": _texts(lane),
                "in_doubt": lane.in_doubt,
                "spans": [
                    {"first": span.first, "last": span.last, "state": span.state}
                    for span in lane.spans
                ],
            }
            for lane in receipt.lanes
        ],
    }
    lines = [
        f"return bundle {told.serial} of {told.sender} for {told.recipient}",
        f"  made {rfc3339(told.made_at)}",
        f"  signed by key {found.signer.id}",
        *rotated_told(found.rotations),
        f"  it accepts: {', '.join(told.accepts)}",
        "  a license token goes with it, a text signed by the vendor"
        if found.token is not None
        else "  no license token",
        "  everything else in it is numbers, digests, signatures and these words:",
    ]
    for lane in receipt.lanes:
        spans = ", ".join(f"{s.first}-{s.last} {s.state}" for s in lane.spans[:_SHOWN])
        more = ", …" if len(lane.spans) > _SHOWN else ""
        lines.append(f"    {lane.stream}: {spans or 'nothing'}{more}")
        if refused := _refused(lane):
            words = ", ".join(sorted({each.code for each in refused}))
            many = counted(len(refused), "record", "records")
            lines.append(f"      {many} refused ({words})")
            lines += [f"      the beacon's words: {text}" for text in _texts(lane)]
        if lane.in_doubt:
            many = counted(lane.in_doubt, "record", "records")
            lines.append(f"      {many} in doubt: the beacon may have them more than once")
        lines += [f"      fork: {fork.span.first} {fork.span.state}" for fork in lane.forks]
        if lane.missing:
            lines.append(f"      never came: {format_ranges(lane.missing)}")
    return answer, lines
