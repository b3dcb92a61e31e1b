import base64
import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from spool.errors import RecordError
from spool.lines import LINE_MAX, Lines
from spool.otlp import LOGS, METRICS, SPLIT_ABOVE, TRACES, Signal
from spool.otlpcuts import ENVELOPE_MAX
from spool.secrets import NO_SECRETS, SecretGuard

CAPTURES = Path(__file__).parents[2] / "captures"
KEY = "lcl_EXAMPLE_NOT_A_KEY"
GUARD = SecretGuard([KEY])
NAMES = {
    LOGS: ("resourceLogs", "scopeLogs", "logRecords"),
    METRICS: ("resourceMetrics", "scopeMetrics", "metrics"),
    TRACES: ("resourceSpans", "scopeSpans", "spans"),
}
SIGNALS = pytest.mark.parametrize("signal", [LOGS, METRICS, TRACES])


def body(signal: Signal, *resources: bytes) -> bytes:
    return signal.head + b",".join(resources) + signal.tail


def resource(signal: Signal, *scopes: bytes, about: bytes = b"{}") -> bytes:
    name = NAMES[signal][1].encode()
    return b'{"resource":%b, "%b":[%b],"schemaUrl":"u"}' % (about, name, b",".join(scopes))


def warned(record: bytes) -> bytes:
    """A record as a warning; what is no object stays what it is."""
    if not record.startswith(b"{") or record == b"{":
        return record
    return b'{"severityNumber":13%b%b' % (b"," if record != b"{}" else b"", record[1:])


def scope(signal: Signal, *records: bytes, about: bytes = b"{}") -> bytes:
    name = NAMES[signal][2].encode()
    records = tuple(map(warned, records)) if signal is LOGS else records
    return b'{"scope":%b,"%b":[%b],"schemaUrl":"v", "new":1.0}' % (about, name, b",".join(records))


def records_of(signal: Signal, lines: list[bytes]) -> list[Any]:
    top, middle, low = NAMES[signal]
    return [
        record
        for line in lines
        for each in orjson.loads(line)[top]
        for inner in each.get(middle) or []
        for record in inner.get(low) or []
    ]


def refusal(signal: Signal, data: bytes, guard: SecretGuard = NO_SECRETS) -> str:
    with pytest.raises(RecordError) as caught:
        signal.to_lines(data, guard)
    assert KEY not in f"{caught.value.message}{caught.value.hint}"
    return caught.value.id


@pytest.mark.parametrize("client", ["js-otel-json-none", "py-otel-json", "otelcol-json-none"])
@SIGNALS
def test_real_bodies_pass_byte_for_byte(client: str, signal: Signal) -> None:
    stream = {LOGS: "logs", METRICS: "metrics", TRACES: "traces"}[signal]
    for path in (CAPTURES / client).glob(f"ok-{stream}-*.body"):
        data = path.read_bytes()
        found = signal.to_lines(data, GUARD)
        inner = data[data.index(b"[") :]
        if client.startswith("otelcol") and signal is LOGS:
            # The collector's file reader was not told of severities: none is known to be a warning.
            assert found == Lines([], filtered=3)
        else:
            assert found == Lines([signal.head[:-1] + inner])


@pytest.mark.parametrize(
    ("signal", "name"), [(LOGS, "logs"), (METRICS, "metrics"), (TRACES, "traces")]
)
def test_the_vendors_examples_pass_with_their_defects_byte_for_byte(
    signal: Signal, name: str
) -> None:
    data = (CAPTURES / f"vendor-examples/{name}-request.json").read_bytes()
    array = data[data.index(b"[") : data.rindex(b"]") + 1].replace(b"\n", b" ")
    assert signal.to_lines(data, NO_SECRETS) == Lines([signal.head[:-1] + array + b"}"])


@SIGNALS
def test_numbers_order_and_unknown_fields_stay_as_they_came(signal: Signal) -> None:
    inner = b'[ {"z":12345678901234567890123, "a":[1.0,1e5,-0] , "s":"\\/\\u00e9"},{} ]'
    data = b' {"other":{"x":1}, %b :\r\n%b }\n' % (signal.head[1:-2], inner)
    assert signal.to_lines(data, NO_SECRETS).lines == [signal.head[:-1] + inner + b"}"]


@SIGNALS
def test_line_breaks_between_tokens_become_spaces(signal: Signal) -> None:
    data = body(signal, b'{\r\n"a":1,\n"b":\r2}')
    assert signal.to_lines(data, NO_SECRETS).lines == [body(signal, b'{ "a":1, "b": 2}')]


@SIGNALS
@pytest.mark.parametrize("value", [b"[]", b"null", b" [ ] "])
def test_an_empty_array_is_a_success_without_a_line(signal: Signal, value: bytes) -> None:
    assert signal.to_lines(signal.head[:-1] + value + b"}", GUARD) == Lines([])
    assert signal.to_lines(b'{"other":1}', GUARD) == Lines([])


@pytest.mark.parametrize(
    ("data", "refused"),
    [
        (b"", "record.json"),
        (b"\x00" * 9, "record.json"),
        (b'\xef\xbb\xbf{"resourceLogs":[]}', "record.json"),
        (b'{"resourceLogs":[{"a":NaN}]}', "record.json"),
        (b'{"resourceLogs":[{"a":1e999}]}', "record.json"),
        (b'{"resourceLogs":[{"a":"\\ud800"}]}', "record.json"),
        (b'{"resourceLogs":[{"a":"\xff"}]}', "record.json"),
        (b'{"resourceLogs":[],"other":"\xff"}', "record.json"),
        (b'{"resourceLogs":[{"a":"\n"}]}', "record.json"),
        (b'{"resourceLogs":[{}]}{}', "record.json"),
        (b"[]", "record.form"),
        (b'{"resourceLogs":{}}', "record.form"),
        (b'{"resourceLogs":5}', "record.form"),
        (b'{"resourceLogs":[1]}', "record.form"),
        (b'{"resourceLogs":[{},null]}', "record.form"),
        (b'{"resourceLogs":[{"scopeLogs":{}}]}', "record.form"),
        (b'{"resourceLogs":[{"scopeLogs":[[]]}]}', "record.form"),
        (b'{"resourceLogs":[{"scopeLogs":[{"logRecords":["a"]}]}]}', "record.form"),
        (b'{"resourceLogs":[],"resourceLogs":[]}', "record.repeated_key"),
        (b'{"resourceLogs":[],"resource\\u004cogs":[]}', "record.repeated_key"),
        (b'{"resourceLogs":[{}],"license":"x"}', "record.secret"),
        (b'{"license_key":"x","resourceLogs":[{}]}', "record.secret"),
        (b'{"resourceLogs":[{"a":' + b"[" * 62 + b"]" * 62 + b"}]}", "record.depth"),
        (b'{"resourceLogs":' + b"[" * 9999 + b"]" * 9999 + b"}", "record.depth"),
    ],
)
def test_a_bad_body_is_refused(data: bytes, refused: str) -> None:
    assert refusal(LOGS, data) == refused


def test_depth_64_is_taken() -> None:
    data = b'{"resourceLogs":[{"a":' + b"[" * 61 + b"]" * 61 + b"}]}"
    assert LOGS.to_lines(data, NO_SECRETS).lines == [data]


@SIGNALS
@pytest.mark.parametrize("hidden", [KEY, "".join(f"\\u{ord(c):04x}" for c in KEY)])
def test_a_record_with_a_secret_is_left_out_and_every_other_byte_stays(
    signal: Signal, hidden: str
) -> None:
    bad = b'{"a":["%b"]}' % hidden.encode()
    good = [b'{"n":%d.0, "b" : 1e5}' % n for n in range(4)]
    about = b'{"x" : 1.0}'

    def built(*some: bytes) -> bytes:
        rest = scope(signal, good[3])
        return body(
            signal,
            resource(signal, scope(signal, good[0])),
            resource(signal, scope(signal, *some, about=about), rest, about=about),
        )

    found = signal.to_lines(built(good[1], bad, good[2], bad), GUARD)
    assert found == Lines([built(good[1], good[2])], dropped=2)


@SIGNALS
def test_what_is_left_without_records_goes_with_them(signal: Signal) -> None:
    bad = scope(signal, b'{"a":"%b"}' % KEY.encode())
    good = resource(signal, scope(signal, b"{}"))
    data = body(signal, resource(signal, bad, bad), good)
    assert signal.to_lines(data, GUARD) == Lines([body(signal, good)], dropped=2)
    assert signal.to_lines(body(signal, resource(signal, bad)), GUARD) == Lines([], dropped=1)


@SIGNALS
def test_a_secret_outside_of_records_takes_all_records_under_it(signal: Signal) -> None:
    about = b'{"t":"%b"}' % base64.b64encode(KEY.encode())
    low = scope(signal, b"{}", b"{}", about=about)
    good = scope(signal, b'{"b":1}')
    data = body(signal, resource(signal, low, good))
    assert signal.to_lines(data, GUARD) == Lines([body(signal, resource(signal, good))], dropped=2)
    high = body(signal, resource(signal, good, scope(signal, b"{}", b"{}"), about=about))
    assert signal.to_lines(high, GUARD) == Lines([], dropped=3)


def test_a_resource_without_records_that_holds_a_secret_counts_as_one() -> None:
    for inner in (b"", b',"scopeLogs":[]', b',"scopeLogs":null'):
        data = b'{"resourceLogs":[{"a":"%b"%b}]}' % (KEY.encode(), inner)
        assert LOGS.to_lines(data, GUARD) == Lines([], dropped=1)


def test_a_secret_in_an_ignored_member_is_not_stored_and_costs_no_record() -> None:
    data = b'{"other":"%b","resourceLogs":[{}]}' % KEY.encode()
    assert LOGS.to_lines(data, GUARD) == Lines([b'{"resourceLogs":[{}]}'])


def test_a_bad_number_in_an_ignored_member_costs_no_record_wherever_that_stands() -> None:
    before = b'{"other":[1e999],"resourceLogs":[{}]}'
    after = b'{"resourceLogs":[{}],"other":[1e999]}'
    for data in (before, after):
        assert LOGS.to_lines(data, GUARD) == Lines([b'{"resourceLogs":[{}]}'])


@SIGNALS
def test_a_large_body_is_split_under_its_own_resources_and_scopes(signal: Signal) -> None:
    records = [b'{"n":%d.0,"pad":"%b"}' % (n, b"x" * 300_000) for n in range(12)]
    data = body(
        signal,
        resource(signal, scope(signal, records[0])),
        resource(
            signal,
            scope(signal, *records[1:6], about=b'{"name":"one"}'),
            scope(signal, *records[6:11], about=b'{"name":"two"}'),
            about=b'{"name":"big"}',
        ),
        resource(signal, scope(signal, records[11])),
    )
    lines = signal.to_lines(data, NO_SECRETS).lines
    assert len(lines) > 3
    assert all(len(line) <= SPLIT_ABOVE for line in lines)
    assert all(line.startswith(signal.head) and line.endswith(signal.tail) for line in lines)
    assert [each["n"] for each in records_of(signal, lines)] == list(range(12))
    top, middle, low = NAMES[signal]
    for line in lines:
        for each in orjson.loads(line)[top]:
            assert each["schemaUrl"] == "u"
            for inner in each[middle]:
                assert (inner["schemaUrl"], inner["new"]) == ("v", 1.0)
                for record in inner[low]:
                    big = 1 <= record["n"] <= 10
                    assert each["resource"].get("name") == ("big" if big else None)
                    name = ("one" if record["n"] <= 5 else "two") if big else None
                    assert inner["scope"].get("name") == name
    assert b"".join(lines).count(b".0,") == 12


USUAL = {
    LOGS: b'{"severityNumber":13,"body":{"stringValue":"%06d%b"}}',
    METRICS: b'{"name":"%06d%b","gauge":{"dataPoints":[{"asInt":"1"}]}}',
    TRACES: b'{"name":"%06d%b","traceId":"00112233445566778899aabbccddeeff"}',
}


def usual(signal: Signal, numbers: range, pad: int) -> bytes:
    """A body of records as most clients send them, each with so many bytes more."""
    top, middle, low = (name.encode() for name in NAMES[signal])
    records = b",".join(USUAL[signal] % (n, b"x" * pad) for n in numbers)
    return b'{"%b":[{"%b":[{"%b":[%b]}]}]}' % (top, middle, low, records)


def numbers_in(lines: list[bytes]) -> list[int]:
    return [int(found) for line in lines for found in re.findall(rb'"(\d{6})x*"', line)]


@SIGNALS
def test_a_large_body_of_the_usual_kind_is_split_and_keeps_all_its_records(signal: Signal) -> None:
    assert signal.is_plain(usual(signal, range(3), 10))
    found = signal.to_lines(usual(signal, range(12), 300_000), NO_SECRETS)
    assert len(found.lines) == 4
    assert numbers_in(found.lines) == list(range(12))
    assert (found.dropped, found.filtered) == (0, 0)


@SIGNALS
@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_a_line_is_halved_down_to_its_records_and_each_half_is_a_line_again(
    signal: Signal, count: int
) -> None:
    one = resource(signal, scope(signal, b'{"n":0}'))
    many = resource(signal, scope(signal, *[b'{"n":%d}' % n for n in range(1, count)]))
    line = body(signal, one, many) if count > 1 else body(signal, one)
    assert signal.records_in(line) == count

    def leaves(of: bytes) -> list[bytes]:
        parts = signal.halves(of)
        assert parts == signal.halves(of)
        assert records_of(signal, parts) == records_of(signal, [of])
        if signal.records_in(of) == 1:
            assert len(parts) < 2
            return [of]
        assert len(parts) > 1
        assert signal.to_lines(parts[0], NO_SECRETS).lines == parts[:1]
        return [leaf for part in parts for leaf in leaves(part)]

    found = leaves(line)
    assert [signal.records_in(leaf) for leaf in found] == [1] * count
    assert [each["n"] for each in records_of(signal, found)] == list(range(count))


def test_a_body_of_just_the_limit_is_one_line() -> None:
    room = SPLIT_ABOVE - len(body(LOGS, b'{"a":"","scopeLogs":[{},{}]}'))
    for extra, count in ((0, 1), (1, 1)):
        data = body(LOGS, b'{"a":"%b","scopeLogs":[{},{}]}' % (b"x" * (room + extra)))
        assert len(LOGS.to_lines(data, NO_SECRETS).lines) == count
    whole = scope(LOGS, *[b'{"pad":"%b"}' % (b"x" * 1000)] * 1200)
    assert len(LOGS.to_lines(body(LOGS, resource(LOGS, whole)), NO_SECRETS).lines) == 2


def test_a_record_above_the_split_stands_alone() -> None:
    small, large = b'{"n":1}', b'{"n":2,"pad":"%b"}' % (b"x" * 3 * SPLIT_ABOVE)
    data = body(LOGS, resource(LOGS, scope(LOGS, small, large, small)))
    lines = LOGS.to_lines(data, NO_SECRETS).lines
    assert lines == [body(LOGS, resource(LOGS, scope(LOGS, one))) for one in (small, large, small)]


def test_a_record_that_fits_in_no_line_is_refused() -> None:
    def built(pad: int) -> bytes:
        return body(LOGS, resource(LOGS, scope(LOGS, b'{"pad":"%b"}' % (b"x" * pad))))

    room = LINE_MAX - len(built(0))
    assert [len(line) for line in LOGS.to_lines(built(room), NO_SECRETS).lines] == [LINE_MAX]
    assert refusal(LOGS, built(room + 1)) == "record.too_large"


def test_a_large_envelope_is_not_multiplied() -> None:
    about = b'{"pad":"%b"}' % (b"x" * ENVELOPE_MAX)
    many = scope(LOGS, *[b'{"n":1}'] * 100_000)
    data = body(LOGS, resource(LOGS, many, about=about))
    assert LOGS.to_lines(data, NO_SECRETS).lines == [data]


def test_a_large_body_is_judged_in_full_and_filtered() -> None:
    pad = b'{"pad":"%b"}' % (b"x" * 600_000)
    bad = b'{"a":"%b"}' % KEY.encode()
    data = body(LOGS, resource(LOGS, scope(LOGS, pad, bad, pad)))
    found = LOGS.to_lines(data, GUARD)
    assert (len(found.lines), found.dropped) == (2, 1)
    for broken in (b'{"a":1e999}', b'{"a":"\\ud800"}', b"{", b"5"):
        data = body(LOGS, resource(LOGS, scope(LOGS, pad, pad, broken)))
        assert refusal(LOGS, data) in {"record.json", "record.form"}


@pytest.mark.parametrize(
    "data",
    [
        b'{"resourceSpans":[],"resourceSpans":[]}',
        b'{"resourceSpans":[],"resource\\u0053pans":[]}',
        b'{"resource\\u0053pans":[],"resourceSpans":[]}',
        b'{"resourceSpans":[{"scopeSpans":[]}],"resourceSpans":[]}',
        b'{"resourceSpans":[],"resourceSpans":[{"scopeSpans":[]}]}',
    ],
)
def test_a_body_that_looks_like_a_line_but_repeats_its_key_is_refused(data: bytes) -> None:
    with pytest.raises(RecordError) as caught:
        TRACES.to_lines(data, NO_SECRETS)
    assert caught.value.id == "record.repeated_key"


def test_a_body_that_looks_like_a_line_but_has_another_member_loses_that() -> None:
    data = b'{"resourceSpans":[{"a":1}],"other":[{}]}'
    assert TRACES.to_lines(data, NO_SECRETS).lines == [b'{"resourceSpans":[{"a":1}]}']


def test_what_holds_no_records_stays_beside_those_that_are_filtered_out() -> None:
    line = (
        b'{"resourceLogs":[{"b":1},{"scopeLogs":[{"a":1},{"logRecords":[{"severityNumber":13}%b]}]},'
        b'{"scopeLogs":[{"logRecords":[{"severityNumber":17}]}]}]}'
    )
    found = LOGS.to_lines(line % b',{"severityNumber":9}', NO_SECRETS)
    assert found == Lines([line % b""], filtered=1)
    assert LOGS.records_in(line % b"") == 2


def test_all_records_under_secrets_are_counted_together() -> None:
    about = b'{"t":"%b"}' % KEY.encode()
    one, two = (resource(TRACES, scope(TRACES, *[b"{}"] * n), about=about) for n in (1, 2))
    empty = b'{"resource":%b}' % about
    assert TRACES.to_lines(body(TRACES, two, one, empty), GUARD) == Lines([], dropped=4)
