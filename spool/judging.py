"""A group of records is judged: what lines they become, or which is the first that cannot be taken."""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

from spool.errors import RecordError
from spool.jsonbytes import VALUES_MAX
from spool.lines import Lines
from spool.secrets import SecretGuard
from spool.streams import Stream

AT_ONCE = 128
"""Records that are looked through together, which costs a fifth of a look through each; they are to
be near the processor still when they are judged."""
_VAIN_MAX = 4
"""Looks in vain for plain calls after one that was not, until the rest is judged one by one: whoever
writes spaces, say, does so in all."""
_LF, _CR = b"\n\r"
_BYTES_ALONE = frozenset({bytes})


class Refused(NamedTuple):
    """Which record was refused, counted from 0, and why."""

    at: int
    error: RecordError


class Judged(NamedTuple):
    """The lines of the records before the first that was refused, or of all of them.

    ``filtered`` log records among them were below a warning.
    """

    lines: list[bytes]
    filtered: int
    refused: Refused | None


def as_bytes(records: Iterable[bytes]) -> list[bytes]:
    """``records`` as they are now, whatever their owner does with them meanwhile.

    Of what is derived of ``bytes``, or serves as such, parsers say different things.
    """
    some = list(records)
    if len(some) == 1 and type(some[0]) is bytes:  # nearly always, where each record is a call
        return some
    return some if _BYTES_ALONE.issuperset(map(type, some)) else list(map(bytes, some))


def judged(row: Stream, records: Sequence[bytes], guard: SecretGuard) -> list[bytes]:
    """The lines that ``records`` become; nearly always they are those lines already.

    An OTLP record that holds a guarded value is refused, with all that came with it: a caller that is
    not told would not know that it was left out. Raises :class:`RecordError`.
    """
    if len(records) == 1:
        return _alone(row, bytes(records[0]), guard).lines
    found = judged_until(row, records, guard)
    if found.refused is not None:
        raise found.refused.error
    return found.lines


def judged_apart(
    row: Stream, calls: Sequence[Sequence[bytes]], guard: SecretGuard
) -> list[Sequence[bytes] | Exception]:
    """The lines of each call's records, or what :func:`judged` raises of them; the others go on.

    Calls of few records, as :func:`as_bytes` gave them, cost half so of what they cost one by one.
    """
    found: list[Sequence[bytes] | Exception] = []
    for begin in range(0, len(calls), AT_ONCE):
        found += _few_apart(row, calls[begin : begin + AT_ONCE], guard)
    return found


def _few_apart(
    row: Stream, calls: Sequence[Sequence[bytes]], guard: SecretGuard
) -> Sequence[Sequence[bytes] | Exception]:
    records = list(chain.from_iterable(calls))
    text = b"".join(records)
    # Of whole records no escape reaches into the next, so what is in none is in none of them.
    quick = (
        len(text) <= VALUES_MAX and _LF not in text and _CR not in text and not guard.found_in(text)
    )
    plain = row.plain_until(records, 0) if quick else 0
    if plain == len(records):
        return calls
    found: list[Sequence[bytes] | Exception] = []
    end = vain = 0
    for call in calls:
        end += len(call)
        if end <= plain:
            found.append(call)
            continue
        try:
            found.append(judged(row, call, guard))
        except Exception as error:  # noqa: BLE001 - the call's own
            found.append(error)
        if quick:
            plain = row.plain_until(records, end)
            vain += plain == end
            quick = vain < _VAIN_MAX
    return found


def judged_until(row: Stream, records: Sequence[bytes], guard: SecretGuard) -> Judged:
    """As :func:`judged`, but what comes before a record that is refused is told with it."""
    own = as_bytes(records)
    lines: list[bytes] = []
    begin = filtered = 0
    several = AT_ONCE
    while begin < len(own):
        some = own[begin : begin + several]
        text = b"".join(some)
        if len(text) > VALUES_MAX and len(some) > 1:
            several = len(some) // 2
            continue
        quick = len(text) <= VALUES_MAX and _LF not in text and _CR not in text
        at = 0
        while at < len(some):
            end = row.plain_until(some, at) if quick else at
            # Of whole records no escape reaches into the next, so what is in none is in none of them.
            if end - at < len(some) or guard.found_in(text):
                end = guard.first_in(some, at, end)
            lines += some[at:end]
            if end < len(some):
                try:
                    found = _alone(row, some[end], guard)
                except RecordError as error:
                    return Judged(lines, filtered, Refused(begin + end, error))
                lines += found.lines
                filtered += found.filtered
            at = end + 1
        begin += len(some)
        several = min(2 * several, AT_ONCE)
    return Judged(lines, filtered, None)


def _alone(row: Stream, record: bytes, guard: SecretGuard) -> Lines:
    found = row.to_lines(record, guard)
    if found.dropped:
        raise RecordError(
            "record.secret",
            f"{found.dropped} OTLP records hold a secret that must not be stored.",
            "Take the license key out of them.",
        )
    return found
