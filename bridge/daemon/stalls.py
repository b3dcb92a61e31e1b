"""Tells when a part of the daemon does nothing any more: once in the log, and for the status.

The main thread looks after intake and egress; the intake's loop, which turns in any case, looks whether
the main thread still does. A process that was stopped for a while, with its container or its machine,
finds all its threads late when it goes on: so each is looked at once more before anything is said. The
status' file is written by a thread of its own: what hangs may be the disk, and whoever tells of it must
not hang with it.
"""

import threading
from collections.abc import Callable
from pathlib import Path

from bridge.egress.event import Event
from spool.beat import Pulse
from spool.clock import Clock
from spool.durable import Disk, explained
from spool.stalledfile import read_stalled, write_stalled

LATE_S = 30.0
"""Seconds by which a turn of a thread may be late until it is stalled: a slow disk holds it up."""
AGAIN_S = 2.0
"""Seconds after which a main thread that is late is looked at once more."""
MAIN = "main thread"


class Stalls:
    """For one daemon; any thread may call. ``main`` is the pulse of its main thread.

    Raises :class:`OSError` where what an earlier daemon left cannot be taken back.
    """

    def __init__(
        self, spool: Path, main: Pulse, *, disk: Disk, clock: Clock, tell: Callable[[Event], None]
    ) -> None:
        self._spool = spool
        self._main = main
        self._disk = disk
        self._clock = clock
        self._tell = tell
        self._saying, self._writing = threading.Lock(), threading.Lock()
        self._watches_main = self._doubts_main = False
        self.part: str | None = None
        """What does nothing any more, None where all parts move."""
        if read_stalled(spool) is not None:
            write_stalled(disk, spool, None, clock.wall_ms())

    def watch_main(self) -> None:
        """From now on the main thread turns."""
        self._watches_main = True

    def look(self) -> None:
        """Say soon if the main thread does nothing any more; to be called from another one."""
        if self._watches_main and not self._doubts_main and self._main.is_late(LATE_S):
            self._doubts_main = True
            again = threading.Timer(AGAIN_S, self._look_again)
            again.daemon = True
            again.start()

    def _look_again(self) -> None:
        if self._main.is_late(LATE_S):
            self.say(MAIN)
        self._doubts_main = False

    def say(self, part: str | None) -> None:
        """``part`` does nothing any more, or all move. Never waits for the disk."""
        with self._saying:
            if part == self.part:
                return
            self.part = part
        if part is None:
            self._tell(Event("daemon.moves", "All parts of the daemon move again."))
        else:
            message = f"The {part} does nothing any more; the watchdog is not fed."
            self._tell(Event("daemon.stalled", message, {"part": part}))
        threading.Thread(target=self._write, name="stalls", daemon=True).start()

    def _write(self) -> None:
        with self._writing:  # whoever comes last writes what is so then
            try:
                write_stalled(self._disk, self._spool, self.part, self._clock.wall_ms())
            except OSError as error:
                self._tell(Event("daemon.untold", explained(error, "tell of a stall").message))
