"""Puts segments of a bundle in their places: copied under another name, synced, verified, renamed.

Many of them at a time, so that a folder is synced once for all its new names. Whoever stores holds the
import lock of the spool, so names that a crash left are nobody's, and go.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bridge.transfer.bundle import Bundle
from bridge.transfer.manifest import Packed
from keys.errors import VerificationError
from spool.durable import Disk, make_folders
from spool.lane import Lane
from spool.segment import Segment

_PIECE = 1 << 20
_ENDING = ".import"


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
        self._folders: set[Path] = set()
        self._making = threading.Lock()

    def copy(self, packed: Packed, place: Path) -> Path:
        """The segment's bytes, durable and verified, under a name beside ``place``; from any thread.

        Raises :class:`VerificationError` ``bundle.digest`` or ``segment.*``, or :class:`OSError`.
        """
        with self._making:
            self._make(place)
        temporary = place.with_name(f".{packed.seq:012d}-{packed.digest[:16]}{_ENDING}")
        member = self._bundle.members[packed.name]
        fd = self._disk.create(temporary)
        try:
            for at in range(0, member.size, _PIECE):
                count = min(_PIECE, member.size - at)
                with of_the_medium():
                    piece = os.pread(self._bundle.fd, count, member.offset + at)
                self._disk.write(fd, [piece], at)
            self._disk.sync(fd)
            with Segment.open(temporary) as copied:  # the copy is what will be sent
                copied.check_digest()
                if copied.digest != packed.digest:
                    raise VerificationError(
                        "bundle.digest",
                        f"{packed.name} changed while it was read.",
                        "The medium is bad, or somebody writes to it; copy it first.",
                    )
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        finally:
            self._disk.close(fd)
        return temporary

    @contextmanager
    def placing(self) -> Iterator["Placing"]:
        """To be given copies; at the end all of them have their names, durable."""
        placing = Placing(self._disk)
        yield placing
        placing.finish()

    def _make(self, place: Path) -> None:
        """Make the folder of ``place``, once; what a crash left in it of copies goes."""
        folder = place.parent
        if folder in self._folders:
            return
        make_folders(self._disk, self._spool, folder)
        for left in folder.glob(f".*{_ENDING}"):
            left.unlink(missing_ok=True)
        lane = Lane(self._spool, *folder.relative_to(self._spool).parts[:2])
        if lane.imported.exists():
            os.utime(lane.imported)  # its time is when something new came
        else:  # it has no head here, and is never sealed
            self._disk.close(self._disk.create(lane.imported))
        self._disk.sync_dir(lane.folder)  # also for whoever made it and failed to
        self._folders.add(folder)


class Placing:
    """Gives copies their names."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._folders: set[Path] = set()

    def put(self, temporary: Path, place: Path) -> None:
        """Give a copy its name. Raises :class:`OSError`."""
        self._disk.rename(temporary, place)
        self._folders.add(place.parent)

    def finish(self) -> None:
        """Make the names durable. Raises :class:`OSError`."""
        for folder in self._folders:
            self._disk.sync_dir(folder)
