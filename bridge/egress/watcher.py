"""Wakes the engine when a head changes, or when somebody asks; the only importer of ``watchdog``.

Events are lost when a queue overflows, and a folder that is made anew is watched no more. So an event
only wakes; what is new is found by looking. Where the kernel has no watches left, the looks alone do.
"""

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from watchdog.events import (
    DirDeletedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch

from spool.waking import WAKE_NAME

NEWS = frozenset({"head", WAKE_NAME})
"""The names of files that are made anew when there is news."""
_PUT_IN_PLACE = frozenset({"moved", "created"})
"""How such a file comes to its name; reading one is an event, too."""
_WANTED: list[type[FileSystemEvent]] = [FileMovedEvent, FileCreatedEvent, DirDeletedEvent]
"""What the kernel is asked for; any other event, even a look into a folder, would wake threads."""


@dataclass(frozen=True, slots=True)
class _Followed:
    """A folder that is watched, by its inode: another one may get its name."""

    place: tuple[int, int]
    watch: ObservedWatch
    handler: "_Handler"


class HeadWatcher:
    """Watches the folders of lanes and of a spool, not what is below them; to be used from one thread.

    ``wake`` is called from another one. ``deaf`` says what keeps events from coming, None if nothing.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._observer: BaseObserver | None = None
        self._followed: dict[Path, _Followed] = {}
        self.deaf: str | None = None

    def start(self) -> None:
        """Begin to deliver events. What the kernel refuses is said by ``deaf``, never raised."""
        try:
            observer = Observer()
            observer.start()
        except (OSError, RuntimeError) as error:
            self._is_deaf(error)
        else:
            self._observer = observer

    def follow(self, folder: Path) -> None:
        """Watch the folder of a lane or spool; to be said at each look: it may have been made anew.

        One that is not there is watched when this is said again and it is.
        """
        if self._observer is None:
            return
        known = self._followed.get(folder)
        try:
            found = folder.stat()
        except OSError:
            # Whoever looks at the lane learns of it.
            self._forget(folder)
            return
        place = (found.st_dev, found.st_ino)
        if known is not None and known.place == place and not known.handler.gone:
            return
        self._forget(folder)
        handler = _Handler(folder, self._heard)
        try:
            watch = self._observer.schedule(
                handler, str(folder), recursive=False, event_filter=_WANTED
            )
        except FileNotFoundError:
            return
        except (OSError, RuntimeError) as error:
            self._is_deaf(error)
        else:
            self._followed[folder] = _Followed(place, watch, handler)

    def hears(self, folders: Collection[Path]) -> bool:
        """Whether events come from all of ``folders``, as far as one can tell."""
        observer = self._observer
        return (
            observer is not None
            and self.deaf is None
            and observer.is_alive()
            and all(emitter.is_alive() for emitter in observer.emitters)
            and all(folder in self._followed for folder in folders)
        )

    def stop(self) -> None:
        """Deliver no more events."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join()
            self._observer = None

    def _forget(self, folder: Path) -> None:
        known = self._followed.pop(folder, None)
        if known is not None and self._observer is not None:
            self._observer.unschedule(known.watch)

    def _heard(self) -> None:
        try:
            self._wake()
        except Exception as error:  # noqa: BLE001 - whatever it is, the next event must come
            self._is_deaf(error)

    def _is_deaf(self, error: Exception) -> None:
        self.deaf = f"{type(error).__name__}: {error}"


class _Handler(FileSystemEventHandler):
    """Tells of news in one folder; ``gone`` says that the folder itself was deleted."""

    def __init__(self, folder: Path, heard: Callable[[], None]) -> None:
        self._folder = str(folder)
        self._heard = heard
        self.gone = False

    def on_any_event(self, event: FileSystemEvent) -> None:
        source, target = os.fsdecode(event.src_path), os.fsdecode(event.dest_path)
        if event.event_type == "deleted" and source == self._folder:
            self.gone = True
        elif event.event_type in _PUT_IN_PLACE and not NEWS.isdisjoint(
            map(os.path.basename, (source, target))
        ):
            self._heard()
