"""Puts segments of a bundle in their places: copied under another name, verified, synced, renamed.

Many of them at a time, so that a folder is synced once for all its new names. Whoever stores holds the
import lock of the spool, so copies that a crash left are nobody's, and go.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bridge.transfer.bundle import Bundle
from bridge.transfer.judging import Judged
from bridge.transfer.manifest import Packed
from bridge.transfer.ustar import Member
from spool.durable import Disk, make_folders
from spool.lane import Lane
from spool.segment import Segment

COPIES = ".importing"
"""Folder of the spool for copies that have no name yet; no node can be called so."""
_PIECE = 256 * 1024


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy that is good and durable, and what its seal says."""

    path: Path
    judged: Judged


class MediumError(Exception):
    """The medium could not be read: no fault of the spool, nor of what was read."""

    def __init__(self, why: OSError) -> None:
        """For what the system said."""
        super().__init__(why)
        self.why = why


@contextmanager
def of_the_medium() -> Iterator[None]:
    """What fails within is a :class:`MediumError`."""
    try:
        yield
    except OSError as error:
        raise MediumError(error) from error


class Store:
    """Stores into ``spool`` what an open ``bundle`` holds."""

    def __init__(self, disk: Disk, spool: Path, bundle: Bundle) -> None:
        self._disk = disk
        self._spool = spool
        self._bundle = bundle
        self._copies = spool / COPIES
        self._ready = False
        self._making = threading.Lock()

    def copy(self, packed: Packed, judge: Callable[[Segment], Judged]) -> "Copy":
        """The segment's bytes, first judged and then durable, under another name; from any thread.

        ``judge`` gets the copy, not what the medium has. Raises what it raises,
        :class:`VerificationError` ``segment.*``, :class:`MediumError`, or :class:`OSError`; then
        there is no copy.
        """
        with self._making:
            self._make()
        # A manifest may name one digest in two streams; one of them is refused, by itself.
        temporary = self._copies / f"{packed.stream}-{packed.seq:012d}-{packed.digest[:16]}"
        fd = self._disk.create(temporary)
        try:
            self._fill(fd, self._bundle.members[packed.name])
            with Segment.open(temporary) as copied:
                judged = judge(copied)
            self._disk.sync(fd)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        finally:
            self._disk.close(fd)
        return Copy(temporary, judged)

    def _fill(self, fd: int, member: Member) -> None:
        for at in range(0, member.size, _PIECE):
            count = min(_PIECE, member.size - at)
            with of_the_medium():
                piece = os.pread(self._bundle.fd, count, member.offset + at)
            self._disk.write(fd, [piece], at)

    @contextmanager
    def placing(self) -> Iterator["Placing"]:
        """To be given copies; at the end all of them have their names, durable."""
        placing = Placing(self._disk, self._spool)
        yield placing
        placing.finish()

    def close(self) -> None:
        """Take away the copies that got no name, and their folder: what was refused leaves nothing."""
        if self._ready:
            self._clear()
            with suppress(OSError):  # a folder in it is none of ours, and stays
                self._copies.rmdir()

    def _make(self) -> None:
        """Make the folder of copies, once; what a crash left in it goes."""
        if not self._ready:
            if self._copies.is_symlink():  # all that is where it leads would be taken away
                self._copies.unlink()
            make_folders(self._disk, self._spool, self._copies)
            self._ready = True
            self._clear()

    def _clear(self) -> None:
        for left in self._copies.iterdir():
            if left.is_symlink() or not left.is_dir():
                left.unlink()


class Placing:
    """Gives copies their names."""

    def __init__(self, disk: Disk, spool: Path) -> None:
        self._disk = disk
        self._spool = spool
        self._folders: set[Path] = set()

    def put(self, copy: Path, place: Path) -> None:
        """Give a copy its name. Raises :class:`OSError`."""
        if place.parent not in self._folders:
            self._make(place.parent)
        self._disk.rename(copy, place)
        self._folders.add(place.parent)

    def _make(self, folder: Path) -> None:
        make_folders(self._disk, self._spool, folder)
        lane = Lane(self._spool, *folder.relative_to(self._spool).parts[:2])
        if lane.imported.exists():
            os.utime(lane.imported)  # its time is when something new came
        else:  # it has no head here, and is never sealed
            self._disk.close(self._disk.create(lane.imported))
        self._disk.sync_dir(lane.folder)  # also for whoever made it and failed to

    def finish(self) -> None:
        """Make the names durable. Raises :class:`OSError`."""
        for folder in self._folders:
            self._disk.sync_dir(folder)
