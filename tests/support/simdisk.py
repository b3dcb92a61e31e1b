"""A disk that forgets what was not synced.

It stands behind :class:`spool.durable.Disk`. Every operation is really done, below a real folder, so
that the code under test reads, locks and lists real files; beside that the disk keeps a model of what
a power cut would leave. :meth:`SimDisk.settle` puts the folder into one of the states that are legal
after a crash:

- bytes of a file: what was there at its last sync; of the sectors that were written since, any
  subset, zeros in place of the others where the file is longer than it was; and of the sizes that
  it had since, any between the smallest and the largest;
- names: as at the last sync of their folder, then any subset of the changes since; a rename is one
  change, as on every journaling file system: both its names change, or none; and a change comes
  never before an older one of the same name;
- after a failed sync the unsynced bytes stay readable until the crash; no later sync saves them, and
  nobody can tell which of them the disk has: any subset.

A crash comes before any operation; one in the middle of a write is one of the states above. Operations
fail where they are told to: the n-th, or all from the n-th on until :meth:`SimDisk.mend`. A write that
fails has written any first part of its bytes before. A disk with ``room`` is full when so many bytes
lie on it, counted in sectors and one sector for each name, and has room again when files go.

What is not modelled: a folder whose sync failed and whose next one lies. Journaling file systems go
read-only then; that is a disk that fails from then on.

Folders stay the same folders (their inode numbers count) as long as they are durable.
"""

import errno
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from random import Random
from threading import RLock

from spool.durable import OsDisk

SECTOR = 512
"""Bytes that a disk writes whole or not at all."""


class Crash(BaseException):
    """The power is cut: no error, for nothing of ours may catch it and go on."""


class Keep(Enum):
    """Which unsynced changes a crash keeps."""

    NOTHING = "nothing"
    EVERYTHING = "everything"
    SOME = "some"


@dataclass(eq=False)
class _File:
    content: bytearray = field(default_factory=bytearray)
    durable: bytes = b""
    sizes: set[int] = field(default_factory=set)
    """Where it ended at some time since the last sync."""
    unsure: set[int] = field(default_factory=set)
    """Sectors that a failed sync gave up: no later sync saves them, a crash may keep them."""
    foreign: bool = False
    """Never written through this disk: somebody else (SQLite) answers for its bytes."""


@dataclass(eq=False)
class _Folder:
    entries: dict[str, "_File | _Folder"] = field(default_factory=dict)
    durable: dict[str, "_File | _Folder"] = field(default_factory=dict)


_Change = list[tuple[_Folder, str, _File | _Folder | None]]
"""Names that change together: the folder, the name, what it leads to from then on."""


class SimDisk:
    """See the module. ``crash_at`` and ``fail_at`` count operations from 0; ``room`` is in bytes."""

    def __init__(
        self,
        root: Path,
        *,
        crash_at: int | None = None,
        fail_at: Mapping[int, int] | None = None,
        room: int | None = None,
    ) -> None:
        self.root = root
        self._real = OsDisk()
        self._crash_at = crash_at
        self._fail_at = dict(fail_at or {})
        self._broken: tuple[int, int] | None = None
        self.room = room
        self._tree = self._scan(root)
        self._open: dict[int, _File] = {}
        self._changes: list[_Change] = []
        self._lock = RLock()
        self._dead = False
        self.operations: list[str] = []

    def _scan(self, folder: Path) -> _Folder:
        """What lies there at the start is durable."""
        found = _Folder()
        for path in folder.iterdir():
            if path.is_dir():
                found.entries[path.name] = self._scan(path)
            else:
                data = path.read_bytes()
                found.entries[path.name] = _File(bytearray(data), data, foreign=True)
        found.durable = dict(found.entries)
        return found

    def _folder(self, path: Path) -> _Folder:
        node: _File | _Folder = self._tree
        for part in path.relative_to(self.root).parts:
            assert isinstance(node, _Folder)
            node = node.entries[part]
        assert isinstance(node, _Folder)
        return node

    def _step(self, operation: str) -> None:
        number = len(self.operations)
        if self._dead or number == self._crash_at:
            self._dead = True
            raise Crash(operation)
        self.operations.append(operation)
        code = self._fail_at.get(number)
        if self._broken is not None and number >= self._broken[0]:
            code = self._broken[1]
        if code is not None:
            raise OSError(code, os.strerror(code))

    def _need(self, size: int) -> None:
        """Raise :class:`OSError` where there is no room for ``size`` more bytes."""
        if self.room is not None and self.used() + size > self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def used(self) -> int:
        """Bytes that lie on it, with the names."""
        return _taken(self._tree)

    def _change(self, *names: tuple[Path, "_File | _Folder | None"]) -> None:
        change = [(self._folder(path.parent), path.name, node) for path, node in names]
        self._changes.append(change)
        for folder, name, node in change:
            _point(folder.entries, name, node)

    def create(self, path: Path) -> int:
        with self._lock:
            self._step(f"create {path.name}")
            self._need(SECTOR)
            fd = self._real.create(path)
            self._open[fd] = _File()
            self._change((path, self._open[fd]))
            return fd

    def open_write(self, path: Path) -> int:
        with self._lock:
            self._step(f"open {path.name}")
            fd = self._real.open_write(path)
            node = self._folder(path.parent).entries[path.name]
            assert isinstance(node, _File)
            node.foreign = False
            self._open[fd] = node
            return fd

    def write(self, fd: int, pieces: Sequence[bytes], at: int) -> None:
        data = b"".join(pieces)
        with self._lock:
            try:
                self._step(f"write {len(data)}")
                self._need(self._growth(fd, len(data), at))
            except OSError:
                # Nobody knows how much of it was written: by chance, and the same each time.
                random = Random(len(self.operations))
                some = random.choice([0, len(data) // 2, random.randint(0, len(data))])
                while some and self.room is not None and self._growth(fd, some, at) > self._left():
                    some = max(some - SECTOR, 0)
                self._put(fd, data[:some], at)
                raise
            self._put(fd, data, at)

    def _growth(self, fd: int, size: int, at: int) -> int:
        """Bytes that a write of ``size`` bytes takes more."""
        before = len(self._open[fd].content)
        return _sectors(max(before, at + size)) - _sectors(before)

    def _left(self) -> int:
        return 0 if self.room is None else max(self.room - self.used(), 0)

    def _put(self, fd: int, data: bytes, at: int) -> None:
        self._real.write(fd, [data], at)
        file = self._open[fd]
        assert at <= len(file.content), "a hole"
        assert not any(file.content[at : at + len(data)]), "what was written was changed"
        file.content[at : at + len(data)] = data
        file.sizes.add(len(file.content))

    def cut(self, fd: int, size: int) -> None:
        with self._lock:
            self._step(f"cut {size}")
            file = self._open[fd]
            assert not any(file.content[size:]), "what was written was cut off"
            self._real.cut(fd, size)
            del file.content[size:]
            file.sizes.add(size)

    def sync(self, fd: int) -> None:
        with self._lock:
            file = self._open[fd]
            try:
                self._step("sync")
            except OSError:
                file.unsure |= _dirty(file)
                raise
            file.durable = _mixed(file, lambda sector: sector not in file.unsure)
            file.sizes.clear()

    def close(self, fd: int) -> None:
        with self._lock:
            if self._open.pop(fd, None) is not None:
                self._real.close(fd)

    def rename(self, source: Path, target: Path) -> None:
        with self._lock:
            self._step(f"rename {source.name} {target.name}")
            self._real.rename(source, target)
            node = self._folder(source.parent).entries[source.name]
            self._change((source, None), (target, node))

    def unlink(self, path: Path) -> None:
        with self._lock:
            self._step(f"unlink {path.name}")
            self._real.unlink(path)
            self._change((path, None))

    def mkdir(self, path: Path) -> None:
        with self._lock:
            self._step(f"mkdir {path.name}")
            self._need(SECTOR)
            self._real.mkdir(path)
            self._change((path, _Folder()))

    def sync_dir(self, path: Path) -> None:
        with self._lock:
            self._step(f"sync_dir {path.name}")
            folder = self._folder(path)
            self._keep([any(at is folder for at, _, _ in change) for change in self._changes])

    def _keep(self, chosen: list[bool]) -> None:
        """Make the chosen changes durable, and before each the older ones of the same names."""
        names: set[tuple[int, str]] = set()
        for n in reversed(range(len(self._changes))):
            touched = {(id(folder), name) for folder, name, _ in self._changes[n]}
            chosen[n] = chosen[n] or not names.isdisjoint(touched)
            if chosen[n]:
                names |= touched
        for change, kept in zip(self._changes, chosen, strict=True):
            if kept:
                _make_durable(change)
        self._changes = [c for c, kept in zip(self._changes, chosen, strict=True) if not kept]

    def crash_after(self, operations: int) -> None:
        """Cut the power after so many operations from now on."""
        self._crash_at = len(self.operations) + operations

    def fail_after(self, operations: int, code: int) -> None:
        """Fail once, after so many operations from now on, with that error number."""
        self._fail_at[len(self.operations) + operations] = code

    def break_after(self, operations: int, code: int) -> None:
        """Fail always, after so many operations from now on, until :meth:`mend`."""
        self._broken = (len(self.operations) + operations, code)

    def mend(self) -> None:
        """Crash and fail no more by what was asked for so far; be as large as needed."""
        self._crash_at = self._broken = self.room = None
        self._fail_at.clear()

    @property
    def dead(self) -> bool:
        """Whether the power is cut."""
        return self._dead

    def open_descriptors(self) -> list[int]:
        """What was opened through it and not closed."""
        with self._lock:
            return list(self._open)

    def settle(self, keep: Keep, random: Random) -> None:
        """Cut the power, if it is not yet, and leave one of the states that are legal then."""
        with self._lock:
            self._dead = True
            for fd in list(self._open):
                self.close(fd)
            self._keep([_kept(keep, random) for _ in self._changes])
            _settle_folder(self.root, self._tree, keep, random)


def _point(names: dict[str, "_File | _Folder"], name: str, node: "_File | _Folder | None") -> None:
    if node is None:
        names.pop(name, None)
    else:
        names[name] = node


def _make_durable(change: _Change) -> None:
    for folder, name, node in change:
        _point(folder.durable, name, node)


def _settle_folder(path: Path, node: _Folder, keep: Keep, random: Random) -> None:
    for name in node.entries.keys() - node.durable.keys():
        _remove(path / name)
    for name, child in node.durable.items():
        if isinstance(child, _Folder):
            _as_folder(path / name)
            _settle_folder(path / name, child, keep, random)
        else:
            if child.foreign and (path / name).is_file():
                continue
            data = _bytes_left(child, keep, random)
            if not (path / name).is_file() or (path / name).read_bytes() != data:
                _remove(path / name)
                (path / name).write_bytes(data)
                (path / name).chmod(0o600)


def _kept(keep: Keep, random: Random) -> bool:
    return keep is Keep.EVERYTHING or (keep is Keep.SOME and random.random() < 0.5)


def _bytes_left(file: _File, keep: Keep, random: Random) -> bytes:
    if keep is Keep.NOTHING:
        return file.durable
    if keep is Keep.EVERYTHING:
        return bytes(file.content)
    sizes = file.sizes | {len(file.durable)}
    size = random.choice([*sizes, random.randint(min(sizes), max(sizes))])
    share = random.choice([0, 0.5, 1])  # most crashes lose all of it, or nothing
    return _mixed(file, lambda _: random.random() < share, size)


def _mixed(file: _File, is_new: Callable[[int], bool], size: int | None = None) -> bytes:
    """The bytes of ``file``, sector by sector the newest or the durable ones."""
    size = len(file.content) if size is None else size
    old, new = (data.ljust(size, b"\0")[:size] for data in (file.durable, bytes(file.content)))
    return b"".join(
        (new if is_new(at // SECTOR) else old)[at : at + SECTOR] for at in range(0, size, SECTOR)
    )


def _dirty(file: _File) -> set[int]:
    """The sectors whose newest bytes are not durable."""
    size = max(len(file.durable), len(file.content))
    old, new = (data.ljust(size, b"\0") for data in (file.durable, bytes(file.content)))
    return {
        at // SECTOR
        for at in range(0, size, SECTOR)
        if old[at : at + SECTOR] != new[at : at + SECTOR]
    }


def _sectors(size: int) -> int:
    """``size``, rounded up to whole sectors."""
    return -(-size // SECTOR) * SECTOR


def _taken(folder: _Folder) -> int:
    size = 0
    for node in folder.entries.values():
        if isinstance(node, _Folder):
            size += SECTOR + _taken(node)
        elif not node.foreign:
            size += SECTOR + _sectors(len(node.content))
    return size


def _as_folder(path: Path) -> None:
    if not path.is_dir():
        path.mkdir(0o700)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
