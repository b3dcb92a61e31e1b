"""Wakes the engine when a head changes; the only importer of ``watchdog``.

Events are lost when a queue overflows, and a folder that is made anew is watched no more. So an event
only wakes; what is new is found by looking. Where the kernel has no watches left, the looks alone do.
"""

from collections.abc import Callable
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

HEAD = "head"


class _Wake(FileSystemEventHandler):
    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Wake for a head that was put in its place; reading a file is an event, too."""
        names = (str(event.src_path), str(event.dest_path))
        if any(Path(name).name == HEAD for name in names) and event.event_type == "moved":
            self._wake()


class HeadWatcher:
    """Watches the folders of lanes, not what is below them.

    ``deaf`` says why no events come, None while they do.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._observer = Observer()
        self._handler = _Wake(wake)
        self._followed: set[Path] = set()
        self.deaf: str | None = None

    def start(self) -> None:
        """Begin to deliver events."""
        try:
            self._observer.start()
        except OSError as error:
            self.deaf = str(error)

    def follow(self, folder: Path) -> None:
        """Watch the folder of a lane, too; once is enough."""
        if self.deaf is not None or folder in self._followed:
            return
        try:
            self._observer.schedule(self._handler, str(folder), recursive=False)
        except OSError as error:
            self.deaf = str(error)
        self._followed.add(folder)

    def stop(self) -> None:
        """Deliver no more events."""
        if self._observer.is_alive():
            self._observer.stop()
            self._observer.join()
