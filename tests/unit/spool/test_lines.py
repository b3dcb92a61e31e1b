import base64
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from spool.errors import RecordError
from spool.jsonparts import elements
from spool.lines import (
    LINE_MAX,
    Lines,
    put_together,
    report_lines,
    take_apart,
    transaction_lines,
)
from spool.secrets import NO_SECRETS, SecretGuard

CAPTURES = Path(__file__).parents[2] / "captures"
KEY = "lcl_EXAMPLE_NOT_A_KEY"
REPORT = b'{"from_timestamp":"a","to_timestamp":"b","measures":{}}'
ToLines = Callable[[bytes, SecretGuard], Lines]


def refusal(to_lines: ToLines, data: bytes, guard: SecretGuard = NO_SECRETS) -> str:
    with pytest.raises(RecordError) as caught:
        to_lines(data, guard)
    assert caught.value.message
    assert caught.value.hint
    assert KEY not in f"{caught.value.message}{caught.value.hint}"
    return caught.value.id


@pytest.mark.parametrize(
    "data",
    [
        b'{"id":"1"}',
        b'{"id":"1","n":12345678901234567890123,"f":1.0,"e":1e5,"s":"\\/ \\u00e9","new":{"a":[]}}',
        b'{"z":1, "id" : "1"}',
        '{"id":"ünïcode 漢字 \u2028"}'.encode(),
        b'{"id":"\\ud83d\\ude00","s":"\\u0000 \\r\\n"}',
        b'{"id":"1","a":{"x":1},"b":{"x":1}}',
    ],
)
def test_a_line_keeps_the_producers_bytes(data: bytes) -> None:
    assert transaction_lines(data, NO_SECRETS).lines == [data]


@pytest.mark.parametrize(
    "data",
    [
        b'{"id":"a \\"b"}',
        b' {"id":"a \\"b"}',
        b'{"n":1.0,"id":"a \\"b"}',
        b'{"n":[{"id":"c"}],"id":"a \\"b"}',
    ],
)
def test_the_id_of_a_transaction_is_told_whichever_way_it_is_judged(data: bytes) -> None:
    for _ in range(2):  # the second time what it looks like is known
        assert transaction_lines(data, NO_SECRETS) == Lines([data.strip()], ids=('a "b',))


def test_line_breaks_become_spaces_and_space_around_goes() -> None:
    data = b'\r\n {\n"id":\r\n"1",\r"n": 1.0\n} \n'
    assert transaction_lines(data, NO_SECRETS).lines == [b'{ "id": "1", "n": 1.0 }']


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" \n",
        b"\x00",
        b'{"id":"1"}\x00',
        b'\xef\xbb\xbf{"id":"1"}',
        b'{"id":"\xff"}',
        b'{"id":"\xed\xa0\x80"}',
        b'{"id":"1","a":NaN}',
        b'{"id":"1","a":-Infinity}',
        b'{"id":"1","a":1e999}',
        b'{"id":"1","a":"\\ud800"}',
        b'{"id":"1","a":"\\udc00\\ud800"}',
        b'{"id":"1","a":"\n"}',
        b'{"id":"1","a":01}',
        b'{"id":"1",}',
        b'{"id":"1"}{"id":"2"}',
        b'{"id":"1"} // no',
        b"{'id':'1'}",
        b'{"id":"1"',
    ],
)
def test_what_is_not_strict_json_is_refused(data: bytes) -> None:
    assert refusal(transaction_lines, data) == "record.json"


@pytest.mark.parametrize("data", [b"[]", b'"a"', b"1", b"null", b'[{"id":"1"}]'])
@pytest.mark.parametrize("to_lines", [transaction_lines, report_lines])
def test_a_record_is_an_object(data: bytes, to_lines: ToLines) -> None:
    assert refusal(to_lines, data) == "record.form"


@pytest.mark.parametrize(
    "data",
    [
        b'{"id":"1","id":"1"}',
        b'{"id":"1","\\u0069d":"2"}',
        b'{"id":"1","a":{"x":1,"x":1}}',
        b'{"id":"1" , "a":[{"x" : 1 , "x" : 2}]}',
        b'{"id":"1","a":1.50,"a":15000000}',
    ],
)
def test_a_repeated_key_is_refused_at_any_depth(data: bytes) -> None:
    assert refusal(transaction_lines, data) == "record.repeated_key"


def test_depth_64_is_taken_and_65_is_refused() -> None:
    assert transaction_lines(b'{"id":"1","a":%b%b}' % (b"[" * 63, b"]" * 63), NO_SECRETS).lines
    deeper = b'{"id":"1","a":%b%b}' % (b"[" * 64, b"]" * 64)
    assert refusal(transaction_lines, deeper) == "record.depth"


@pytest.mark.parametrize("data", [b"{}", b'{"id":""}', b'{"id":1}', b'{"id":null}', b'{"ID":"1"}'])
def test_a_transaction_has_an_id(data: bytes) -> None:
    assert refusal(transaction_lines, data) == "record.form"


@pytest.mark.parametrize(
    "data",
    [
        b'{"to_timestamp":"b","measures":{}}',
        b'{"from_timestamp":"a","measures":{}}',
        b'{"from_timestamp":"a","to_timestamp":"b"}',
        b'{"from_timestamp":"a","to_timestamp":"b","measures":[]}',
    ],
)
def test_a_report_has_its_time_span_and_measures(data: bytes) -> None:
    assert refusal(report_lines, data) == "record.form"


def test_a_report_keeps_what_we_do_not_know() -> None:
    data = REPORT[:-1] + b',"tags":{"a":"b"},"logs":[],"new":1.00}'
    assert report_lines(data, NO_SECRETS).lines == [data]


@pytest.mark.parametrize("field", [b"license", b"license_key", b"licens\\u0065"])
def test_an_outermost_license_field_is_refused(field: bytes) -> None:
    assert refusal(report_lines, REPORT[:-1] + b',"%b":"x"}' % field) == "record.secret"


def test_a_license_field_further_inside_is_data() -> None:
    assert transaction_lines(b'{"id":"1","a":{"license":"MIT"}}', NO_SECRETS).lines


@pytest.mark.parametrize(
    "hidden",
    [KEY.encode(), KEY.replace("_", "\\u005f").encode(), base64.b64encode(b"x:" + KEY.encode())],
)
def test_a_record_with_a_secret_is_refused_and_not_shown(hidden: bytes) -> None:
    data = b'{"id":"1","a":["%b"]}' % hidden
    assert refusal(transaction_lines, data, SecretGuard([KEY])) == "record.secret"


def test_a_secret_is_not_shown_where_the_json_is_wrong() -> None:
    for data in (b'{"id":"%b"', b'{"%b":NaN}', b'{"id":"\xff%b"}', b'{"%b":1,"%b":1}'):
        assert refusal(transaction_lines, data.replace(b"%b", KEY.encode()))


def test_the_longest_line_fits_and_one_byte_more_does_not() -> None:
    frame = b'{"id":"%b"}'
    room = LINE_MAX - len(frame % b"")
    assert len(transaction_lines(frame % (b"x" * room), NO_SECRETS).lines[0]) == LINE_MAX
    assert refusal(transaction_lines, frame % (b"x" * (room + 1))) == "record.too_large"


def test_a_body_is_taken_apart_and_put_together_in_its_own_bytes() -> None:
    body = b'{ "license":"k", "a":[1.0, 2] ,"\\u00e9\\"":{} }'
    parts = take_apart(body)
    assert list(parts) == ["license", "a", 'é"']
    del parts["license"]
    assert put_together(parts) == '{"a":[1.0, 2],"é\\"":{}}'.encode()
    assert put_together({}) == b"{}"
    assert put_together({"a": b"1e5"}) == b'{"a":1e5}'


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        (b"", "record.json"),
        (b'{"a":1}x', "record.json"),
        (b'{"a":"\xff"}', "record.json"),
        (b'{"\\ud800":1}', "record.json"),
        (b'\xef\xbb\xbf{"a":1}', "record.json"),
        (b"[]", "record.form"),
        (b'{"a":1,"a":1}', "record.repeated_key"),
        (b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", "record.depth"),
    ],
)
def test_a_body_that_cannot_be_taken_apart_is_refused(body: bytes, refused: str) -> None:
    with pytest.raises(RecordError) as caught:
        take_apart(body)
    assert caught.value.id == refused


def test_the_vendors_transactions_pass_line_by_line() -> None:
    body = (CAPTURES / "vendor-examples/ingest-traces-request.json").read_bytes()
    rows = elements(take_apart(body)["trace_transactions"])
    lines = [line for row in rows for line in transaction_lines(bytes(row), NO_SECRETS).lines]
    assert [orjson.loads(line) for line in lines] == orjson.loads(body)["trace_transactions"]


@pytest.mark.parametrize(
    "capture", ["vendor-examples/usage-snapshot-request.json", "langgraph-api/ok-submit-1.body"]
)
def test_real_reports_pass_without_their_key(capture: str) -> None:
    body = (CAPTURES / capture).read_bytes()
    assert refusal(report_lines, body) == "record.secret"
    parts = take_apart(body)
    del parts["license_key"]
    (line,) = report_lines(put_together(parts), SecretGuard([KEY])).lines
    wanted = orjson.loads(body)
    del wanted["license_key"]
    assert orjson.loads(line) == wanted
