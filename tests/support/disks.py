"""Disks that really do everything, and fail or wait where a test says so."""

import errno
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from spool.durable import OsDisk


class FastDisk(OsDisk):
    """Syncs nothing: for tests that are not about a crash."""

    def sync(self, fd: int) -> None:
        """Nothing."""

    def sync_dir(self, path: Path) -> None:
        """Nothing."""


class Dying(FastDisk):
    """A process that dies at its n-th change of the disk."""

    def __init__(self, at: int) -> None:
        self.left = at

    def _count(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt

    def rename(self, source: Path, target: Path) -> None:
        self._count()
        super().rename(source, target)

    def unlink(self, path: Path) -> None:
        self._count()
        super().unlink(path)

    def create(self, path: Path) -> int:
        self._count()
        return super().create(path)


class FlakyDisk(FastDisk):
    """Fails when told, in the middle of a write; refuses to touch a descriptor that has failed."""

    def __init__(self) -> None:
        self.failures: list[tuple[str, BaseException]] = []
        """What fails next, first things first: ``write``, ``sync`` or ``create``, and with what."""
        self.finished: set[int] = set()

    def _due(self, operation: str) -> BaseException | None:
        if threading.current_thread().name == "keeper":
            return None  # it tidies up; what a test breaks is what a caller waits for
        if self.failures and self.failures[0][0] == operation:
            return self.failures.pop(0)[1]
        return None

    def create(self, path: Path) -> int:
        if (error := self._due("create")) is not None:
            raise error
        return super().create(path)

    def write(self, fd: int, pieces: Sequence[bytes], at: int) -> None:
        assert fd not in self.finished, "a descriptor that failed was written again"
        if (error := self._due("write")) is not None:
            self.finished.add(fd)
            data = b"".join(pieces)
            os.pwrite(fd, data[: len(data) // 2], at)
            raise error
        super().write(fd, pieces, at)

    def sync(self, fd: int) -> None:
        assert fd not in self.finished, "a descriptor that failed was synced again"
        if (error := self._due("sync")) is not None:
            self.finished.add(fd)
            raise error

    def close(self, fd: int) -> None:
        self.finished.discard(fd)
        super().close(fd)


class GateDisk(FastDisk):
    """Its syncs wait at a gate in the threads that ``held`` chooses."""

    def __init__(self, held: Callable[[threading.Thread], bool]) -> None:
        self._held = held
        self.arrived = threading.Event()
        self.gate = threading.Event()

    def sync(self, fd: int) -> None:
        if self._held(threading.current_thread()):
            self.arrived.set()
            assert self.gate.wait(60)
        super().sync(fd)


def no_room() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def broken() -> OSError:
    return OSError(errno.EIO, os.strerror(errno.EIO))
