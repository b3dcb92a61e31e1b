"""OTLP JSON bodies become lines of the OTLP JSON file format, one signal's array to a line.

The array's elements stay in the sender's bytes. Of the outermost object only that array is kept:
the OTLP specification has receivers ignore what they do not know, and every line needs a fixed head
and tail, so that lines can be joined without parsing. A large body is split by resource, then by
scope, then by record, each piece under the resource and scope that it came with. Records that hold
a guarded value are left out and counted, and so are log records below a warning; what they leave
empty goes with them, and every other byte stays.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import msgspec

from spool.abandoning import checkpoint
from spool.envelopes import envelopes
from spool.errors import RecordError
from spool.jsonbytes import VALUES_MAX, check_utf8, check_values, on_one_line, value_of
from spool.jsonparts import elements, members
from spool.lines import Lines, check_license_fields, check_size
from spool.otlpcuts import Wanted, count, only_wanted, packed, pieces, without_secrets
from spool.otlpshapes import SHAPELESS, Log, Metric, Shapes, Span
from spool.secrets import SecretGuard
from spool.severity import is_warning

SPLIT_ABOVE = 1024 * 1024
"""Bytes of a line that is not split: small beside a request, large beside a record."""
_NULL = b"null"
_LF, _CR, _BACKSLASH = b"\n\r\\"


class Signal:
    """One OTLP signal. Each line of it begins with ``head`` and ends with ``tail``."""

    __slots__ = ("_below", "_envelopes", "_name", "_names", "_shapes", "_wanted", "head", "tail")

    def __init__(
        self, names: tuple[str, str, str], shapes: Shapes | None, wanted: Wanted | None = None
    ) -> None:
        """A signal whose three nested arrays have these names; ``wanted`` records alone are kept.

        ``shapes`` say quickly of most bodies that they are good, and that all of it is wanted; without
        them each is judged the long way.
        """
        self._names = names
        self._below = names[1:]
        self._wanted = wanted
        self._shapes = shapes
        self._envelopes = envelopes(names)
        self._name = b'"%b"' % names[0].encode()
        self.head = b'{"%b":[' % names[0].encode()
        self.tail = b"]}"

    def to_lines(self, data: bytes, guard: SecretGuard) -> Lines:
        """The lines of one export body; none without the array, or where it is null or empty.

        Raises :class:`RecordError` ``record.json``, ``record.depth``, ``record.form``,
        ``record.repeated_key``; ``record.secret`` for an outermost license field; and
        ``record.too_large`` where a single record is.
        """
        plain = self.is_plain(data)
        if (plain or self._is_line(data)) and not guard.found_in(data):
            if plain:
                return Lines([data])
            # What is wrong in a member that is left out is no matter: then, too, the long way.
            outer = None
            with suppress(RecordError):
                outer = value_of(data)
            if type(outer) is dict and len(outer) == 1:
                line, unwanted = self._judged(data, outer)
                if line is data:
                    self._envelopes.missed(data)
                return Lines([] if line is None else [line], 0, unwanted)
        check_utf8(data)
        outer = members(data)
        check_license_fields(outer)
        array: bytes | msgspec.Raw | None = outer.get(self._names[0])
        if array is None or (len(array) == len(_NULL) and bytes(array) == _NULL):
            return Lines([])
        dropped = 0
        if guard.found_in(data):
            kept, dropped = without_secrets(elements(array), self._below, guard)
            array = b"[%b]" % b",".join(kept)
        room = SPLIT_ABOVE - len(self.head) - len(self.tail)
        if len(array) <= room:
            parts = [self.head[:-1] + bytes(array) + self.tail[1:]]
        else:
            groups = packed(pieces(elements(array), self._below, room), room)
            parts = [self.head + group + self.tail for group in groups]
        lines: list[bytes] = []
        filtered = 0
        for part in parts:
            checkpoint()
            check_size(len(part))
            check_values(part)
            if self._is_usual(part):
                lines.append(on_one_line(part))
                continue
            line, unwanted = self._judged(part, value_of(part))
            filtered += unwanted
            if line is not None:
                lines.append(on_one_line(line))
        return Lines(lines, dropped, filtered)

    def is_plain(self, data: bytes) -> bool:
        """Whether ``data`` becomes one line, itself, unless it holds a guarded value; no means maybe.

        It costs less than half of what it takes to judge a body without knowing its shape.
        """
        return (
            type(data) is bytes
            and len(data) <= VALUES_MAX
            and _LF not in data
            and _CR not in data
            and self.plain_until((data,), 0) == 1
        )

    def plain_until(self, some: Sequence[bytes], begin: int) -> int:
        """Where the bodies from ``begin`` on end of which :meth:`is_plain` would say so.

        None of ``some`` holds a raw line break, or is larger than :data:`VALUES_MAX`; each is ``bytes``
        itself and nothing derived of it, of which a copy comes back where nothing was cut.
        """
        shapes = self._shapes
        if shapes is None:
            return begin
        learned, decode = self._envelopes, shapes.decode_records
        known = learned.known
        missed = 0
        at = begin
        try:
            for data in some[begin:]:
                for before, after in known:
                    # The same object comes back where they are not there.
                    rest = data.removeprefix(before)
                    if rest is data or (array := rest.removesuffix(after)) is rest:
                        continue
                    # The records alone: what stands around them was judged with another body.
                    try:
                        decode(array)
                    except SHAPELESS:
                        return at
                    break
                else:
                    if not (self._is_line(data) and shapes.is_usual(data)):
                        return at
                    missed += 1
                    learned.missed(data)
                    known = learned.known
                at += 1
            return at
        finally:
            learned.fitted(at - begin - missed)

    def halves(self, line: bytes) -> list[bytes]:
        """A line in two parts or more, by resource, then scope, then record; the same every time.

        Fewer than two where it cannot be split: a single record, or one under a resource or scope
        too large to be repeated. Raises :class:`RecordError` where it is no line of this signal.
        """
        array = self._array(line)
        room = len(array) // 2
        groups = packed(pieces(elements(array), self._below, room), room)
        return [self.head + group + self.tail for group in groups]

    def records_in(self, line: bytes) -> int:
        """How many records a line holds. Raises as :meth:`halves` does."""
        return sum(count(bytes(raw), self._below) for raw in elements(self._array(line)))

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

    def _is_usual(self, data: bytes) -> bool:
        return self._shapes is not None and self._shapes.is_usual(data)

    def _judged(self, line: bytes, outer: object) -> tuple[bytes | None, int]:
        """Judge a line, parsed as ``outer``: what is left of it, or None; how many records went."""
        scopes, records = self._below
        wanted = self._wanted
        kept = unwanted = 0
        found = _objects_in(outer, self._names[0])
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
        some = only_wanted(raws, found, self._below, wanted)
        return self.head + b",".join(some) + self.tail, unwanted


_LOGS = ("resourceLogs", "scopeLogs", "logRecords")
_METRICS = ("resourceMetrics", "scopeMetrics", "metrics")
_TRACES = ("resourceSpans", "scopeSpans", "spans")
LOGS = Signal(_LOGS, Shapes(_LOGS, Log), is_warning)
METRICS = Signal(_METRICS, Shapes(_METRICS, Metric))
TRACES = Signal(_TRACES, Shapes(_TRACES, Span))


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
