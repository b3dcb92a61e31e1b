"""What a bundle or a return bundle holds, for whoever approves it; each of its segments verified."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge.cli.inspectreturn import return_told, rotated_told
from bridge.cli.keyring import own_keys_of, read_key_file
from bridge.cli.peers import identity_of, trust_of
from bridge.cli.session import Session
from bridge.terminal import counted
from keys.ed25519 import PublicKey
from keys.errors import BridgeError, ConfigError, VerificationError
from keys.rotation import Rotation
from spool.clock import rfc3339
from spool.frames import FrameDecoder
from spool.ranges import Range, format_ranges
from spool.safefile import open_regular
from spool.statement import Statement

if TYPE_CHECKING:
    from bridge.transfer.bundle import Bundle, Keys

_USTAR_AT = 257
_START = 300


def is_container(path: Path) -> bool:
    """Whether the file at ``path`` begins as a bundle does, encrypted or not."""
    from bridge.transfer.agefile import is_age

    try:
        with os.fdopen(open_regular(path, own=False), "rb") as file:
            start = file.read(_START)
    except (OSError, ValueError, VerificationError):
        return False  # whoever opens it as a segment says what is wrong with it
    return start[_USTAR_AT : _USTAR_AT + 6] == b"ustar\0" or is_age(start)


@dataclass
class Judged:
    """What was found out of one file."""

    path: Path
    kind: str
    answer: dict[str, Any] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    problems: list[VerificationError] = field(default_factory=list)
    error: BridgeError | None = None


def judge(session: Session, path: Path, key_files: tuple[Path, ...]) -> Judged:
    """Look into the file at ``path``: by the keys given, else by those of the configuration."""
    from bridge.transfer.bundle import Bundle, opened

    keys = _keys(session, key_files)
    try:
        identity = None if key_files else identity_of(session, None)
    except ConfigError:
        identity = None
    judged = Judged(path, "bundle")
    try:
        with opened(path, keys, identity, None) as found:
            if isinstance(found, Bundle):
                _bundle(found, keys, judged)
            else:
                judged.kind = "return"
                judged.answer, judged.lines = return_told(found)
    except (VerificationError, ConfigError) as error:
        judged.error = error
    return judged


def records_of(session: Session, path: Path, key_files: tuple[Path, ...]) -> Iterator[bytes]:
    """The lines of all segments, exactly as they will leave; none of a file that is bad.

    Raises :class:`VerificationError`.
    """
    from bridge.transfer.bundle import Bundle, opened

    keys = _keys(session, key_files)
    identity = None if key_files else identity_of(session, None)
    with opened(path, keys, identity, None) as found:
        if not isinstance(found, Bundle):
            return
        for packed in found.manifest.members:
            with found.segment(packed) as segment:
                segment.check_digest()
                segment.check_signature(keys("node", packed.node, found.rotations))
                for raw, _ in segment.raw_frames(FrameDecoder(), prove=True):
                    yield raw


def _keys(session: Session, key_files: tuple[Path, ...]) -> "Keys":
    if key_files:
        given = {key.id: key for key in map(read_key_file, key_files)}
        return lambda _role, name, rotations: {**given, **_successors(given, name, rotations)}
    config, trust = session.config, trust_of(session)
    own = own_keys_of(session)

    def of(role: str, name: str, rotations: Sequence[Rotation]) -> Mapping[str, PublicKey]:
        keys = trust.keys_for(role, name, rotations)
        # What this machine sends is read here before it leaves.
        return {**keys, **own} if name == config.node else keys

    return of


def _successors(
    given: Mapping[str, PublicKey], name: str, rotations: Sequence[Rotation]
) -> Mapping[str, PublicKey]:
    found = dict(given)
    for each in rotations:
        each.check_name(name)
        if each.old.id in found:
            found[each.new.id] = each.new
    return found


def _bundle(found: "Bundle", keys: "Keys", judged: Judged) -> None:
    from bridge.transfer.manifest import unlike

    told = found.manifest
    held: dict[tuple[str, str], list[Statement]] = {}
    decoder = FrameDecoder()
    for packed in told.members:
        try:
            with found.segment(packed) as segment:
                segment.check_digest()
                segment.check_signature(keys("node", packed.node, found.rotations))
                segment.check_frames(decoder)
                held.setdefault(packed.lane, []).append(segment.statement)
        except VerificationError as error:
            judged.problems.append(error)
            judged.lines.append(f"  BAD {packed.name}: {error.message} [{error.id}]")
    if not judged.problems:
        judged.problems += unlike(told, held)
        judged.lines += [f"  BAD {each.message} [{each.id}]" for each in judged.problems]
    judged.answer = {
        "id": told.id,
        "serial": told.serial,
        "from": told.sender,
        "to": told.recipient,
        "made_at": rfc3339(told.made_at),
        "note": told.note,
        "received": told.received,
        "key": found.signer.id,
        "segments": len(told.members),
        "records": sum(lane.records for lane in told.lanes),
        "size": sum(each.size for each in told.members),
        "lanes": [
            {
                "node": lane.node,
                "stream": lane.stream,
                "ranges": format_ranges(lane.ranges),
                "gaps": format_ranges(_gaps(lane.ranges)),
                "records": lane.records,
                "raw_size": lane.raw_size,
                "first_at": None if lane.first_at is None else rfc3339(lane.first_at),
                "last_at": None if lane.last_at is None else rfc3339(lane.last_at),
                "head": {
                    "chain": lane.head_chain,
                    "seq": lane.head_seq,
                    "digest": lane.head_digest,
                },
                "lost": [{"ranges": r, "records": count} for r, count in lane.lost],
            }
            for lane in told.lanes
        ],
        "elsewhere": [
            {"stream": sent.stream, "first": sent.run.first, "last": sent.run.last}
            for sent in told.elsewhere or ()
        ],
    }
    head = [
        f"bundle {told.serial} of {told.sender} for {told.recipient}, made {rfc3339(told.made_at)}",
        f"  signed by key {found.signer.id}",
        f"  note: {told.note or '-'}",
        *rotated_told(found.rotations),
    ]
    for lane in told.lanes:
        times = ""
        if lane.first_at is not None and lane.last_at is not None:
            times = f", taken {rfc3339(lane.first_at)} to {rfc3339(lane.last_at)}"
        head.append(
            f"  {lane.node}/{lane.stream}: segments {format_ranges(lane.ranges)}, "
            f"its head is {lane.head_seq}; "
            f"{counted(lane.records, 'record', 'records')}, {lane.raw_size} bytes{times}"
        )
        if gaps := _gaps(lane.ranges):
            head.append(f"    without {format_ranges(gaps)}, which lie between them")
        head += [f"    declares the loss of {r or 'unnumbered records'}" for r, _ in lane.lost]
    for stream, group in groupby(told.elsewhere or (), lambda sent: sent.stream):
        runs = format_ranges([Range(sent.run.first, sent.run.last) for sent in group])
        head.append(f"  of {stream} the beacon has the numbers {runs} already")
    judged.lines[:0] = head


def _gaps(ranges: Sequence[Range]) -> list[Range]:
    """The numbers between ``ranges`` that are in none of them."""
    return [Range(a.last + 1, b.first - 1) for a, b in pairwise(ranges)]
