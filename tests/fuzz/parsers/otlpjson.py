"""OTLP in JSON, as producers send it."""

import json
from typing import Any

from spool.errors import RecordError
from spool.lines import LINE_MAX
from spool.secrets import SecretGuard
from spool.severity import is_warning
from spool.streams import STREAMS, Stream
from tests.fuzz.harness import Harness
from tests.golden.good import good

KEY = "lcl_EXAMPLE_NOT_A_KEY"
GUARD = SecretGuard([KEY])
NAMES = {
    "logs": ("resourceLogs", "scopeLogs", "logRecords"),
    "metrics": ("resourceMetrics", "scopeMetrics", "metrics"),
    "traces": ("resourceSpans", "scopeSpans", "spans"),
}


def tried(data: bytes) -> bool:
    """As each of the signals."""
    return True in [_tried(STREAMS[name], data) for name in NAMES]


def _tried(stream: Stream, data: bytes) -> bool:
    try:
        found = stream.to_lines(data, GUARD)
    except RecordError:
        return False
    kept: list[str] = []
    for line in found.lines:
        assert line.startswith(stream.head)
        assert line.endswith(stream.tail)
        assert b"\n" not in line
        assert b"\r" not in line
        assert len(line) <= LINE_MAX
        assert not GUARD.found_in(line)
        kept += _records(stream, line)
    came = _records(stream, data)
    if not GUARD.found_in(data):
        assert found.dropped == 0
        wanted = stream.name != "logs"
        assert kept == [each for each in came if wanted or is_warning(json.loads(each))]
    assert len(kept) <= len(came)
    return bool(found.lines)


def _records(stream: Stream, text: bytes) -> list[str]:
    """Each record's text, its numbers as they are written."""
    top, middle, low = NAMES[stream.name]
    return [
        json.dumps(record)
        for resource in _exactly(text).get(top) or []
        for scope in resource.get(middle) or []
        for record in scope.get(low) or []
    ]


def _exactly(text: bytes) -> Any:  # noqa: ANN401 - JSON is anything
    return json.loads(text, parse_float=str)


def seeds() -> list[bytes]:
    """The golden lines: whole, with line breaks, with the key in them, and full of escapes."""
    lines = [each.lines.strip() for each in good() if each.said["stream"] in NAMES]
    broken = [line.replace(b",", b" ,\r\n") for line in lines]
    return [
        *lines,
        *broken,
        *(line.replace(b'"name"', b'"' + KEY.encode() + b'"') for line in lines),
        *(line.replace(b"attributes", each) for line in lines for each in _ESCAPED),
    ]


_ESCAPED = (
    b'a\\\\\\"}],[{\\\\',
    b"\\u0022\\u005c\\\\u0022" * 9,
    b"\\/\\b\\f\\n\\r\\t\\u0000\\ud83d\\ude00",
    "".join(f"\\u{ord(letter):04x}" for letter in KEY).encode(),
    b"\\\\" * 70 + b'\\"' * 70 + b"[{" * 70,
)
"""Names that look like more than they are, or less."""


HARNESS = Harness(
    "otlpjson",
    "Of an OTLP body just the records without a secret and of a kept severity stay, as they came.",
    tried,
    seeds,
    (b'"resourceLogs":[', b'"scopeLogs":[', b'"logRecords":[', b'"severityNumber":13', b"null",
     b"[]", b"{}", b"1e999", b"-0", b"\\ud800", b"\\u0072", b"\xef\xbb\xbf", KEY.encode(), b",", b"\n",
     b'\\"', b"\\\\", b'\\\\"', b"\\u005c", b"\\u0022", b"\\u006cc\\u006c_"),
    rounds=10000,
)  # fmt: skip
