"""A group of records is judged: what lines they become, or why not one of them is taken."""

from collections.abc import Sequence

from spool.errors import RecordError
from spool.jsonbytes import VALUES_MAX
from spool.secrets import SecretGuard
from spool.streams import Stream

AT_ONCE = 128
"""Records that are looked through together, which costs a fifth of a look through each; they are to
be near the processor still when they are judged."""
_LF, _CR = b"\n\r"


def judged(row: Stream, records: Sequence[bytes], guard: SecretGuard) -> list[bytes]:
    """The lines that ``records`` become; nearly always they are those lines already.

    An OTLP record that holds a guarded value is refused, with all that came with it: a caller that is
    not told would not know that it was left out. Raises :class:`RecordError`.
    """
    if len(records) <= AT_ONCE:
        return _judged(row, records, guard)
    lines: list[bytes] = []
    for begin in range(0, len(records), AT_ONCE):
        lines += _judged(row, records[begin : begin + AT_ONCE], guard)
    return lines


def _judged(row: Stream, records: Sequence[bytes], guard: SecretGuard) -> list[bytes]:
    text = b"".join(records)
    if len(text) > VALUES_MAX and len(records) > 1:
        del text
        half = len(records) // 2
        return _judged(row, records[:half], guard) + _judged(row, records[half:], guard)
    quick = len(text) <= VALUES_MAX and _LF not in text and _CR not in text
    del text
    lines: list[bytes] = []
    at = 0
    while at < len(records):
        end = guard.first_in(records, at, row.plain_until(records, at)) if quick else at
        if end - at == len(records):
            return list(records)
        lines += records[at:end]
        if end < len(records):
            lines += _alone(row, records[end], guard)
        at = end + 1
    return lines


def _alone(row: Stream, record: bytes, guard: SecretGuard) -> list[bytes]:
    found = row.to_lines(record, guard)
    if found.dropped:
        raise RecordError(
            "record.secret",
            f"{found.dropped} OTLP records hold a secret that must not be stored.",
            "Take the license key out of them.",
        )
    return found.lines
