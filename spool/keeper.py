"""A writer's second pair of hands: seals what is complete, and rolls what is old.

Once a second while a file is in use, also when nothing is appended, it looks whether that is older
than the age at which it is sealed, or whether somebody asks for a sealing by touching ``seal-request``.
Where no file is in use there is nothing to seal, and it sleeps.
"""

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from math import inf
from pathlib import Path

from keys.ed25519 import SigningKey
from keys.errors import shown
from spool.beat import until_beat
from spool.clock import Clock
from spool.durable import Disk, explained
from spool.egressfile import seal_age_ms
from spool.errors import SpoolError
from spool.gently import gently, may_leave_off
from spool.lane import Lane
from spool.sealing import Sealer
from spool.tail import Tail

LOOK_EVERY_S = 1.0
"""Seconds between two looks: what ``export`` may wait for, and small beside any age."""

BEHIND = 2
"""Complete files behind the one to be sealed from which on it is sealed as it is: beside busy threads
rewriting may take longer than filling the next, and each that waits holds a descriptor."""

REWRITING_S = 0.5
"""Seconds after which a writer that is being closed rewrites no more: a file of very many small frames
takes several, and a daemon closes the writers of six lanes while somebody waits for its end."""

Complete = tuple[Tail, str, bool]
"""A complete file, the reason that its seal will name, and whether a write or sync of it failed."""


class Keeper:
    """Seals a writer's complete files in a thread of its own; without a key it only closes them.

    ``roll`` is called with a reason to complete the file in use, if it is older than the given
    milliseconds; it tells whether one is in use afterwards.
    """

    def __init__(
        self,
        lane: Lane,
        signer: SigningKey | None,
        seal_age_ms: int | None,
        disk: Disk,
        clock: Clock,
        roll: Callable[[str, int], bool],
    ) -> None:
        self._lane = lane
        self._sealer = None if signer is None else Sealer(disk, lane, signer, clock)
        self._disk = disk
        self._age = seal_age_ms
        self._roll = roll
        self.complete: list[Complete] = []
        """What is to be sealed; who adds to it calls :meth:`wake`."""
        self._wake = threading.Event()
        self._stop = False
        self._stopped_at = inf
        self._thread: threading.Thread | None = None
        self._asked = 0
        self._awaited = False
        self._failed: SpoolError | None = None
        self._unsealed: list[Path] = []
        """Complete files that could not be sealed; the next recovery does it."""
        self._gone: SpoolError | None = None

    @property
    def problem(self) -> SpoolError | None:
        """What kept a complete file from being sealed, until somebody has sealed it.

        Of one that is not there any more it stays.
        """
        if self._gone is not None:
            return self._gone
        return self._failed if any(map(os.path.lexists, self._unsealed)) else None

    def request(self) -> int:
        """When somebody asked last for what is open, ns since 1970 UTC; 0 if never.

        Raises :class:`OSError`.
        """
        try:
            return os.stat(self._lane.seal_request, follow_symlinks=False).st_mtime_ns  # noqa: PTH116
        except FileNotFoundError:
            return 0

    def start(self, asked: int) -> None:
        """Begin to look once a second: a file is in use, begun after the request ``asked``."""
        self._asked = asked
        if self._thread is not None:
            self._wake.set()
        else:
            self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)
            try:
                self._thread.start()
            except RuntimeError:  # no room for one more
                self._thread = None
                raise

    def wake(self) -> None:
        """Seal soon what is complete. Never waits."""
        self._wake.set()

    def finish(self) -> None:
        """Stop looking; seal what is left in the caller's thread.

        Raises :class:`SpoolError` if a file could not be sealed; it lies in ``open/``, durable.
        """
        self._stopped_at = min(self._stopped_at, time.monotonic())
        self._stop = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        self._seal_complete()
        problem = self.problem
        if problem is not None:
            raise problem

    def _run(self) -> None:
        in_use = True
        while not self._stop:
            self._wake.wait(until_beat(LOOK_EVERY_S) if in_use else None)
            self._wake.clear()
            gently(self._is_hurried, self._seal_complete)
            self._awaited = False
            try:
                in_use = self._roll("age", self._due())
            except Exception as error:  # noqa: BLE001 - whatever it is, the next look comes
                in_use = True  # nobody knows: look again, or what is in use would never be sealed
                self._failed = _told(error, "see how old a file may become")

    def _is_hurried(self) -> bool:
        """Whether somebody waits for the sealing, or the next file."""
        # Noted: a file that is begun meanwhile makes the request an old one.
        self._awaited = self._awaited or self._is_asked()
        return self._stop or self._awaited or bool(self.complete)

    def _is_over(self) -> bool:
        return time.monotonic() - self._stopped_at > REWRITING_S

    def _is_asked(self) -> bool:
        try:
            return self.request() != self._asked
        except OSError:
            return False  # the next look meets it, and tells

    def _due(self) -> int:
        """The age in ms from which the file in use is rolled; 0 if somebody asks for it."""
        request = self.request()
        if request != self._asked:
            self._asked = request
            self._awaited = True
            return 0
        return seal_age_ms(self._lane, self._age)

    def _check_there(self, tail: Tail) -> None:
        """Raise :class:`SpoolError` ``writer.file_gone`` if the file is not there any more.

        Nobody else has sealed it: its lock is held.
        """
        with suppress(OSError):  # what follows meets it, and tells
            if tail.is_there():
                return
            self._disk.close(tail.fd)
            self._gone = SpoolError(
                "writer.file_gone",
                f"{shown(str(tail.path))} was moved or removed while records were appended to it; "
                f"acknowledged were {tail.totals.records}, and the spool has them no more.",
                "Move the file back, and the daemon seals it; if it is gone, append them again.",
            )
            raise self._gone

    def _seal_complete(self) -> None:
        while self.complete:
            tail, reason, failed = self.complete.pop(0)
            try:
                self._check_there(tail)
                if failed:
                    filled, reason = tail.cut_back(), "recovered"
                else:
                    filled = tail.filled()
                if self._sealer is None:
                    self._disk.close(filled.fd)
                else:
                    behind = len(self.complete) >= BEHIND
                    with may_leave_off(self._is_over):
                        self._sealer.seal(filled, reason, as_it_is=behind)
            except Exception as error:  # noqa: BLE001 - the thread has others to seal
                # Nothing is lost: it lies in open/, durable, and the next recovery seals it.
                self._failed = _told(error, "seal a file")
                # A new list each time: whoever asks for the problem goes through the old one.
                self._unsealed = [*filter(os.path.lexists, self._unsealed), tail.path]


def _told(error: Exception, what: str) -> SpoolError:
    if isinstance(error, SpoolError):
        return error
    if isinstance(error, OSError):
        return explained(error, what)
    return SpoolError(
        "writer.failed",
        f"A fault of the program ({type(error).__name__}) kept it from trying to {what}.",
        "What was acknowledged is durable; start the daemon again, and report this.",
    )
