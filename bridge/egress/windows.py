"""The hours at which something may be sent: ``22:00-04:00``, UTC, each day.

Judged by the wall clock anew each time, so a clock that is stepped is obeyed at once, whichever way.
What is under way at the end of a window is finished.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from spool.clock import MS

DAY_MS = 86_400_000
_MINUTE_MS = 60_000
_FORM = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]):([0-5][0-9])", re.ASCII)
CLOSED = "window"
"""How the reason begins for which nothing is sent outside a window."""


@dataclass(frozen=True, slots=True)
class Window:
    """From ``begin`` on, before ``end``, ms since midnight; it wraps where the end comes first."""

    begin: int
    end: int

    @classmethod
    def parse(cls, text: str) -> "Window":
        """Of ``22:00-04:00``.

        Raises :class:`ValueError` for another form, and for a window without a length.
        """
        found = _FORM.fullmatch(text)
        if found is None:
            raise ValueError(text)
        first, last = (
            (int(hours) * 60 + int(minutes)) * _MINUTE_MS
            for hours, minutes in ((found[1], found[2]), (found[3], found[4]))
        )
        if first == last:
            raise ValueError(text)
        return cls(first, last)

    def opens_in(self, wall_ms: int) -> int:
        """Milliseconds until it opens; 0 while it is open."""
        since_midnight = wall_ms % DAY_MS
        since_begin = (since_midnight - self.begin) % DAY_MS
        return 0 if since_begin < (self.end - self.begin) % DAY_MS else DAY_MS - since_begin


class Windows:
    """All of them, as a limit; without any, nothing is held back."""

    def __init__(self, windows: Sequence[Window], wall_ms: Callable[[], int]) -> None:
        self._windows = windows
        self._wall_ms = wall_ms

    def wait(self) -> float:
        """Until the next one opens."""
        now = self._wall_ms()
        return min((each.opens_in(now) for each in self._windows), default=0) / MS

    def begin(self) -> None:
        """Nothing follows."""

    def end(self, sent: int, records: int, *, reached: bool) -> None:
        """Nothing follows."""

    @property
    def closed(self) -> str | None:
        """Why nothing is sent now, for people; None while something may be."""
        now = self._wall_ms()
        wait = min((each.opens_in(now) for each in self._windows), default=0)
        if not wait:
            return None
        minutes = (now + wait) % DAY_MS // _MINUTE_MS
        return f"{CLOSED}: nothing is sent before {minutes // 60:02d}:{minutes % 60:02d} UTC"
