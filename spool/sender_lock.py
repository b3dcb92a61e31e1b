"""One process sends what is in a spool: whoever holds the lock on ``sender.lock``.

The lock is the kernel's and ends with its process, so a kill needs no clean-up. The file also says
who holds it, for people.
"""

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import orjson

from keys.errors import VerificationError
from keys.strictjson import Fields, loads
from spool import locks
from spool.clock import rfc3339
from spool.errors import SpoolError
from spool.safefile import read_whole

_FILE_MAX = 16 * 1024
_NAME_MAX = 1000
"""Characters that are told of the configuration's name; in JSON six bytes each, at most."""
_TRIES, _PAUSE_S = 10, 0.02
"""Who only asks whether somebody has the lock holds it himself for a moment."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who sends: process id, version, since when (RFC 3339), by which configuration file."""

    pid: int
    version: str
    since: str
    config: str


class SenderLock:
    """The right to send from ``spool``, until :meth:`release` or the end of the process."""

    def __init__(self, spool: Path, *, version: str, config: str, now_ms: int) -> None:
        """Take it.

        Raises :class:`SpoolError` ``spool.locked`` where another process has it, or :class:`OSError`.
        """
        path = _path(spool)
        fd = None
        for _ in range(_TRIES):
            fd = locks.take(path, wait=False)
            if fd is not None:
                break
            time.sleep(_PAUSE_S)
        if fd is None:
            holder = read_holder(spool)
            who = "another process" if holder is None else f"process {holder.pid}"
            raise SpoolError(
                "spool.locked",
                f"The spool is served by {who} already.",
                "Use that daemon, or stop it first; two would send everything twice.",
            )
        self._fd = fd
        try:
            self._say(version, config, now_ms)
        except BaseException:
            locks.let_go(fd)
            raise

    def _say(self, version: str, config: str, now_ms: int) -> None:
        """Who has it, for people; raises :class:`OSError`."""
        # A folder may have a name of any bytes.
        name = os.fsencode(config).decode(errors="backslashreplace")[:_NAME_MAX]
        said = {"pid": os.getpid(), "version": version, "since": rfc3339(now_ms), "config": name}
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, orjson.dumps(said), 0)

    def release(self) -> None:
        """Let another process send."""
        try:
            # The words of who had it mean nothing once nobody holds the lock: they may stay.
            with suppress(OSError):
                os.ftruncate(self._fd, 0)
        finally:
            locks.let_go(self._fd)


def read_holder(spool: Path) -> Holder | None:
    """Who sends from ``spool`` at this moment; None if nobody does."""
    fd = None
    try:
        fd = locks.take_as_it_is(_path(spool))
        if fd is not None:
            return None
        fields = Fields(
            loads(read_whole(_path(spool), _FILE_MAX, own=True), limit=_FILE_MAX), "lock"
        )
        holder = Holder(
            fields.integer("pid", 1, 2**31),
            fields.text("version", r"[ -~]{1,64}"),
            fields.text("since", r"[0-9T:.Z-]{24}"),
            fields.text("config", r"(?s:.){0,2048}"),
        )
        fields.done()
    except FileNotFoundError:
        return None
    except VerificationError:
        # Between the lock and the words; whoever it is has it.
        return Holder(0, "", "", "")
    finally:
        if fd is not None:
            locks.let_go(fd)
    return holder


def _path(spool: Path) -> Path:
    return spool / "sender.lock"
