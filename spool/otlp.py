"""OTLP JSON bodies become lines of the OTLP JSON file format, one signal's array to a line.

The array's elements stay in the sender's bytes. Of the outermost object only that array is kept:
the OTLP specification has receivers ignore what they do not know, and every line needs a fixed head
and tail, so that lines can be joined without parsing. A large body is split by resource, then by
scope, then by record, each piece under the resource and scope that it came with. Records that hold
a guarded value are left out and counted; what they leave empty goes with them.
"""

from collections.abc import Iterable, Iterator

import msgspec

from spool.errors import RecordError
from spool.jsonbytes import (
    check_utf8,
    cut_at,
    elements,
    members,
    on_one_line,
    value_of,
)
from spool.lines import Lines, check_license_fields, check_size
from spool.secrets import SecretGuard

SPLIT_ABOVE = 1024 * 1024
"""Bytes of a line that is not split: small beside a request, large beside a record."""
ENVELOPE_MAX = 256 * 1024
"""Bytes of a resource or scope that are repeated in each piece; more could multiply a body."""


class Signal:
    """One OTLP signal. Each line of it begins with ``head`` and ends with ``tail``."""

    __slots__ = ("_below", "_resources", "head", "tail")

    def __init__(self, resources: str, scopes: str, records: str) -> None:
        """A signal whose three nested arrays have these names."""
        self._resources = resources
        self._below = (scopes, records)
        self.head = b'{"%b":[' % resources.encode()
        self.tail = b"]}"

    def to_lines(self, data: bytes, guard: SecretGuard) -> Lines:
        """The lines of one export body; none without the array, or where it is null or empty.

        Raises :class:`RecordError` ``record.json``, ``record.depth``, ``record.form``,
        ``record.repeated_key``; ``record.secret`` for an outermost license field; and
        ``record.too_large`` where a single record is.
        """
        check_utf8(data)
        outer = members(data)
        check_license_fields(outer)
        raw = outer.get(self._resources)
        if raw is None or (array := bytes(raw)) == b"null":
            return Lines([])
        dropped = 0
        if guard.found_in(data):
            kept, dropped = _without_secrets(elements(array), self._below, guard)
            array = b"[%b]" % b",".join(kept)
        room = SPLIT_ABOVE - len(self.head) - len(self.tail)
        if len(array) <= room:
            line = self.head[:-1] + array + self.tail[1:]
            return Lines([on_one_line(line)] if self._holds_any(line) else [], dropped)
        pieces = _packed(_pieces(elements(array), self._below, room), room)
        lines = [self.head + piece + self.tail for piece in pieces]
        return Lines([on_one_line(line) for line in lines if self._holds_any(line)], dropped)

    def _holds_any(self, line: bytes) -> bool:
        """Judge a line in full; whether its array has an element."""
        check_size(len(line))
        outer = value_of(line)
        scopes, records = self._below
        found = _objects_in(outer, self._resources)
        for resource in found:
            for scope in _objects_in(resource, scopes):
                _objects_in(scope, records)
        return bool(found)


LOGS = Signal("resourceLogs", "scopeLogs", "logRecords")
METRICS = Signal("resourceMetrics", "scopeMetrics", "metrics")
TRACES = Signal("resourceSpans", "scopeSpans", "spans")


def _objects_in(parent: object, name: str) -> list[object]:
    assert isinstance(parent, dict)  # noqa: S101 - its caller has seen to it
    found: object = parent.get(name)
    if found is None:
        return []
    if isinstance(found, list):
        for each in found:
            if type(each) is not dict:
                break
        else:
            return found
    raise RecordError(
        "record.form",
        f"In an OTLP body, {name} is not an array of objects.",
        "Send it as the OTLP specification has it.",
    )


def _without_secrets(
    raws: Iterable[msgspec.Raw], names: tuple[str, ...], guard: SecretGuard
) -> tuple[list[bytes], int]:
    """Those of ``raws`` that hold no secret, whole or in part, and how many records went."""
    kept: list[bytes] = []
    dropped = 0
    for element in map(bytes, raws):
        if not guard.found_in(element):
            kept.append(element)
            continue
        inner = _array_in(element, names)
        if inner is None:
            dropped += 1
            continue
        before, children, after = inner
        some, gone = _without_secrets(children, names[1:], guard)
        rest = b"%b%b%b" % (before, b",".join(some), after)
        if guard.found_in(rest):
            dropped += max(1, _count(element, names))
        else:
            dropped += gone
            kept += [rest] * bool(some)
    return kept, dropped


def _count(element: bytes, names: tuple[str, ...]) -> int:
    """How many records an element holds; a record is one."""
    if not names:
        return 1
    inner = _array_in(element, names)
    return 0 if inner is None else sum(_count(bytes(raw), names[1:]) for raw in inner[1])


def _pieces(raws: Iterable[msgspec.Raw], names: tuple[str, ...], room: int) -> Iterator[bytes]:
    """``raws`` in their order, those over ``room`` bytes in pieces where they can be split."""
    for element in map(bytes, raws):
        inner = None if len(element) <= room else _array_in(element, names)
        if inner is None or len(inner[0]) + len(inner[2]) > ENVELOPE_MAX:
            yield element
            continue
        before, children, after = inner
        left = room - len(before) - len(after)
        for group in _packed(_pieces(children, names[1:], left), left):
            yield b"%b%b%b" % (before, group, after)


def _packed(pieces: Iterable[bytes], room: int) -> Iterator[bytes]:
    """``pieces`` joined by commas, as many as ``room`` bytes hold; a larger one stands alone."""
    group: list[bytes] = []
    held = 0
    for piece in pieces:
        if group and held + len(piece) > room:
            yield b",".join(group)
            group, held = [], 0
        group.append(piece)
        held += len(piece) + 1
    if group:
        yield b",".join(group)


def _array_in(
    element: bytes, names: tuple[str, ...]
) -> tuple[bytes, list[msgspec.Raw], bytes] | None:
    """What stands around the elements of the array ``names[0]``, and they; None without it."""
    cut = cut_at(element, names[0]) if names else None
    if cut is None or bytes(cut[1]) == b"null":
        return None
    before, array, after = cut
    return before + b"[", elements(array), b"]" + after
