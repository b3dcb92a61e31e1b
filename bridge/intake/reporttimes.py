"""Times of a transaction, under the names and in the form that a report has.

The table says ``insertion_time_range_start`` and a range ``interval``, the report
``start_insertion_time`` and ``start_interval_time``. PostgreSQL writes ``2026-11-01 07:00:00+00``, a
report ``2026-11-01T07:00:00Z``. What is no time is left as it is.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache

_RANGE = re.compile(r'[\[(]"?([^",]*)"?,"?([^",]*)"?[\])]')
"""A range as PostgreSQL writes it; an end that is open is empty."""

TIME_MAX = 40
"""Characters of a time; with microseconds and offset it has 32."""


def report_times(said: Mapping[str, str]) -> Iterator[tuple[str, str | None]]:
    """Names and values that a report has and ``said``, the cells of a row, has under other names."""
    found = _RANGE.fullmatch(said.get("interval", ""))
    begin, end = found.groups() if found else (None, None)
    for name, value in (
        ("start_insertion_time", said.get("insertion_time_range_start")),
        ("end_insertion_time", said.get("insertion_time_range_end")),
        ("start_interval_time", said.get("interval_start") or begin),
        ("end_interval_time", said.get("interval_end") or end),
    ):
        if name not in said and value is not None:
            yield name, _rfc3339(value) or None


def moment(text: str) -> datetime | None:
    """The time that ``text`` is, as exports and reports write it; without an offset it is UTC."""
    return _moment(text) if len(text) <= TIME_MAX else None


@lru_cache(maxsize=4096)  # windows are whole hours: the same few come again and again
def _moment(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _rfc3339(text: str) -> str:
    found = moment(text)
    return text if found is None else found.isoformat().removesuffix("+00:00") + "Z"
