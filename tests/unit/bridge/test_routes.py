"""Bodies are joined, not parsed, and say what parsing and joining would."""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.egress.routes import DATA_PLANE_HEADER, LICENSE_HEADER, PIECE, ROUTES, UNBOUNDED, Route
from spool.errors import RecordError
from spool.secrets import SecretGuard
from spool.streams import STREAMS

KEY = "lcl_EXAMPLE_NOT_A_KEY"
GUARD = SecretGuard([])
ARRAYS = {"logs": "resourceLogs", "metrics": "resourceMetrics", "traces": "resourceSpans"}
REPORTS = ("langgraph", "snapshots")


def test_every_stream_has_its_route_and_the_vendors_path() -> None:
    assert {name: route.path for name, route in ROUTES.items()} == {
        "transactions": "/v1/beacon/ingest-traces",
        "langgraph": "/v1/beacon/metadata/submit",
        "snapshots": "/v1/beacon/usage-snapshot",
        "logs": "/v1/beacon/v1/logs",
        "metrics": "/v1/beacon/v1/metrics",
        "traces": "/v1/beacon/v1/traces",
    }
    assert set(ROUTES) == set(STREAMS)


def sent(route: Route, chunks: Sequence[bytes], key: str = KEY) -> bytes:
    """The bytes of a body, of which it said beforehand how many they are."""
    body = route.body(list(chunks), b"".join(chunks).count(b"\n"), key)
    data = b"".join(body)
    assert len(data) == body.size
    return data


def test_one_report_is_one_request_and_the_others_are_joined() -> None:
    assert {name: route.lines_max for name, route in ROUTES.items()} == dict.fromkeys(
        ROUTES, UNBOUNDED
    ) | dict.fromkeys(REPORTS, 1)


def test_the_license_goes_in_the_body_or_in_a_header_never_in_both() -> None:
    for name, route in ROUTES.items():
        line = STREAMS[name].head + b'"a":1' * (name not in ARRAYS) + STREAMS[name].tail
        in_body = KEY.encode() in sent(route, [line + b"\n"])
        in_headers = route.headers(KEY).get(LICENSE_HEADER) == KEY
        assert (in_body, in_headers) == (name not in ARRAYS, name in ARRAYS)
        assert route.headers(KEY)["Content-Type"] == "application/json"


def test_a_data_planes_credential_goes_in_its_own_header_and_in_no_body() -> None:
    for name, route in ROUTES.items():
        assert route.key_in_header == (name in ARRAYS)
        if route.key_in_header:
            headers = replace(route, header=DATA_PLANE_HEADER).headers(KEY)
            assert headers == {"Content-Type": "application/json", "X-Data-Plane-Auth": KEY}


def test_bodies_are_the_bytes_that_the_beacon_documents() -> None:
    def body(stream: str, *chunks: bytes) -> bytes:
        return sent(ROUTES[stream], chunks)

    key = KEY.encode()
    assert body("transactions", b'{"id":"a"}\n{"id":"b"}\n', b'{"id":"c"}\n') == (
        b'{"license":"%b","trace_transactions":[{"id":"a"},{"id":"b"},{"id":"c"}]}' % key
    )
    assert body("snapshots", b'{"measures":{}}\n') == b'{"license_key":"%b","measures":{}}' % key
    assert body("logs", b'{"resourceLogs":[{"a":1}]}\n{"resourceLogs":[{},{}]}\n') == (
        b'{"resourceLogs":[{"a":1},{},{}]}'
    )


@pytest.mark.parametrize("key", ['a"b', "a\\b", "%b%s%%", "k\u00e9y", "\x01"])
def test_a_key_of_any_form_stays_one_json_string(key: str) -> None:
    found = orjson.loads(sent(ROUTES["transactions"], [b'{"id":"a"}\n'], key))
    assert found == {"license": key, "trace_transactions": [{"id": "a"}]}


@pytest.mark.parametrize("stream", [*ARRAYS, "transactions"])
@pytest.mark.parametrize("size", [1, 700, PIECE - 40, PIECE, 3 * PIECE])
def test_large_chunks_are_joined_without_a_seam(stream: str, size: int) -> None:
    records = [record_of(stream, [{"a": "x" * (size + more)}]) for more in range(5)]
    lines = [line for item in records for line in STREAMS[stream].to_lines(item, GUARD).lines]
    lines *= 3 + 2 * PIECE // (size * 5 + 500)
    chunks = [b"".join(line + b"\n" for line in part) for part in (lines, lines[:1], lines)]
    body = sent(ROUTES[stream], chunks)
    assert orjson.loads(body) == expected(stream, [*lines, lines[0], *lines])


# Strings that look like what stands where lines meet.
TEXTS = st.text(max_size=12) | st.sampled_from(
    ["]}\n{", ']}\n{"resourceLogs":[', "]}{", "\n", "\\n", "%b", "},{"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(TEXTS, VALUES, max_size=3)


def record_of(stream: str, content: list[dict[str, Any]]) -> bytes:
    """A record as a producer gives it, with spaces and line breaks between its tokens."""
    if stream in ARRAYS:
        return orjson.dumps({ARRAYS[stream]: content}, option=orjson.OPT_INDENT_2)
    extra = {f"x{index}": item for index, item in enumerate(content)}
    if stream == "transactions":
        return orjson.dumps({"id": "i", **extra}, option=orjson.OPT_INDENT_2)
    span = {"from_timestamp": "a", "to_timestamp": "b", "measures": {}}
    return orjson.dumps({**span, **extra}, option=orjson.OPT_INDENT_2)


def expected(stream: str, lines: list[bytes]) -> object:
    """What parsing and joining gives."""
    parsed = [orjson.loads(line) for line in lines]
    if stream in ARRAYS:
        return {ARRAYS[stream]: [item for line in parsed for item in line[ARRAYS[stream]]]}
    if stream == "transactions":
        return {"license": KEY, "trace_transactions": parsed}
    return {"license_key": KEY, **parsed[0]}


@given(
    stream=st.sampled_from(sorted(ROUTES)),
    contents=st.lists(st.lists(OBJECTS, max_size=3), min_size=1, max_size=6),
    cuts=st.sets(st.integers(1, 5)),
)
def test_a_joined_body_says_what_parsing_and_joining_would(
    stream: str, contents: list[list[dict[str, Any]]], cuts: set[int]
) -> None:
    row = STREAMS[stream]
    lines: list[bytes] = []
    for content in contents:
        with suppress(RecordError):  # what is no record is never stored
            lines += row.to_lines(record_of(stream, content), GUARD).lines
    lines = lines[: ROUTES[stream].lines_max]
    if not lines:
        return
    ends = [*sorted(cut for cut in cuts if cut < len(lines)), len(lines)]
    chunks = [
        b"".join(line + b"\n" for line in lines[begin:end])
        for begin, end in zip([0, *ends], ends, strict=False)
    ]
    body = sent(ROUTES[stream], chunks)
    assert orjson.loads(body) == expected(stream, lines)
    assert not re.search(rb"[\r\n]", body)
