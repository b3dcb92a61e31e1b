"""OTLP JSON bodies become lines of the OTLP JSON file format, one signal's array to a line.

The array's elements stay in the sender's bytes. Of the outermost object only that array is kept:
the OTLP specification has receivers ignore what they do not know, and every line needs a fixed head
and tail, so that lines can be joined without parsing. A large body is split by resource, then by
scope, then by record, each piece under the resource and scope that it came with. Records that hold
a guarded value are left out and counted, and so are log records below a warning; what they leave
empty goes with them, and every other byte stays.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from spool.abandoning import checkpoint
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
from spool.otlpshapes import Log, Metric, Span, usual
from spool.secrets import SecretGuard
from spool.severity import WARN, is_warning

SPLIT_ABOVE = 1024 * 1024
"""Bytes of a line that is not split: small beside a request, large beside a record."""
ENVELOPE_MAX = 256 * 1024
"""Bytes of a resource or scope that are repeated in each piece; more could multiply a body."""


_LF, _CR, _BACKSLASH = b"\n\r\\"


class Signal:
    """One OTLP signal. Each line of it begins with ``head`` and ends with ``tail``."""

    __slots__ = ("_below", "_is_usual", "_name", "_resources", "_wanted", "head", "tail")

    def __init__(
        self,
        names: tuple[str, str, str],
        is_usual: Callable[[bytes], bool],
        wanted: "_Wanted | None" = None,
    ) -> None:
        """A signal whose three nested arrays have these names; ``wanted`` records alone are kept.

        ``is_usual`` says quickly of most bodies that they are good, and that all of it is wanted.
        """
        resources, scopes, records = names
        self._resources = resources
        self._wanted = wanted
        self._is_usual = is_usual
        self._below = (scopes, records)
        self._name = b'"%b"' % resources.encode()
        self.head = b'{"%b":[' % resources.encode()
        self.tail = b"]}"

    def to_lines(self, data: bytes, guard: SecretGuard) -> Lines:
        """The lines of one export body; none without the array, or where it is null or empty.

        Raises :class:`RecordError` ``record.json``, ``record.depth``, ``record.form``,
        ``record.repeated_key``; ``record.secret`` for an outermost license field; and
        ``record.too_large`` where a single record is.
        """
        if self._is_line(data) and not guard.found_in(data):
            if self._is_usual(data):
                return Lines([data])
            outer = value_of(data)
            if type(outer) is dict and len(outer) == 1:
                line, unwanted = self._judged(data, outer)
                return Lines([] if line is None else [line], 0, unwanted)
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
            pieces = [self.head[:-1] + array + self.tail[1:]]
        else:
            packed = _packed(_pieces(elements(array), self._below, room), room)
            pieces = [self.head + piece + self.tail for piece in packed]
        lines: list[bytes] = []
        filtered = 0
        for piece in pieces:
            checkpoint()
            check_size(len(piece))
            if self._is_usual(piece):
                lines.append(on_one_line(piece))
                continue
            line, unwanted = self._judged(piece, value_of(piece))
            filtered += unwanted
            if line is not None:
                lines.append(on_one_line(line))
        return Lines(lines, dropped, filtered)

    def is_plain(self, data: bytes) -> bool:
        """Whether ``data`` becomes one line, itself, unless it holds a guarded value; no means maybe.

        It costs less than half of what it takes to judge a body without knowing its shape.
        """
        return self._is_line(data) and self._is_usual(data)

    def halves(self, line: bytes) -> list[bytes]:
        """A line in two parts or more, by resource, then scope, then record; the same every time.

        Fewer than two where it cannot be split: a single record, or one under a resource or scope
        too large to be repeated. Raises :class:`RecordError` where it is no line of this signal.
        """
        array = self._array(line)
        room = len(array) // 2
        packed = _packed(_pieces(elements(array), self._below, room), room)
        return [self.head + piece + self.tail for piece in packed]

    def records_in(self, line: bytes) -> int:
        """How many records a line holds. Raises as :meth:`halves` does."""
        return sum(_count(bytes(raw), self._below) for raw in elements(self._array(line)))

    def _array(self, line: bytes) -> bytes:
        return line[len(self.head) - 1 : len(line) - len(self.tail) + 1]

    def _is_line(self, data: bytes) -> bool:
        """Whether ``data`` looks like a line already, as the usual body does.

        Its outermost name stands where it must and nowhere else, also not spelled with escapes: if
        ``data`` is an object of one member, it does not repeat it.
        """
        return (
            data.startswith(self.head)
            and data.endswith(self.tail)
            and len(data) <= SPLIT_ABOVE
            and _LF not in data
            and _CR not in data
            # To look for one byte takes a thirtieth of what it takes to look for two.
            and (_BACKSLASH not in data or b"\\u" not in data)
            and data.count(self._name) == 1
        )

    def _judged(self, line: bytes, outer: object) -> tuple[bytes | None, int]:
        """Judge a line, parsed as ``outer``: what is left of it, or None; how many records went."""
        scopes, records = self._below
        wanted = self._wanted
        kept = unwanted = 0
        found = _objects_in(outer, self._resources)
        for resource in found:
            for scope in _objects_in(resource, scopes):
                leaves = _objects_in(scope, records)
                if wanted is not None:
                    for leaf in leaves:
                        if wanted(leaf):
                            kept += 1
                        else:
                            unwanted += 1
        if wanted is None or not unwanted:
            return (line if found else None), 0
        if not kept:
            return None, unwanted
        raws = elements(line[len(self.head) - 1 : len(line) - len(self.tail) + 1])
        some = _only_wanted(raws, found, self._below, wanted)
        return self.head + b",".join(some) + self.tail, unwanted


_Wanted = Callable[[Mapping[str, Any]], bool]
_LOGS = ("resourceLogs", "scopeLogs", "logRecords")
_METRICS = ("resourceMetrics", "scopeMetrics", "metrics")
_TRACES = ("resourceSpans", "scopeSpans", "spans")
LOGS = Signal(_LOGS, usual(_LOGS, Log, least=WARN), is_warning)
METRICS = Signal(_METRICS, usual(_METRICS, Metric))
TRACES = Signal(_TRACES, usual(_TRACES, Span))


def _objects_in(parent: Any, name: str) -> list[dict[str, Any]]:  # noqa: ANN401 - a JSON object
    found = parent.get(name)
    if type(found) is list:
        for each in found:
            if type(each) is not dict:
                break
        else:
            return found
    elif found is None:
        return []
    raise RecordError(
        "record.form",
        f"In an OTLP body, {name} is not an array of objects.",
        "Send it as the OTLP specification has it.",
    )


def _only_wanted(
    raws: Iterable[msgspec.Raw],
    values: Iterable[Mapping[str, Any]],
    names: tuple[str, ...],
    wanted: _Wanted,
) -> list[bytes]:
    """Those of ``raws``, whose parsed ``values`` are given too, that hold what is wanted.

    Where nothing goes, nothing is written anew.
    """
    kept: list[bytes] = []
    for element, value in zip(map(bytes, raws), values, strict=True):
        checkpoint()
        if not names:
            if wanted(value):
                kept.append(element)
            continue
        inner = _array_in(element, names)
        if inner is None:
            kept.append(element)
            continue
        before, children, after = inner
        some = _only_wanted(children, value[names[0]], names[1:], wanted)
        if some == list(map(bytes, children)):
            kept.append(element)
        elif some:
            kept.append(b"%b%b%b" % (before, b",".join(some), after))
    return kept


def _without_secrets(
    raws: Iterable[msgspec.Raw], names: tuple[str, ...], guard: SecretGuard
) -> tuple[list[bytes], int]:
    """Those of ``raws`` that hold no secret, whole or in part, and how many records went."""
    kept: list[bytes] = []
    dropped = 0
    for element in map(bytes, raws):
        checkpoint()
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
    checkpoint()
    if not names:
        return 1
    inner = _array_in(element, names)
    return 0 if inner is None else sum(_count(bytes(raw), names[1:]) for raw in inner[1])


def _pieces(raws: Iterable[msgspec.Raw], names: tuple[str, ...], room: int) -> Iterator[bytes]:
    """``raws`` in their order, those over ``room`` bytes in pieces where they can be split."""
    for element in map(bytes, raws):
        checkpoint()
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
