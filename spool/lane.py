"""Where the files of one lane lie.

A lane is (node, stream): ``<spool>/<node>/<stream>/``. Sealed segments are sharded, 4,096 to a
folder, so that no folder grows with the age of the spool.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from keys.errors import ConfigError, shown

SUFFIX = ".ndjson.zst"
SHARD = 4096
"""Segments in one folder of ``sealed/``."""
SEQ_MAX = 10**12 - 1
"""The highest number a segment can have: twelve digits in its name."""
RESERVED_NAMES = frozenset({"quarantine", "license"})
"""Folders of the spool itself; no node can have their name."""

NODE_NAME = r"[a-z0-9][a-z0-9-]{0,62}"
STREAM_NAME = r"[a-z][a-z0-9-]{0,31}"
_NODE = re.compile(NODE_NAME + r"\Z")
_STREAM = re.compile(STREAM_NAME + r"\Z")
_SHARD_NAME = re.compile(r"[0-9]{8}\Z")
_FORK_NAME = re.compile(r"[0-9]{12}-[0-9a-f]{16}\.ndjson\.zst\Z")
_SEALED_NAME = re.compile(r"([0-9]{12})\.ndjson\.zst\Z")


def check_node(name: str) -> str:
    """``name``, if a node can have it; else :class:`ConfigError` ``node.name``."""
    if _NODE.match(name) and name not in RESERVED_NAMES:
        return name
    raise ConfigError(
        "node.name",
        f"{shown(name)} cannot be the name of a node.",
        "Use 1 to 63 of a-z, 0-9 and -, not beginning with -; not 'quarantine' or 'license'.",
    )


@dataclass(frozen=True, slots=True)
class Lane:
    """The paths of one lane; nothing is read or made here.

    A ``fork`` is a lane of one segment beside the one whose number it has: its name in ``forks/``.
    """

    spool: Path
    node: str
    stream: str
    fork: str = ""

    @property
    def folder(self) -> Path:
        """The lane's own folder."""
        return self.spool / self.node / self.stream

    @property
    def place(self) -> str:
        """The same as text: for who looks very often, parsing a path costs more than the look."""
        return f"{self.spool}/{self.node}/{self.stream}"

    @property
    def head(self) -> Path:
        """The durable head: the last number that counts."""
        return self.folder / "head"

    @property
    def chain_lock(self) -> Path:
        """Whoever seals holds a flock on it."""
        return self.folder / "chain.lock"

    @property
    def rescue_lock(self) -> Path:
        """Whoever rescues what is left of a damaged segment holds a flock on it."""
        return self.folder / "rescue.lock"

    @property
    def delivered(self) -> Path:
        """The durable frontier: what was delivered, for the day the ledger is lost."""
        return self.folder / "delivered"

    @property
    def seal_request(self) -> Path:
        """Touched by whoever needs what is open to be sealed."""
        return self.folder / "seal-request"

    @property
    def imported(self) -> Path:
        """Stands where the lane is another node's: it came in bundles, and has no head here.

        Its file time is when something new came last.
        """
        return self.folder / "imported"

    @property
    def open(self) -> Path:
        """The folder of files that are being written."""
        return self.folder / "open"

    @property
    def sealed(self) -> Path:
        """The folder of sealed segments."""
        return self.folder / "sealed"

    @property
    def forks(self) -> Path:
        """The folder of segments whose number another segment has."""
        return self.folder / "forks"

    def segment(self, seq: int) -> Path:
        """Where the sealed segment ``seq`` lies."""
        return Path(self.segment_place(seq))

    def segment_place(self, seq: int) -> str:
        """The same as text: of a lane of many small segments very many are opened."""
        if self.fork:
            return f"{self.place}/forks/{self.fork}{SUFFIX}"
        return f"{self.place}/sealed/{seq // SHARD:08d}/{seq:012d}{SUFFIX}"

    def open_file(self, writer: str) -> Path:
        """Where ``writer`` writes."""
        return self.open / f"{writer}{SUFFIX}"

    def sealed_numbers(self) -> Iterator[int]:
        """The numbers for which there is a name in ``sealed/``, ascending; the files are not read.

        Names of any other form are none of ours and passed over. Costs one listing a shard.
        """
        if self.fork:
            if os.path.lexists(self.segment(0)):
                yield int(self.fork[:12])
            return
        for shard in sorted(_names(self.sealed, _SHARD_NAME)):
            found = (_SEALED_NAME.match(name) for name in _names(self.sealed / shard, _SEALED_NAME))
            numbers = sorted(int(match[1]) for match in found if match)
            yield from (seq for seq in numbers if seq // SHARD == int(shard))

    def fork_numbers(self) -> Iterator[int]:
        """The numbers for which there is a name in ``forks/``, in any order."""
        yield from (int(name[:12]) for name in _names(self.forks, _FORK_NAME))

    def fork_of(self, seq: int, digest: str) -> "Lane":
        """The lane of the segment ``digest`` that has the number ``seq`` of another one."""
        return replace(self, fork=f"{seq:012d}-{digest[:16]}")

    def fork_lanes(self) -> "Iterator[Lane]":
        """The lanes of the names in ``forks/``, by number."""
        for name in sorted(_names(self.forks, _FORK_NAME)):
            yield replace(self, fork=name.removesuffix(SUFFIX))


def _names(folder: Path, form: re.Pattern[str]) -> list[str]:
    if not folder.is_dir() or folder.is_symlink():
        return []
    return [entry.name for entry in folder.iterdir() if form.match(entry.name)]


def lanes(spool: Path) -> list[Lane]:
    """The lanes of a spool, by node and stream; other folders are passed over."""
    return [
        Lane(spool, node, stream)
        for node in sorted(_names(spool, _NODE))
        if node not in RESERVED_NAMES
        for stream in sorted(_names(spool / node, _STREAM))
        if (spool / node / stream).is_dir()
    ]
