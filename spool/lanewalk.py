"""One lane of a spool, verified: its chain up to the head, its forks; what is open is named."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from keys.errors import BridgeError
from spool.frontier import read_frontier
from spool.head import HEAD_MAX, Head, decode
from spool.inspection import Inspector, Known, Place, lies_in_place
from spool.lane import SUFFIX, Lane
from spool.links import Links
from spool.openfile import open_files
from spool.ranges import Range, format_ranges, without
from spool.safefile import read_whole
from spool.segment import Segment
from spool.statement import Statement
from spool.verdicts import Item, Problem, problem_of

_LISTED_MAX = 200
"""Characters of missing numbers in a message; more tell nobody more."""


def verify_lane(inspector: Inspector, lane: Lane) -> Iterator[Item]:
    """Everything in ``lane``, the chain first, in the order of its numbers."""
    try:
        # Of a spool that is not this user's, no file is: then its owner vouches for nothing.
        own = os.stat(lane.folder).st_uid == os.geteuid()  # noqa: PTH116 - the owner is all we want
        if lane.sealed.is_symlink() or not lane.sealed.is_dir():
            yield Item(lane.sealed, "folder", _no_folder())
        else:
            yield from _chain(inspector, lane, own=own)
        yield from _forks(inspector, lane, own=own)
        for path in open_files(lane):
            yield still_open(path)
    except OSError as error:
        yield Item(lane.folder, "folder", problem_of(error))


def still_open(path: Path) -> Item:
    """A file that is being written, or waits for its seal."""
    return Item(path, "open", note="still open: not sealed, not verified")


def listed(ranges: list[Range]) -> str:
    """Missing numbers as text of bounded length."""
    text = format_ranges(ranges)
    return text if len(text) <= _LISTED_MAX else text[:_LISTED_MAX].rpartition(",")[0] + ",…"


def _chain(inspector: Inspector, lane: Lane, *, own: bool) -> Iterator[Item]:
    head, problem = _head(lane, own=own)
    links = Links()
    counted = 0 if head is None else head.seq
    found = above = beyond = 0
    at_head: Known | None = None
    for seq in lane.sealed_numbers():
        if head is not None and seq > counted:
            # Sealed while we read: it counts as soon as the head says so.
            newer, _ = _head(lane, own=own)
            counted = counted if newer is None else max(counted, newer.seq)
        item, known = inspector.check(
            lane.segment(seq), own=own, place=_place(lane, seq), link=links.check
        )
        found += 1
        if head is not None and seq > counted:
            above += 1
            beyond += seq > counted + 1
            item = replace(item, note="above the head: it does not count yet")
        if head is not None and seq == head.seq:
            at_head = known
        links.move(seq, known)
        yield item
    if head is not None:
        links.finish(head)
        problem = _judge(head, at_head, above if beyond else 0)
    if found or head is not None or problem is not None:
        yield Item(lane.head, "head", problem, None if problem else _head_note(head, at_head))
    yield from _gaps(lane, links)


def _head_note(head: Head | None, at_head: Known | None) -> str | None:
    if head is None:
        return "there is none: nothing says where the chain ends"
    if at_head is None:
        return f"could not be compared: segment {head.seq} is missing or bad"
    return None


def _head(lane: Lane, *, own: bool) -> tuple[Head | None, Problem | None]:
    try:
        return decode(read_whole(lane.head, HEAD_MAX, own=own)), None
    except FileNotFoundError:
        return None, None
    except BridgeError as error:
        hint = "Start the daemon: it begins a new chain that says so."
        return None, Problem("head.form", f"The head is no head. {error.message}", hint)
    except OSError as error:
        return None, problem_of(error)


def _judge(head: Head, at_head: Known | None, above: int) -> Problem | None:
    """``above`` counts the segments above the head, 0 where a crash can have left the only one."""
    if at_head is not None:
        said = at_head.said
        agreed = (said.chain, at_head.digest, said.after) == (head.chain, head.digest, head.after)
        if not agreed:
            return Problem(
                "head.disagrees",
                f"The head does not agree with segment {head.seq}, which it names.",
                "One of them was exchanged; start the daemon only after you know which.",
            )
    if above:
        return Problem(
            "head.behind",
            f"The head names number {head.seq} as the last; segments above it: {above}. A crash leaves "
            "the next number there, and no other.",
            "The head is older than the segments; start the daemon, it takes over what is good.",
        )
    return None


def _gaps(lane: Lane, links: Links) -> Iterator[Item]:
    name = f"{lane.node}/{lane.stream}"
    if links.declared:
        note = f"{listed(links.declared)} of {name} are not here; declared lost"
        yield Item(lane.folder, "gap", note=note)
    delivered = [part for chain in read_frontier(lane).chains for part in chain.ranges]
    gaps = without(links.gaps, delivered)
    if gone := without(links.gaps, gaps):
        note = f"{listed(gone)} of {name} are not here; delivered, by this machine's own note"
        yield Item(lane.folder, "gap", note=note)
    if gaps:
        yield Item(
            lane.folder,
            "gap",
            Problem(
                "chain.gap",
                f"{listed(gaps)} of {name} are not here, and no loss record names them.",
                "Somebody took them away, or the disk lost them; look for them in a backup.",
            ),
        )


def _forks(inspector: Inspector, lane: Lane, *, own: bool) -> Iterator[Item]:
    if lane.forks.is_symlink() or not lane.forks.is_dir():
        return
    for path in sorted(lane.forks.iterdir()):
        if path.name.endswith(SUFFIX):
            item, _ = inspector.check(path, own=own, place=lies_in_place(path), link=fork_note)
            yield item


def fork_note(_said: Statement, _digest: str) -> str:
    """A fork stands beside its chain and links to nothing here."""
    return "a fork: another segment has its number"


def _place(lane: Lane, seq: int) -> Place:
    def check(segment: Segment) -> None:
        segment.check_place(lane.node, lane.stream, seq)

    return check


def _no_folder() -> Problem:
    return Problem(
        "file.kind",
        "It is no folder; it was not followed.",
        "Find out who put it there, and remove it.",
    )
