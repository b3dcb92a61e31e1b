"""Wakes the engine when a head changes; the only importer of ``watchdog``.

Events are lost when a queue overflows, and a folder that is made anew is watched no more. So an event
only wakes; what is new is found by looking. Where the kernel has no watches left, the looks alone do.
"""

import os
from collections.abc import Callable
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import ObservedWatch

HEAD = "head"
_PUT_IN_PLACE = frozenset({"moved", "created"})
"""How a head comes to its name; reading one is an event, too."""


class HeadWatcher:
    """Watches the folders of lanes, not what is below them; for one thread.

    ``deaf`` says why events do not come, None while they do.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._observer = Observer()
        self._wake = wake
        self._followed: dict[Path, tuple[tuple[int, int], ObservedWatch]] = {}
        self.deaf: str | None = None

    def start(self) -> None:
        """Begin to deliver events. Never raises for what the kernel refuses: see ``deaf``."""
        try:
            self._observer.start()
        except (OSError, RuntimeError) as error:
            self._is_deaf(error)

    def follow(self, folder: Path) -> None:
        """Watch the folder of a lane; to be said at each look, for it may have been made anew.

        One that is not there is watched when it is and this is said again.
        """
        if self.deaf is not None:
            return
        try:
            found = folder.stat()
        except OSError:
            # Whoever looks at the lane learns of it.
            return
        place = (found.st_dev, found.st_ino)
        known = self._followed.get(folder)
        if known is not None and known[0] == place:
            return
        if known is not None:
            self._observer.unschedule(known[1])
            del self._followed[folder]
        try:
            watch = self._observer.schedule(_Handler(self), str(folder), recursive=False)
        except FileNotFoundError:
            return
        except (OSError, RuntimeError) as error:
            self._is_deaf(error)
        else:
            self._followed[folder] = (place, watch)

    def stop(self) -> None:
        """Deliver no more events."""
        if self._observer.is_alive():
            self._observer.stop()
            self._observer.join()

    def heard(self, event: FileSystemEvent) -> None:
        """Wake for a head; an error of the waking must not end the thread that delivers."""
        names = (os.fsdecode(event.src_path), os.fsdecode(event.dest_path))
        if event.event_type not in _PUT_IN_PLACE or HEAD not in map(os.path.basename, names):
            return
        try:
            self._wake()
        except Exception as error:  # noqa: BLE001 - whatever it is, the next event must come
            self._is_deaf(error)

    def _is_deaf(self, error: Exception) -> None:
        self.deaf = f"{type(error).__name__}: {error}"


class _Handler(FileSystemEventHandler):
    def __init__(self, watcher: HeadWatcher) -> None:
        self._watcher = watcher

    def on_any_event(self, event: FileSystemEvent) -> None:
        self._watcher.heard(event)
