"""The quick judgement is never another one than the full one, whatever the line is."""

import base64
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spool.errors import RecordError
from spool.judging import AT_ONCE, judged_until
from spool.judging import judged as judge_group
from spool.layouts import Layouts
from spool.lines import Lines, plain_transactions_until
from spool.otlp import SPLIT_ABOVE, Signal
from spool.otlpshapes import Log, Metric, Shapes, Span
from spool.secrets import NO_SECRETS, SecretGuard
from spool.severity import is_warning
from spool.streams import STREAMS, Stream

CAPTURES = Path(__file__).parents[1] / "captures"

TRANSACTION = (
    b'{"id":"7c9e6679-7425-40de-944b-e07fc1f90ae7","trace_count":12,"cost":0.5,"tags":["a",-0.25],'
    b'"status":"completed","metadata":{"model":"gpt","none":null,"flat":{},"nested":{"deep":[true,null]}}}'
)
ATTRIBUTES = (
    b'[{"key":"a","value":{"stringValue":"x"}},{"key":"b","value":{"intValue":"-7"}},'
    b'{"key":"c","value":{"intValue":7}},{"key":"d","value":{"doubleValue":0.5}},'
    b'{"key":"e","value":{"boolValue":true}},{"key":"f","value":{"arrayValue":{"values":['
    b'{"stringValue":"y"},{"doubleValue":1e-7}]}}},{"key":"g","value":{"kvlistValue":{"values":['
    b'{"key":"h","value":{"bytesValue":"AA=="}}]}}}]'
)
LOG = (
    b'{"resourceLogs":[{"resource":{"attributes":%b,"droppedAttributesCount":0},"scopeLogs":[{'
    b'"scope":{"name":"n","version":"1"},"logRecords":[{"timeUnixNano":"17","severityNumber":13,'
    b'"severityText":"Warning","body":{"stringValue":"line\\n\\"two\\""},"attributes":%b,"flags":1,'
    b'"traceId":"","spanId":""},{"observedTimeUnixNano":17,"severityNumber":17}],"schemaUrl":"u"}]'
    b"}]}" % (ATTRIBUTES, ATTRIBUTES)
)
METRIC = (
    b'{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","unit":"1","sum":{"dataPoints":['
    b'{"attributes":%b,"startTimeUnixNano":"1","timeUnixNano":2,"asInt":"3"},{"asDouble":1.5,'
    b'"exemplars":[{"asDouble":2.5,"traceId":"ab"}]}],"aggregationTemporality":2,'
    b'"isMonotonic":true}},{"gauge":{"dataPoints":[]}},{"histogram":{"dataPoints":[{"count":"2",'
    b'"sum":1.25,"bucketCounts":["1",1],"explicitBounds":[0.5],"min":"NaN","max":1}]}}]}]}]}'
    % ATTRIBUTES
)
TRACE = (
    b'{"resourceSpans":[{"schemaUrl":"s","scopeSpans":[{"spans":[{"traceId":"ab","spanId":"cd",'
    b'"parentSpanId":"","name":"n","kind":2,"startTimeUnixNano":"1","endTimeUnixNano":"2",'
    b'"attributes":%b,"events":[{"timeUnixNano":"1","name":"e"}],"links":[{"traceId":"ef"}],'
    b'"status":{"code":2,"message":"m"}}]}]}]}' % ATTRIBUTES
)
USUAL = {"transactions": TRANSACTION, "logs": LOG, "metrics": METRIC, "traces": TRACE}

HOSTILE = [
    *(b"1e999", b"-1e999", b"1E+400", b"9" * 309, b"9" * 400, b"9" * 25, b"0e999", b"1e-999"),
    *(b"18446744073709551616", b"-9223372036854775809", b"-0", b"01", b"1.", b".5", b"+1", b"1_0"),
    *(b"13.0", b"12", b"1e1", b"true", b"null", b"NaN", b"Infinity", b"nul", b"0x1"),
    *(
        b'"\xff"',
        b'"\xc0\x80"',
        b'"\xed\xa0\x80"',
        b'"\xc3\xa4"',
        b'"\xef\xbb\xbf"',
        b"\xef\xbb\xbf",
    ),
    *(
        b'"\\ud800"',
        b'"\\ud83d\\ude00"',
        b'"\\u0000"',
        b'"\x00"',
        b'"\n"',
        b'"\t"',
        b'"\\x"',
        b'"\\',
    ),
    *(b"{}", b"[]", b"[1,]", b"[{}]", b"[null]", b'{"a":1,"a":2}', b'{"a":1,}', b"{,}", b'"', b""),
    *(b"[" * 60 + b"]" * 60, b'{"a":' * 70 + b"1" + b"}" * 70, b"[" * 99 + b"]" * 99),
    *(
        b"\n",
        b"\r",
        b" ",
        b"\t",
        b"\x0c",
        b"\x00",
        b",",
        b":",
        b"{",
        b"}",
        b"[",
        b"]",
        b"//",
        b"]}",
    ),
    *(b'"id":"z"', b'"id":1', b'"license":"k",', b'"license_key":1', b'"\\u0069d":"z",'),
    *(b'"resourceLogs":[],', b'"resourceMetrics"', b'"resourceSpans":[{}],', b'"scopeLogs":[],'),
    *(b',"resourceLogs":[{}]', b',"resource\\u004cogs":[{}]', b',"resource\\u0053pans":[{}]'),
    *(b'"resource\\u004cogs":[],', b'"severityNumber":9,', b'"severityText":"info",', b'"x":{},'),
    *(b'"logRecords":[{"severityNumber":1}],', b'"severityNumber":"SEVERITY_NUMBER_WARN",'),
]
"""What is put into a good line, or in the place of a part of it."""

_NAMES = {
    "logs": ("resourceLogs", "scopeLogs", "logRecords"),
    "metrics": ("resourceMetrics", "scopeMetrics", "metrics"),
    "traces": ("resourceSpans", "scopeSpans", "spans"),
}
FULL = {
    name: Signal(names, None, is_warning if name == "logs" else None)
    for name, names in _NAMES.items()
}
"""The signals, to which no body is usual."""

plain = st.sampled_from([STREAMS[name] for name in USUAL])

_RECORDS: dict[str, type[Log | Metric | Span]] = {"logs": Log, "metrics": Metric, "traces": Span}


def _signal(name: str) -> Signal:
    """The signal, to which nothing came before."""
    names = _NAMES[name]
    return Signal(names, Shapes(names, _RECORDS[name]), is_warning if name == "logs" else None)


def _knowing(name: str, line: bytes) -> Callable[[Sequence[bytes], int], int]:
    """The quick judgement of a stream to which ``line`` is the only one that came before."""
    if name == "transactions":
        layouts = Layouts()
        layouts.missed(line)
        assert layouts.fitting_until([line], 0) == 1
        return layouts.fitting_until
    signal = _signal(name)
    assert signal.to_lines(line, NO_SECRETS).lines == [line]
    return signal.plain_until


KNOWING = {name: _knowing(name, line) for name, line in USUAL.items()}


def judged(to_lines: Callable[[bytes, SecretGuard], Lines], data: bytes) -> Lines | str:
    """What becomes of a record: its lines, or the name of the refusal."""
    try:
        return to_lines(data, NO_SECRETS)
    except RecordError as error:
        return error.id


def is_plain(stream: Stream, data: bytes) -> bool:
    """Whether the quick judgement takes it."""
    return b"\n" not in data and b"\r" not in data and stream.plain_until([data], 0) == 1


def check(stream: Stream, data: bytes) -> None:
    found = judged(stream.to_lines, data)
    to_lines = FULL[stream.name].to_lines if stream.name in FULL else stream.to_lines
    # With a space around it, it is not even seen that it is a line already.
    full = judged(to_lines, b" " + data)
    # Of several faults another one may be found first.
    assert found == full or (isinstance(found, str) and isinstance(full, str))
    if stream.name in FULL:
        assert found == judged(to_lines, data)
        assert judged(stream.to_lines, b" " + data) == full
    unbroken = b"\n" not in data and b"\r" not in data
    for plain_until in (stream.plain_until, KNOWING[stream.name]):
        if unbroken and plain_until([data], 0):
            assert isinstance(full, Lines)
            assert (full.lines, full.dropped, full.filtered) == ([data], 0, 0)


@pytest.mark.parametrize("name", USUAL)
def test_a_usual_line_is_judged_quickly(name: str) -> None:
    assert is_plain(STREAMS[name], USUAL[name])
    check(STREAMS[name], USUAL[name])


def test_a_transaction_whose_layout_nobody_learns_is_judged_quickly_all_the_same() -> None:
    odd = b'{"id":"1","no name":[[{}]]}'  # by its name and its depth
    assert plain_transactions_until([TRANSACTION, odd, odd, TRANSACTION], 0) == 4
    for other in (b'{"no name":1}', b'{"id":2,"no name":1}', b'{"id":"","no name":1}', b"[]"):
        assert plain_transactions_until([odd, other, odd], 0) == 1
        assert plain_transactions_until([odd, other, odd], 2) == 3


def test_bodies_of_real_clients_are_judged_quickly() -> None:
    bodies = sorted((CAPTURES / "js-otel-json-none").glob("ok-*.body"))
    assert len(bodies) == 4
    for path in bodies:
        stream = STREAMS[path.name.split("-")[1]]
        assert is_plain(stream, path.read_bytes())
        check(stream, path.read_bytes())


@pytest.mark.parametrize("name", USUAL)
def test_each_hostile_part_in_each_place_is_judged_as_in_full(name: str) -> None:
    stream, line = STREAMS[name], USUAL[name]
    marks = [at + 1 for at, byte in enumerate(line) if byte in b'{}[]:,"']
    for number, (begin, end) in enumerate(zip(marks, [*marks[1:], len(line)], strict=True)):
        # The first and last places get all; of the others, four side by side.
        few = 4 <= number < len(marks) - 4
        for hostile in HOSTILE[number % 4 :: 4] if few else HOSTILE:
            check(stream, line[:begin] + hostile + line[begin:])
            check(stream, line[:begin] + hostile + line[end - 1 :])


@settings(max_examples=200)
@given(plain, st.data())
def test_whatever_is_done_to_a_line_it_is_judged_as_in_full(
    stream: Stream, data: st.DataObject
) -> None:
    line = bytearray(USUAL[stream.name])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(line)))
        put = data.draw(st.one_of(st.sampled_from(HOSTILE), st.binary(max_size=2)))
        line[at : at + data.draw(st.integers(0, 12))] = put
    check(stream, bytes(line))


@settings(max_examples=200)
@given(
    plain,
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
        max_leaves=8,
    ),
    st.booleans(),
)
@example(STREAMS["transactions"], {"id": ""}, False)  # noqa: FBT003 - an example is a call
@example(STREAMS["transactions"], {"id": "1", "license": None}, True)  # noqa: FBT003
def test_any_document_is_judged_as_in_full(stream: Stream, found: object, escaped: bool) -> None:  # noqa: FBT001
    text = json.dumps(found, separators=(",", ":"), ensure_ascii=escaped)
    check(stream, text.encode("utf-8", "surrogatepass"))
    if stream.signal is not None:
        check(stream, stream.head + text.encode("utf-8", "surrogatepass") + stream.tail)


ARRAYS = {
    "logs": [
        *(b'[{"severityNumber":13}]', b'[ {"severityNumber":17} , {"severityNumber":13}\t]', b"[]"),
        *(b'[{"severityNumber":9}]', b'[{"severityNumber":13},{}]', b'[{"severityNumber":13},1]'),
        *(b'[{"severityNumber":13,"severityNumber":9}]', b'[{"severityNumber":"13"}]'),
        *(b'[{"severityNumber":9,"severity\\u004eumber":13}]', b'[{"severityNumber":13.0}]'),
        *(b'[{"severityNumber":9,"severityNumber":13}]', b'[{"severityText":"ERROR"}]'),
    ],
    "metrics": [b"[{}]", b"[{},{}]", b'[{"name":"\\ud800"}]', b'[{"name":"a","name":"b"}]', b"[]"],
    "traces": [b"[{}]", b'[{"name":"\\u0000"}]', b'[{"name":"\xed\xa0\x80"}]', b"[{}]]", b"{}"],
}
"""What may stand where the records do, and what may not."""


@pytest.mark.parametrize("name", ARRAYS)
def test_what_stands_in_a_known_envelope_is_judged_as_in_full(name: str) -> None:
    stream = STREAMS[name]
    # The resource is none that is known by its fields: only the envelope tells that it is good.
    resource = b'{"attributes":[],"entityRefs":[{"type":"k8s"}],"deep":%b}' % (
        b"[" * 40 + b"]" * 40
    )
    scopes = {"logs": b"scopeLogs", "metrics": b"scopeMetrics", "traces": b"scopeSpans"}[name]
    records = _NAMES[name][2].encode()
    before = stream.head + b'{"resource":%b,"%b":[{"%b":' % (resource, scopes, records)
    after = b',"schemaUrl":"s"}]}]}'
    signal = _signal(name)
    for array in (ARRAYS[name][0], *ARRAYS[name], *HOSTILE, *(b"[%b]" % each for each in HOSTILE)):
        data = before + array + after
        full = judged(FULL[name].to_lines, data)
        assert judged(signal.to_lines, data) == full or isinstance(full, str)
        if b"\n" not in data and b"\r" not in data and signal.plain_until([data], 0):
            assert full == Lines([data])
    good = before + ARRAYS[name][0]
    assert signal.plain_until([good + after], 0) == 1
    for cut in (good, good + after[:-1], good + after[1:], good + b"]}]}]}", good[1:] + after):
        full = judged(FULL[name].to_lines, cut)
        assert (signal.plain_until([cut], 0) == 1) is (full == Lines([cut]))


@pytest.mark.parametrize("name", USUAL)
@pytest.mark.parametrize("line_break", [b"\n", b"\r", b"\r\n"])
def test_a_line_break_in_any_place_of_a_group_is_a_space_in_its_line(
    name: str, line_break: bytes
) -> None:
    line = USUAL[name]
    assert judge_group(STREAMS[name], [line] * 3, NO_SECRETS) == [line] * 3
    parts = line.split(b",")  # none stands in a text
    for at in range(1, len(parts)):
        head, rest = b",".join(parts[:at]) + b",", b",".join(parts[at:])
        some = [line, head + line_break + rest, line]
        assert judge_group(STREAMS[name], some, NO_SECRETS) == [line, head + b" " + rest, line]


def test_a_group_of_large_records_is_judged_as_they_are_alone() -> None:
    large = LOG.replace(b'"severityText":"Warning"', b'"severityText":"%b"' % (b"w" * 100_000))
    huge = LOG.replace(b'"severityText":"Warning"', b'"severityText":"%b"' % (b"w" * 700_000))
    info = large.replace(b'"severityNumber":13', b'"severityNumber":9')
    some = [large] * 9 + [huge, info, LOG]
    alone = [line for each in some for line in STREAMS["logs"].to_lines(each, NO_SECRETS).lines]
    assert judge_group(STREAMS["logs"], some, NO_SECRETS) == alone
    assert alone[:10] == some[:10]


def test_more_values_than_are_parsed_are_refused_whatever_their_shape() -> None:
    metrics = b",".join([b"{}"] * 300_000)
    many = b'{"resourceMetrics":[{"scopeMetrics":[{"metrics":[%b]}]}]}' % metrics
    assert len(many) < SPLIT_ABOVE
    for each in (many, b" " + many):
        assert judged(STREAMS["metrics"].to_lines, each) == "record.too_large"
        with pytest.raises(RecordError, match="more than"):
            judge_group(STREAMS["metrics"], [each, METRIC], NO_SECRETS)


def check_group(stream: Stream, some: Sequence[bytes]) -> None:
    """A group is judged as each of its records is alone, up to the first that is refused."""
    lines: list[bytes] = []
    filtered = 0
    refused = None
    for at, each in enumerate(some):
        alone = judged(stream.to_lines, each)
        if isinstance(alone, str):
            refused = (at, alone)
            break
        lines += alone.lines
        filtered += alone.filtered
    found = judged_until(stream, some, NO_SECRETS)
    assert (found.lines, found.filtered) == (lines, filtered)
    assert (found.refused and (found.refused.at, found.refused.error.id)) == refused
    if refused is None:
        assert judge_group(stream, some, NO_SECRETS) == lines
    else:
        with pytest.raises(RecordError) as caught:
            judge_group(stream, some, NO_SECRETS)
        assert caught.value.id == refused[1]


@pytest.mark.parametrize("name", USUAL)
def test_each_hostile_part_at_each_place_of_a_group_is_judged_as_alone(name: str) -> None:
    stream, line = STREAMS[name], USUAL[name]
    places = (0, line.index(b"{", 1) + 1, line.rindex(b":") + 1, len(line) - 1, len(line))
    for hostile in HOSTILE:
        for place in places:
            bad = line[:place] + hostile + line[place:]
            for some in ([bad, line, line], [line, bad, line], [line, line, bad], [bad, bad, bad]):
                check_group(stream, some)


@pytest.mark.parametrize("name", USUAL)
def test_records_that_are_good_only_when_they_are_joined_are_refused(name: str) -> None:
    stream, line = STREAMS[name], USUAL[name]
    for at in (1, *(at + 1 for at, byte in enumerate(line[:-1]) if byte in b"{}[]:,")):
        head, rest = line[:at], line[at:]
        for some in ([line, head, rest, line], [head, rest], [line, head + b"\n", rest, line]):
            check_group(stream, some)
            assert judged_until(stream, some, NO_SECRETS).refused


@pytest.mark.parametrize("name", USUAL)
@pytest.mark.parametrize("between", [b"\n", b"\r", b"\r\n", b" ", b"\t", b",", b""])
def test_two_records_in_one_are_refused_also_beside_an_empty_one(name: str, between: bytes) -> None:
    stream, line = STREAMS[name], USUAL[name]
    both = line + between + line
    for some in ([both, b""], [b"", both], [line, both, b"", line], [both], [line, both]):
        check_group(stream, some)
        assert judged_until(stream, some, NO_SECRETS).refused
    for blank in (b"", b"\n", b" ", b"\r\n"):
        for some in ([blank, line], [line, blank], [line, blank, line], [blank]):
            check_group(stream, some)
            assert judged_until(stream, some, NO_SECRETS).refused
    for around in (line + b"\n", b"\n" + line, line + b"\r", b" " + line, line + b"\t"):
        check_group(stream, [line, around, line])


@pytest.mark.parametrize("name", ARRAYS)
def test_what_only_looks_like_a_known_envelope_is_judged_as_alone(name: str) -> None:
    stream, line = STREAMS[name], USUAL[name]
    at = line.index(b'"%b":' % _NAMES[name][2].encode()) + len(_NAMES[name][2]) + 3
    before, after = line[:at], line[line.rindex(b"}]}]}") + 1 :]
    check_group(stream, [line] * 3)
    for array in ARRAYS[name]:
        whole = before + array + after
        for odd in (array, before + array, array + after, before + after, whole + after, whole):
            for some in ([line, odd, line], [odd], [odd, line]):
                check_group(stream, some)


class Bytes(bytes):
    """What a producer may have derived of bytes; a part that was not found is cut into a copy of it."""


@pytest.mark.parametrize("name", USUAL)
@pytest.mark.parametrize("kind", [Bytes, bytearray])
def test_what_is_derived_of_bytes_is_judged_as_they_are(
    name: str, kind: Callable[[bytes], bytes]
) -> None:
    stream, line = STREAMS[name], USUAL[name]
    arrays = ARRAYS.get(name, [])
    judge_group(stream, [line] * 2, NO_SECRETS)
    for odd in (*arrays, line, line[1:], line + b"]}]}]}"):
        alone = judged(FULL[name].to_lines if name in FULL else stream.to_lines, odd)
        for some in ([kind(odd)], [line, kind(odd)], [kind(odd)] * 2):
            found = judged_until(stream, some, NO_SECRETS)
            assert (found.refused is not None) is isinstance(alone, str)
            if isinstance(alone, Lines):
                assert found.lines[-len(alone.lines) or len(some) :] == alone.lines
            assert {type(each) for each in found.lines} <= {bytes}


groups = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from(HOSTILE), st.integers(0, 400)), max_size=6
)


@settings(max_examples=150)
@given(plain, groups, st.sampled_from([0, AT_ONCE - 4, AT_ONCE]))
def test_a_group_is_judged_as_its_records_are_alone(
    stream: Stream, changes: list[tuple[int, bytes, int]], before: int
) -> None:
    some = [USUAL[stream.name]] * 6
    for at, hostile, place in changes:
        place = min(place, len(some[at]))  # noqa: PLW2901 - within the record
        some[at] = some[at][:place] + hostile + some[at][place:]
    check_group(stream, [USUAL[stream.name]] * before + some)


@pytest.mark.parametrize("name", USUAL)
def test_a_guarded_value_is_found_in_each_place_of_a_group(name: str) -> None:
    guard, line = SecretGuard(["GUARDED-VALUE"]), USUAL[name]
    assert judge_group(STREAMS[name], [line] * 300, guard) == [line] * 300
    hidden = rb'"a \u0047UARDED\u002dVALUE"'
    for value in (b'"a GUARDED-VALUE"', hidden, b'"%b"' % base64.b64encode(b"a GUARDED-VALUE")):
        put = value.replace(b"\\", rb"\\")
        marked = re.sub(rb'"(x|completed|m|n)"', put, line)
        alone = STREAMS[name].to_lines(marked, NO_SECRETS).lines
        assert judge_group(STREAMS[name], [marked], NO_SECRETS) == alone
        for at in (0, 127, 128, 299):
            some = [line] * 300
            some[at] = marked
            found = judged_until(STREAMS[name], some, guard)
            assert found.lines == [line] * at
            assert found.refused is not None
            assert (found.refused.at, found.refused.error.id) == (at, "record.secret")


def test_a_value_that_only_two_records_side_by_side_would_show_is_not_there() -> None:
    # Each of them is taken: what follows a record in its group is not what follows it in a line.
    some = [b'{"id":"1","x":"GUARDED"}', b'{"id":"2"}'] * 3
    assert judge_group(STREAMS["transactions"], some, SecretGuard(['GUARDED"}{"id'])) == some
