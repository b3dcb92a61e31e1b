"""Verifying what lies on a disk: a segment, a folder of them, a lane, a spool.

Everything is only read; nothing is followed, waited for or changed. In a lane the numbers must go on
without holes, from the oldest segment held up to the durable head, which must agree with the last; in
any other folder nobody says that it is complete, so what lacks is noted. What is still open is
reported as such, and what was set aside (``quarantine/``) is passed over: it was judged already. One
bad thing never stops the rest. Memory grows with the number of names in one folder, not with bytes.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from keys.errors import VerificationError, shown
from spool.inspection import Inspector, Keys, lies_in_place
from spool.lane import SUFFIX, Lane
from spool.lanewalk import fork_note, listed, still_open, verify_lane
from spool.links import Links
from spool.segment import Segment
from spool.statement import Statement
from spool.verdicts import Item, Problem, problem_of

_QUARANTINE = "quarantine"


def verify(paths: Iterable[Path], keys: Keys, *, records: bool = False) -> Iterator[Item]:
    """Look at everything at ``paths``, in their order, and yield what there is to say, as it comes.

    ``keys`` are those that may speak for a node. With ``records`` each line must be a JSON object.
    Raises nothing: what cannot be read is an item with a problem.
    """
    inspector = Inspector(keys, records=records)
    for (folder, _), group in groupby(paths, lambda path: (_is_folder(path), path.parent)):
        if folder:
            for path in group:
                yield from _top(inspector, path)
        else:
            yield from _files(inspector, group)


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def _top(inspector: Inspector, path: Path) -> Iterator[Item]:
    nothing = True
    for item in _folder(inspector, path):
        nothing = nothing and item.kind == "link"
        yield item
    if nothing:
        hint = "Name a segment, a folder of segments, a lane or a spool."
        problem = Problem("verify.nothing", f"There is no segment in {shown(str(path))}.", hint)
        yield Item(path, "folder", problem)


def _folder(inspector: Inspector, path: Path) -> Iterator[Item]:
    try:
        entries = sorted(os.scandir(path), key=lambda entry: entry.name)
    except OSError as error:
        yield Item(path, "folder", problem_of(error))
        return
    names = {entry.name for entry in entries}
    if "sealed" in names and _is_lane(path):
        yield from verify_lane(inspector, _lane_at(path))
        return
    if path.name == "open" and (path.parent / "sealed").is_dir():
        yield from (still_open(path / name) for name in sorted(names) if name.endswith(SUFFIX))
        return
    files = [path / e.name for e in entries if e.name.endswith(SUFFIX)]
    yield from _files(inspector, _by_number(files))
    for entry in entries:
        if entry.name.endswith(SUFFIX):
            continue
        inner = path / entry.name
        if entry.is_symlink():
            yield Item(inner, "link", note="a symbolic link; it was not followed")
        elif entry.is_dir(follow_symlinks=False) and entry.name != _QUARANTINE:
            yield from _folder(inspector, inner)


def _is_lane(path: Path) -> bool:
    """Whether the folder ``sealed`` in ``path`` is that of a lane, and no node's of that name."""
    try:
        inner = [e.name for e in os.scandir(path / "sealed") if e.is_dir(follow_symlinks=False)]
    except OSError:
        return True  # whoever verifies the lane says why
    if any(name.isdecimal() for name in inner):
        return True
    return not any((path / "sealed" / name / "sealed").is_dir() for name in inner)


def _by_number(files: list[Path]) -> list[Path]:
    """The files in the order of their chains; their names may be anything."""
    found = []
    for path in files:
        try:
            with Segment.open(path, own=False) as segment:
                said = segment.statement
                found.append((said.node, said.stream, said.seq, path))
        except (VerificationError, OSError):
            found.append(("", "", 0, path))
    return [path for *_, path in sorted(found)]


def _files(inspector: Inspector, paths: Iterable[Path]) -> Iterator[Item]:
    """Files that do not come with their lane; they may belong to anybody."""
    links: dict[tuple[str, str], Links] = {}
    for path in paths:
        if path.parent.name == "open" and (path.parent.parent / "sealed").is_dir():
            yield still_open(path)
        elif path.parent.name == "forks":
            place = lies_in_place(path)
            item, _ = inspector.check(path, own=False, place=place, link=fork_note)
            yield item
        else:
            yield from _linked(inspector, path, links)


def _linked(
    inspector: Inspector, path: Path, links: dict[tuple[str, str], Links]
) -> Iterator[Item]:
    def followed(said: Statement) -> Links:
        found = links.get((said.node, said.stream))
        if found is None or (found.previous and said.seq < found.previous.said.seq):
            found = links[said.node, said.stream] = Links()
        return found

    def link(said: Statement, digest: str) -> str | None:
        return followed(said).check(said, digest)

    item, known = inspector.check(path, own=False, place=lies_in_place(path), link=link)
    yield item
    if known is None:
        return
    lane = followed(known.said)
    lane.move(known.said.seq, known)
    if lane.gaps:
        note = f"{listed(lane.gaps)} of {known.said.node}/{known.said.stream} are not here"
        lane.gaps = []
        yield Item(path.parent, "gap", note=note)


def _lane_at(path: Path) -> Lane:
    if not path.name or not path.parent.name or ".." in path.parts[-2:]:
        path = path.resolve()
    return Lane(path.parent.parent, path.parent.name, path.name)
