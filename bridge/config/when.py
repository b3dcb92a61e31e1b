"""Moments as people write them: ``2026-11-23T09:00:00+01:00``, ``2026-11-23``, or ``2h`` (ago)."""

import re
from datetime import UTC, datetime, timedelta

from bridge.config.units import duration_ms

_MOMENT = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)\Z", re.ASCII
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d\Z", re.ASCII)


def moment_ms(text: str, now_ms: int) -> int:
    """``text`` in ms since 1970 UTC, of RFC 3339 with an offset, a UTC date, or a duration ago.

    Raises :class:`ValueError` for anything else, and for times before 1970.
    """
    if _MOMENT.match(text):
        found = datetime.fromisoformat(text.upper())
    elif _DATE.match(text):
        found = datetime.fromisoformat(text).replace(tzinfo=UTC)
    else:
        return max(now_ms - duration_ms(text), 0)
    ms = (found - datetime.fromtimestamp(0, UTC)) // timedelta(milliseconds=1)
    if ms < 0:
        raise ValueError(text)
    return ms
