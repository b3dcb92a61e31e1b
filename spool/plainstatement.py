"""The form in which nearly every statement is written, taken apart in one step.

Whoever sends a backlog of small segments reads one statement each, and to go through it member by
member costs as much as a third of the signature. What is taken apart here is exactly what the strict
way finds in the same bytes, which a test holds; what has any other form, or a number that is unusually
long, is left to it.
"""

import re

from spool.lane import NODE_NAME, STREAM_NAME

CHAIN = r"[0-9a-f]{32}"
DIGEST = r"[0-9a-f]{64}"
SEALED_WITH_RECORDS = ("size", "age", "shutdown", "handover", "recovered")

_COUNT = r"0|[1-9][0-9]{0,14}"
_TIME = r"[0-9T:.Z-]{24}"
_FORM = re.compile(
    rf'{{"v":1,"node":"({NODE_NAME})","stream":"({STREAM_NAME})","chain":"({CHAIN})",'
    rf'"seq":([1-9][0-9]{{0,11}}),"prev":"({DIGEST})","records":({_COUNT}),"size":({_COUNT}),'
    rf'"raw_size":({_COUNT}),"sha256":"({DIGEST})","before":{{"records":({_COUNT}),'
    rf'"raw_size":({_COUNT})}},"first_at":"({_TIME})","last_at":"({_TIME})",'
    rf'"reason":"({"|".join(SEALED_WITH_RECORDS)})","policy":"({DIGEST})"}}',
    re.ASCII,
)


def taken_apart(payload: bytes) -> tuple[str, ...] | None:
    """The values of a statement of this form, in their order; None for any other bytes."""
    try:
        found = _FORM.fullmatch(payload.decode("ascii"))
    except UnicodeDecodeError:
        return None
    return None if found is None else found.groups()
