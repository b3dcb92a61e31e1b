"""Time as an argument: whoever needs to know the time is handed a clock.

Wall time is whole milliseconds since 1970 UTC, for people and for statements. Monotonic time is
seconds, for ages and back-off. Nothing about unsent data is decided by wall time.
"""

import time
from datetime import UTC, datetime
from typing import Protocol

from spool.errors import RecordError

MS = 1000
WALL_MS_MAX = 253_402_300_799_999
"""The last millisecond of the year 9999: the last that has a form in RFC 3339."""


class Clock(Protocol):
    """Two clocks that are never mixed up."""

    def wall_ms(self) -> int:
        """Milliseconds since 1970 UTC; may jump in both directions."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back."""
        ...


class SystemClock:
    """The clocks of this machine."""

    def wall_ms(self) -> int:
        """Milliseconds since 1970 UTC, as the kernel has them."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds of ``CLOCK_MONOTONIC``."""
        return time.monotonic()


SYSTEM_CLOCK = SystemClock()


def rfc3339(ms: int) -> str:
    """``ms`` as the one form that we write: ``2026-11-23T09:00:00.000Z``."""
    seconds, rest = divmod(ms, MS)
    return f"{datetime.fromtimestamp(seconds, UTC).isoformat()[:19]}.{rest:03d}Z"


def parse_rfc3339(text: str) -> int:
    """Milliseconds of a time in exactly the form that :func:`rfc3339` writes.

    Raises :class:`RecordError` ``time.form`` for any other text.
    """
    try:
        parsed = datetime.fromisoformat(text)  # of many forms; the comparison leaves one
        ms = int(parsed.timestamp()) * MS + parsed.microsecond // MS
        if rfc3339(ms) == text:
            return ms
    except (ValueError, OverflowError):
        pass
    raise RecordError(
        "time.form", "A time is not in the form 2026-11-23T09:00:00.000Z.", "Write it in that form."
    )
