"""Which bodies are of the usual kind: all fields known, each of its type; others may be as good."""

import pytest

from spool.otlpshapes import SHAPELESS, Log, Metric, Shapes, Span

PAIR = b'{"key":"k","value":{"arrayValue":{"values":[{"kvlistValue":{"values":[]}}]}}}'
KINDS: dict[str, tuple[tuple[str, str, str], type[Log | Metric | Span], bytes]] = {
    "logs": (
        ("resourceLogs", "scopeLogs", "logRecords"),
        Log,
        b'{"severityNumber":13,"timeUnixNano":"1","body":{"stringValue":"x"},"attributes":[%b]}'
        % PAIR,
    ),
    "metrics": (
        ("resourceMetrics", "scopeMetrics", "metrics"),
        Metric,
        b'{"name":"m","sum":{"dataPoints":[{"asInt":"1","attributes":[%b]}],"isMonotonic":true}}'
        % PAIR,
    ),
    "traces": (
        ("resourceSpans", "scopeSpans", "spans"),
        Span,
        b'{"name":"s","kind":1,"events":[{"name":"e","attributes":[%b]}],"status":{"code":2}}'
        % PAIR,
    ),
}
WHOLE = (
    b'{"%b":[{"resource":{"attributes":[%b],"droppedAttributesCount":1},"schemaUrl":"u",'
    b'"%b":[{"scope":{"name":"n","version":"1","attributes":[]},"schemaUrl":"v","%b":[%b]}]}]}'
)


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def shapes(kind: str) -> Shapes:
    names, record, _ = KINDS[kind]
    return Shapes(names, record)


def body(kind: str) -> bytes:
    names, _, record = KINDS[kind]
    top, middle, low = (name.encode() for name in names)
    return WHOLE % (top, PAIR, middle, low, record)


def test_a_body_of_known_fields_is_usual_whole_or_with_any_of_them_left_out(kind: str) -> None:
    names, _, record = KINDS[kind]
    top, middle, low = (name.encode() for name in names)
    assert shapes(kind).is_usual(body(kind))
    for less in (
        b'{"%b":[{}]}' % top,
        b'{"%b":[{"%b":[]}]}' % (top, middle),
        b'{"%b":[{"%b":null,"resource":null}]}' % (top, middle),
        b'{"%b":[{"%b":[{}]}]}' % (top, middle),
        b'{"%b":[{"%b":[{"%b":[],"scope":null}]}]}' % (top, middle, low),
        b'{"%b":[{"%b":[{"%b":[%b,%b]}]},{}]}' % (top, middle, low, record, record),
    ):
        assert shapes(kind).is_usual(less), less


def test_a_body_without_a_resource_is_not_usual(kind: str) -> None:
    top = KINDS[kind][0][0].encode()
    for empty in (b"{}", b'{"%b":[]}' % top, b'{"%b":null}' % top):
        assert not shapes(kind).is_usual(empty)


def test_what_holds_a_field_that_is_not_known_or_of_another_type_is_not_usual(kind: str) -> None:
    names, _, record = KINDS[kind]
    top, middle, low = (name.encode() for name in names)
    whole = body(kind)
    for old, new in (
        (b'{"%b"' % top, b'{"x":1,"%b"' % top),
        (b'{"resource":', b'{"x":1,"resource":'),
        (b'{"resource":{', b'{"resource":{"x":1,'),
        (b'{"scope":', b'{"x":1,"scope":'),
        (b'{"scope":{', b'{"scope":{"x":1,'),
        (b'"schemaUrl":"u"', b'"schemaUrl":1'),
        (b'"schemaUrl":"v"', b'"schemaUrl":null'),
        (b'"scope":{', b'"Scope":{'),
        (b'"resource":{', b'"Resource":{'),
        (b'"schemaUrl":"v"', b'"schema_url":"v"'),
        (b'"%b":[{"scope"' % middle, b'"%b":[1,{"scope"' % middle),
        (b'"%b":[{' % top, b'"%b":[[],{' % top),
        (b'"%b":[' % low, b'"%b":[7,' % low),
        (record, record[:-1] + b',"x":1}'),
        (b'"key":"k"', b'"key":1'),
        (b'{"kvlistValue":{"values":[]}}', b'{"arrayValue":{"values":[{"arrayValue":{}}]}}'),
    ):
        assert whole.count(old) >= 1, old
        assert not shapes(kind).is_usual(whole.replace(old, new)), new


def test_an_array_of_records_is_taken_by_itself_and_nothing_else_is(kind: str) -> None:
    _, _, record = KINDS[kind]
    decode = shapes(kind).decode_records
    for good in (b"[]", b"[%b]" % record, b"[%b,%b]" % (record, record)):
        decode(good)
    for bad in (b"{}", record, b"[1]", b"[%b" % record, b"null", b'[%b,{"x":1}]' % record):
        with pytest.raises(SHAPELESS):
            decode(bad)


def test_a_log_record_below_a_warning_or_of_no_severity_is_not_usual() -> None:
    for severity in (b'"severityNumber":12', b'"severityNumber":null', b'"severityText":"WARN"'):
        with pytest.raises(SHAPELESS):
            shapes("logs").decode_records(b"[{%b}]" % severity)
