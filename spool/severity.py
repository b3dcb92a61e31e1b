"""Which log records are kept: warnings and above, as the vendor's page promises of what it takes.

A record is judged by its ``severityNumber``; without one by its ``severityText``. One that says
neither is not known to be a warning, and is not kept.
"""

import re
from collections.abc import Mapping

WARN = 13
"""The lowest severity number of a warning in OpenTelemetry's scale of 1 to 24."""
_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)
_NAME = re.compile(r"SEVERITY_NUMBER_(?P<level>(?:TRACE|DEBUG|INFO|WARN|ERROR|FATAL)[2-4]?)")
_WARNING = re.compile(
    r"(?:WARN(?:ING)?|ERR(?:OR)?|SEVERE|FATAL|CRIT(?:ICAL)?|ALERT|EMERG(?:ENCY)?|PANIC)[1-4]?",
    re.ASCII | re.IGNORECASE,
)
"""The words of OpenTelemetry, syslog, Python, Java and Go; numbered as OpenTelemetry does."""


def is_warning(record: Mapping[str, object]) -> bool:
    """Whether a parsed OTLP log record is a warning or more. Never raises."""
    number = record.get("severityNumber")
    if type(number) is int and number > 0:
        return number >= WARN
    if number is not None:
        said = _by_number(number)
        if said is not None:
            return said
    text = record.get("severityText")
    return isinstance(text, str) and _WARNING.fullmatch(text.strip()) is not None


def _by_number(number: object) -> bool | None:
    """What a number in another form says: a string, an enum's name; None if it says nothing."""
    if isinstance(number, float):  # 13.0 is an integer of JSON too
        return number >= WARN if number >= 1 else None
    if not isinstance(number, str):
        return None
    if _NUMBER.fullmatch(number):
        return int(number) >= WARN if int(number) else None
    named = _NAME.fullmatch(number)
    return None if named is None else _WARNING.fullmatch(named["level"]) is not None
