"""What stands around the records of an OTLP body: the same, byte for byte, in body after body.

A client sends all that it has under one resource and one scope, and seldom changes them. Where a body
begins and ends as one that was taken before, only the array between is left to be judged: JSON lets any
value stand in the place of another, so what holds around one array holds around every array.
"""

from functools import partial

from spool.errors import RecordError
from spool.jsonparts import cut_at, elements
from spool.learned import Learned

ENVELOPES_MAX = 8
"""Envelopes that are known at a time; to see that one does not fit takes a twentieth of judging."""
LEARN_FIRST, LEARN_LAST = 16, 4096
"""Bodies in none of them until some are learned from again: each takes as long as to judge ten."""
LEARNED_MAX = 4096
"""Bytes of an envelope: many times what clients say of themselves, and small beside a process."""


Envelope = tuple[bytes, bytes]
"""What stands before and after the array of records; neither is empty. Where there are several, a plain
tuple is taken apart in a tenth of the time."""
Envelopes = Learned[Envelope]


def envelopes(names: tuple[str, str, str]) -> Envelopes:
    """None known yet, of bodies whose nested arrays have these names."""
    return Learned(
        partial(envelope_of, names),
        most=ENVELOPES_MAX,
        pays=1,
        first=LEARN_FIRST,
        last=LEARN_LAST,
    )


def envelope_of(names: tuple[str, str, str], line: bytes) -> Envelope | None:
    """The envelope of a line that was taken; None where it is larger, or not one scope alone.

    ``names`` are the nested arrays. None of them is said twice by the objects that stand open where the
    records begin.
    """
    try:
        before, array, after = _around(names, line)
    except (RecordError, ValueError):  # null, said twice, not there, or one of several: still good
        return None
    if len(before) + len(after) > LEARNED_MAX or before + array + after != line:
        return None
    return before, after


def _around(names: tuple[str, str, str], line: bytes) -> tuple[bytes, bytes, bytes]:
    """What stands before, in and after the array of records, but for white space around elements.

    Raises :class:`RecordError`, or :class:`ValueError` where it is not one scope of one resource.
    """
    before, array, after = b"", line, b""
    for depth, name in enumerate(names):
        found = cut_at(array, name)
        if found is None:
            raise ValueError
        before, array, after = before + found[0], bytes(found[1]), found[2] + after
        if depth < len(names) - 1:
            (only,) = elements(array)
            before, array, after = before + b"[", bytes(only), b"]" + after
    return before, array, after
