"""The thread that serves couriers: it looks into the inbox and the outbox while the daemon runs.

Bundles can be large, so nothing else waits for them. A stop ends the work between two pieces: what was
not whole is not there then, and is done by the next daemon.
"""

import threading
from collections.abc import Callable, Sequence

from bridge.daemon.calm import Calm
from bridge.daemon.ending import end
from spool.beat import until_beat


class StoppedWork(Exception):  # noqa: N818 - no error: it was asked for
    """The daemon stops, and a bundle is not finished."""


class Courier:
    """Looks, from :meth:`start` to :meth:`stop`; ``news`` is called when a look brought some.

    In a ``calm`` it looks less often. A bundle in the inbox has lain still between two looks.
    """

    def __init__(self, news: Callable[[], None], calm: Calm | None = None) -> None:
        self._news = news
        self._calm = calm or Calm()
        self._looks: Sequence[Callable[[], bool]] = ()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="courier", daemon=True)
        self.broken: BaseException | None = None
        """What ended the thread; the process must say so and stop."""

    def start(self, *looks: Callable[[], bool]) -> None:
        """Begin with these; without any there is nothing to do."""
        self._looks = looks
        if looks:
            self._thread.start()

    def stop(self) -> None:
        """End, with what is under way undone; what does not end by then, ends with the process."""
        self._stop.set()
        if self._looks:
            end(self._thread)

    def moved(self, _: int) -> None:
        """Called for each piece of work. Raises :class:`StoppedWork` when it is to end."""
        if self._stop.is_set():
            raise StoppedWork

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                for look in self._looks:
                    if look():
                        self._news()
                self._stop.wait(until_beat(self._calm.beat_s, 3))
        except StoppedWork:
            return
        except BaseException as error:  # noqa: BLE001 - whatever it is, the process must learn of it
            self.broken = error
            self._calm.stir()
