"""Records that are judged together, by what was learned from those that came before them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import orjson

from spool.errors import RecordError
from spool.judging import judged
from spool.layouts import Layouts
from spool.lines import transaction_lines
from spool.otlp import Signal
from spool.otlpcuts import Wanted
from spool.otlpshapes import Log, Metric, Shapes, Span
from spool.secrets import NO_SECRETS, SecretGuard
from spool.severity import is_warning
from spool.streams import STREAMS, Stream
from tests.fuzz.harness import Harness
from tests.golden.good import good

KEY = "lcl_EXAMPLE_NOT_A_KEY"
GUARD = SecretGuard([KEY])
RECORDS_MAX = 8
PIECES_MAX = 127
"""Beyond it, they are counted from the end."""
_BETWEEN = b"\0"
"""What stands between the parts of an input; in JSON it stands nowhere."""
_WHOLE = b"\xff"
_PIECE = re.compile(rb'[{}\[\]:,]|"(?:[^"\\]|\\.)*+"|[^{}\[\]:,"]++|"', re.DOTALL)
_BEGINNINGS = (
    b'"id":"",', b'"id":"1",', b'"\\u0069d":"1",', b'"license":1,', b'"resourceLogs":[],',
    b'"resourceMetrics":[],', b'"resourceSpans":[],', b'"resource\\u0053pans":[],',
    b'"resource\\u004cogs":[],', b'"a":{"b":1,"b":2},',
)  # fmt: skip
_VALUES = (
    b'""', b"null", b"[]", b"{}", b"1e999", b"-0", b"1.50", b"18446744073709551616", b"9" * 310,
    b'"\\ud800"', b'"\\""', b'"\xff"', b'[{"severityNumber":9}]', b"[{},{}]", b'"%b"' % KEY.encode(),
)  # fmt: skip
_STRANGE = (
    (b'"resource":{', b'"resource":{"a":[],'),
    (b'"scopeSpans":[', b'"scopeSpans":[],"scopeSpans":['),
    (b'"scopeLogs":[', b'"scope\\u004cogs":[],"scopeLogs":['),
    (b'"resource"', b'"\\\\\\"[{\\u00e9"'),
    (b'"severityNumber":13,', b'"severityNumber":9,'),
    (b'"id"', b'"a":{"id":"[1]\\"","b":[{}]},"id"'),
    (b'"b":2', b'"license":{},"s":"\\/\\u0000"'),
)
"""What makes a record strange that others are judged by, once it is known."""
_SIGNALS: Mapping[str, tuple[tuple[str, str, str], type[Log | Metric | Span], Wanted | None]] = {
    "logs": (("resourceLogs", "scopeLogs", "logRecords"), Log, is_warning),
    "metrics": (("resourceMetrics", "scopeMetrics", "metrics"), Metric, None),
    "traces": (("resourceSpans", "scopeSpans", "spans"), Span, None),
}
_SHAPES = {name: Shapes(names, record) for name, (names, record, _) in _SIGNALS.items()}
_SLOW = {name: Signal(names, None, wanted) for name, (names, _, wanted) in _SIGNALS.items()}
"""The signals that learn nothing, and know no shape."""


def tried(data: bytes) -> bool:
    """As records of each stream whose judge learns."""
    records = _records(data)
    return True in [*(_bodies(name, records) for name in _SIGNALS), _transactions(records)]


def _records(data: bytes) -> list[bytes]:
    """The first, and those that differ from it in one place.

    Each of them is told as where that begins and how many pieces of JSON go, a byte each, both one
    more, and what comes instead; or as a whole, after :data:`_WHOLE`.
    """
    first, *others = data.split(_BETWEEN)[:RECORDS_MAX]
    pieces = _PIECE.findall(first)
    records = [first]
    for told in others:
        if told.startswith(_WHOLE) or len(told) < 2:
            records.append(told.removeprefix(_WHOLE))
            continue
        at, gone = told[0] - 1, told[1] - 1
        if at >= PIECES_MAX:
            at = max(0, len(pieces) - (0xFE - at))
        records.append(b"".join((*pieces[:at], told[2:], *pieces[at + gone :])))
    return records


def _bodies(name: str, records: Sequence[bytes]) -> bool:
    """One by one and in a group, by a judge that meets the first of them as its first."""
    names, _, wanted = _SIGNALS[name]
    signal = Signal(names, _SHAPES[name], wanted)
    row = replace(
        STREAMS[name], to_lines=signal.to_lines, plain_until=signal.plain_until, signal=signal
    )
    alone = [_alone(_SLOW[name], record) for record in records]
    for record, wanted_lines in zip(records, alone, strict=True):
        assert _together(row, [record], NO_SECRETS) == wanted_lines
    return _in_company(row, records, alone)


def _alone(signal: Signal, record: bytes) -> list[bytes] | None:
    try:
        return signal.to_lines(b" " + record, NO_SECRETS).lines
    except RecordError:
        return None


def _transactions(records: Sequence[bytes]) -> bool:
    """By layouts that know the first of them that is its own line, and by those of this process."""
    # With a space before it, it goes the long way.
    alone = [_transaction(b" " + record) for record in records]
    layouts = Layouts()
    for record, lines in zip(records, alone, strict=True):
        if layouts.fitting_until([record], 0):
            assert lines == [record]
            assert layouts.id_of(record) == orjson.loads(record)["id"]
        elif lines == [record]:
            layouts.missed(record)
        assert _transaction(record) == lines
    return _in_company(STREAMS["transactions"], records, alone)


def _transaction(record: bytes) -> list[bytes] | None:
    try:
        return transaction_lines(record, NO_SECRETS).lines
    except RecordError:
        return None


def _in_company(row: Stream, records: Sequence[bytes], alone: Sequence[list[bytes] | None]) -> bool:
    taken = [(record, lines) for record, lines in zip(records, alone, strict=True) if lines]
    for some in (list(zip(records, alone, strict=True)), taken, taken[::-1]):
        given = [record for record, _ in some]
        each = [lines for _, lines in some]
        wanted = None if None in each else [line for lines in each for line in lines or ()]
        for guard in (NO_SECRETS, GUARD):
            if guard is GUARD and any(map(GUARD.found_in, given)):
                # A key may stand in what is no part of a line; and what holds it may not be wanted.
                found = _together(row, given, GUARD)
                assert found is None or not any(map(GUARD.found_in, found))
            else:
                assert _together(row, given, guard) == wanted
    return bool(taken)


def _together(row: Stream, records: Sequence[bytes], guard: SecretGuard) -> list[bytes] | None:
    try:
        return judged(row, records, guard)
    except RecordError:
        return None


def seeds() -> list[bytes]:
    """Usual and strange records, each followed by many that are nearly the same."""
    usual = {each.said["stream"]: each.lines.splitlines()[-1] for each in good() if each.lines}
    lines = [b'{"id":"1","b":2}', *(usual[name] for name in ("transactions", *_SIGNALS))]
    strange = [line.replace(old, new, 1) for line in lines for old, new in _STRANGE if old in line]
    near = [b"\2\1" + word for word in _BEGINNINGS]  # behind the first brace
    near += [b"\xfe\1," + word.rstrip(b",") for word in _BEGINNINGS]  # before the last
    for at in range(1, 50):
        few = [_VALUES[(5 * at + k) % len(_VALUES)] for k in range(3)] if at > 8 else _VALUES
        near += [bytes((at, 2)) + value for value in few]
        near += [bytes((at, gone)) for gone in (2, 255)]
    near += [_WHOLE + line for line in (*lines, b'{"b":2,"id":"1"}')]
    room = RECORDS_MAX - 1
    return [
        _BETWEEN.join((first, *near[at : at + room]))
        for first in (*lines, *strange)
        for at in range(0, len(near), room)
    ]


HARNESS = Harness(
    "judging",
    "A record becomes the same lines in any company as it does before a judge who learned nothing.",
    tried,
    seeds,
    (*_BEGINNINGS, *_VALUES, _BETWEEN, _BETWEEN + _WHOLE, b"\0\2\1", b"\0\4\2", b"\0\x10\2",
     b"\0\x14\x63", b'"severity\\u004eumber":13', b'"schemaUrl":""', b"]}]}]}", b"\n", b" "),
    rounds=700,
)  # fmt: skip
