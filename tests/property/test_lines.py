"""Whatever comes in: our error, or lines that are JSON, on one line each, with nothing lost."""

import json
import re
from typing import Any

import orjson
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from spool.errors import RecordError
from spool.lines import LINE_MAX, Lines, put_together, take_apart
from spool.otlp import SPLIT_ABOVE
from spool.secrets import NO_SECRETS, SecretGuard
from spool.streams import STREAMS, Stream

KEY = "lcl_EXAMPLE_NOT_A_KEY"
NAMES = {
    "logs": ("resourceLogs", "scopeLogs", "logRecords"),
    "metrics": ("resourceMetrics", "scopeMetrics", "metrics"),
    "traces": ("resourceSpans", "scopeSpans", "spans"),
}

streams = st.sampled_from(list(STREAMS.values()))
operational = st.sampled_from([STREAMS[name] for name in NAMES])
space = st.sampled_from(["", " ", "\n", "\r\n", "\t"])
number = st.one_of(
    st.integers().map(str),
    st.sampled_from(["1.0", "1e5", "-0", "0.10", "12345678901234567890123", "1E+2", "1.5e-7"]),
)
scalar = st.one_of(
    number, st.sampled_from(["null", "true", "false"]), st.text(max_size=8).map(json.dumps)
)


@st.composite
def objects(draw: st.DrawFn, /, values: st.SearchStrategy[str], **fixed: str) -> str:
    """The text of an object with ``fixed`` members at random places among others."""
    others = draw(st.dictionaries(st.text(max_size=5), values, max_size=3))
    members = {**others, **fixed}
    names = draw(st.permutations(list(members)))
    parts = [
        f"{draw(space)}{json.dumps(name)}{draw(space)}:{draw(space)}{members[name]}"
        for name in names
    ]
    return "{" + ",".join(parts) + draw(space) + "}"


values = st.recursive(
    scalar,
    lambda inner: st.one_of(
        objects(inner), st.lists(inner, max_size=3).map(lambda each: f"[{','.join(each)}]")
    ),
    max_leaves=8,
)


@st.composite
def otlp_bodies(draw: st.DrawFn, stream: Stream, secret: str = "") -> str:
    """An export body; some records are large enough for it to be split."""
    count = iter(range(1000))
    names = NAMES[stream.name]

    def level(depth: int) -> str:
        if depth == 3:
            pad = draw(st.sampled_from([0, 0, 0, 10, 200_000, 600_000, SPLIT_ABOVE]))
            mark = secret if secret and draw(st.booleans()) else ""
            return draw(
                objects(
                    number,
                    n=str(next(count)),
                    severityNumber="13",
                    exact=draw(number),
                    pad=json.dumps("x" * pad),
                    mark=json.dumps(mark),
                )
            )
        inner = ",".join(level(depth + 1) for _ in range(draw(st.integers(0, 3))))
        return draw(objects(values, **{names[depth]: f"[{inner}]"})) if depth else inner

    inner = ",".join(level(1) for _ in range(draw(st.integers(0, 2))))
    return draw(space) + draw(objects(values, **{names[0]: f"[{inner}]"})) + draw(space)


def exactly(text: bytes) -> Any:  # noqa: ANN401 - JSON is anything
    """The value of a JSON text, its numbers as they are written."""
    return json.loads(text, parse_int=str, parse_float=str)


def records(stream: Stream, text: bytes) -> list[Any]:
    top, middle, low = NAMES[stream.name]
    return [
        record
        for resource in exactly(text)[top]
        for scope in resource[middle]
        for record in scope[low]
    ]


def check(stream: Stream, data: bytes, guard: SecretGuard) -> Lines | None:
    try:
        found = stream.to_lines(data, guard)
    except RecordError:
        return None
    for line in found.lines:
        assert isinstance(orjson.loads(line), dict)
        assert re.search(rb"[\r\n]", line) is None
        assert line.startswith(stream.head)
        assert line.endswith(stream.tail)
        assert len(line) <= LINE_MAX
        assert not guard.found_in(line)
    return found


@given(streams, st.binary(max_size=200))
@example(STREAMS["logs"], b'{"resourceLogs":[{"a":"\xff"}]}')
@example(STREAMS["transactions"], b'{"id":"1"}\x00')
def test_any_bytes_are_an_error_of_ours_or_lines(stream: Stream, data: bytes) -> None:
    check(stream, data, SecretGuard([KEY]))


@given(streams, values, st.data())
def test_any_json_and_any_damage_to_it_is_an_error_of_ours_or_lines(
    stream: Stream, text: str, data: st.DataObject
) -> None:
    inner = {"logs": "[%s]", "metrics": '[{"scopeMetrics":%s}]', "traces": '[{"scopeSpans":[%s]}]'}
    if stream.name in NAMES:
        text = f'{{"{NAMES[stream.name][0]}":{inner[stream.name] % text}}}'
    raw = bytearray(text.encode())
    at = data.draw(st.integers(0, len(raw)))
    raw[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    check(stream, bytes(raw), NO_SECRETS)


@given(objects(values, id='"1"'))
def test_a_transaction_keeps_everything_but_its_line_breaks(text: str) -> None:
    data = text.encode()
    assume({"license", "license_key"}.isdisjoint(exactly(data)))
    found = check(STREAMS["transactions"], data, NO_SECRETS)
    assert found is not None
    (line,) = found.lines
    assert exactly(line) == exactly(data)
    assert line == re.sub(rb"\r\n|\r|\n", b" ", data.strip(b" \t\r\n"))


@given(objects(values))
def test_what_is_taken_apart_goes_together_again(text: str) -> None:
    assert exactly(put_together(take_apart(text.encode()))) == exactly(text.encode())


@settings(max_examples=60)
@given(st.data())
def test_the_records_of_all_lines_are_the_records_that_came(data: st.DataObject) -> None:
    stream = data.draw(operational)
    body = data.draw(otlp_bodies(stream)).encode()
    found = check(stream, body, NO_SECRETS)
    assert found is not None
    assert [each for line in found.lines for each in records(stream, line)] == records(stream, body)
    assert found.dropped == 0
    assert sum(map(len, found.lines)) <= 2 * len(body) + SPLIT_ABOVE


@settings(max_examples=60)
@given(st.data())
def test_a_line_taken_for_a_body_becomes_just_that_line_by_either_path(data: st.DataObject) -> None:
    stream = data.draw(operational)
    body = data.draw(otlp_bodies(stream)).encode()
    for line in stream.to_lines(body, NO_SECRETS).lines:
        assert stream.to_lines(line, NO_SECRETS).lines == [line]
        # The space keeps it from being seen to be a line already.
        assert stream.to_lines(b" " + line, NO_SECRETS).lines == [line]


@settings(max_examples=60)
@given(st.data())
def test_just_the_records_with_a_secret_are_left_out_and_counted(data: st.DataObject) -> None:
    stream = data.draw(operational)
    body = data.draw(otlp_bodies(stream, KEY)).encode()
    found = check(stream, body, SecretGuard([KEY]))
    assert found is not None
    came = records(stream, body)
    good = [each for each in came if each["mark"] != KEY]
    assert [each for line in found.lines for each in records(stream, line)] == good
    assert found.dropped == len(came) - len(good)
