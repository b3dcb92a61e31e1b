"""Tells of files that were moved or removed while the intake wrote them: what was in them is gone."""

from collections.abc import Callable, Mapping
from pathlib import Path

from bridge.egress.event import Event
from spool.durable import Disk, explained
from spool.errors import SpoolError
from spool.troublefile import Trouble, write_trouble
from spool.writer import Writer

PART = "writers"
GONE = "writer.file_gone"


class GoneFiles:
    """Watches ``writers``, by stream; the status tells of the last such file while the daemon runs."""

    def __init__(
        self,
        writers: Mapping[str, Writer],
        spool: Path,
        *,
        disk: Disk,
        tell: Callable[[Event], None],
    ) -> None:
        self._writers = writers
        self._spool = spool
        self._disk = disk
        self._tell = tell
        self._said: dict[str, SpoolError] = {}
        self._put(None)

    def look(self) -> None:
        """Tell of each, once."""
        for stream, writer in self._writers.items():
            problem = writer.problem
            if problem is None or problem.id != GONE or problem is self._said.get(stream):
                continue
            self._said[stream] = problem
            message = f"{problem.message} {problem.hint}"
            self._tell(Event("spool.file_gone", message, {"stream": stream}))
            self._put(Trouble.of(problem))

    def _put(self, trouble: Trouble | None) -> None:
        try:
            write_trouble(self._disk, self._spool, PART, trouble)
        except OSError as error:
            message = explained(error, "tell of a file that is gone").message
            self._tell(Event("daemon.untold", message))
