"""What the reference beacon takes for a record."""

import contextlib
from collections.abc import Callable

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.testbeacon.bodies import report_body, snapshot_body, transactions_body
from bridge.testbeacon.otlp import LOGS, METRICS
from bridge.testbeacon.refusal import Refusal
from bridge.testbeacon.routes import ROUTES

SPAN = b'"from_timestamp":"a","to_timestamp":"b"'


def logs(resource: bytes, *records: bytes) -> bytes:
    return b'{"resourceLogs":[{"resource":%b,"scopeLogs":[{"logRecords":[%b]}]}]}' % (
        resource,
        b",".join(records),
    )


def test_a_transaction_keeps_its_bytes() -> None:
    text = b'{"id":"a", "n":12345678901234567890123,"f":1.50}'
    body = transactions_body(b'{"license":"k","trace_transactions":[%b]}' % text)
    assert body.license == "k"
    assert [(record.text, record.id) for record in body.records] == [(text, "a")]


def test_a_report_is_kept_without_its_license_in_its_own_order() -> None:
    body = report_body(b'{"license_key":"k",%b,"measures":{"n":1},"license":"k","x": 1.0}' % SPAN)
    assert body.license == "k"
    assert body.records[0].text == b'{%b,"measures":{"n":1},"x":1.0}' % SPAN


@pytest.mark.parametrize(
    "rest", [b"", b',"measures":[]', b',"measures":{"n":1.5}', b',"measures":{"n":true}']
)
def test_a_snapshot_needs_measures_that_are_integers(rest: bytes) -> None:
    with pytest.raises(Refusal):
        snapshot_body(b'{"license_key":"k",%b%b}' % (SPAN, rest))


@pytest.mark.parametrize("rest", [b',"tags":{"a":1}', b',"logs":{"a":1}'])
def test_a_report_needs_tags_that_are_strings_and_logs_in_an_array(rest: bytes) -> None:
    with pytest.raises(Refusal):
        report_body(b'{"license_key":"k",%b,"measures":{}%b}' % (SPAN, rest))


def test_a_log_record_is_the_same_however_its_export_was_divided() -> None:
    together = LOGS.body(logs(b'{"a":1}', b'{"x":1}', b'{"x":2}')).records
    apart = [
        *LOGS.body(logs(b'{"a":1}', b'{"x":1}')).records,
        *LOGS.body(logs(b'{"a":1}', b'{"x":2}')).records,
    ]
    assert together == apart


def test_a_log_record_of_another_resource_is_another_one() -> None:
    one, other = (
        LOGS.body(logs(resource, b'{"x":1}')).records[0] for resource in (b"{}", b'{"a":1}')
    )
    assert one.text == other.text
    assert one.identity != other.identity


@pytest.mark.parametrize("body", [b"{}", b'{"resourceLogs":null}', b'{"resourceLogs":[{}]}'])
def test_an_export_of_nothing_has_no_records(body: bytes) -> None:
    assert LOGS.body(body).records == []


@pytest.mark.parametrize(
    "body",
    [b'{"resourceLogs":{}}', b'{"resourceLogs":[1]}', logs(b"{}", b"1"), logs(b"{}", b"null")],
)
def test_an_export_of_another_shape_is_refused(body: bytes) -> None:
    with pytest.raises(Refusal):
        LOGS.body(body)


@pytest.mark.parametrize(
    "metric", [b"{}", b'{"gauge":1}', b'{"gauge":{"dataPoints":1}}', b'{"sum":{"dataPoints":null}}']
)
def test_a_metric_without_data_points_counts_none(metric: bytes) -> None:
    body = METRICS.body(b'{"resourceMetrics":[{"scopeMetrics":[{"metrics":[%b]}]}]}' % metric)
    said = METRICS.answer(body.records)["partialSuccess"]
    assert isinstance(said, dict)
    assert said["rejectedDataPoints"] == "0"


_NAMES = [
    "license",
    "license_key",
    "trace_transactions",
    "id",
    "measures",
    "tags",
    "logs",
    "from_timestamp",
    "to_timestamp",
    "resourceLogs",
    "scopeLogs",
    "logRecords",
]
_TREES = st.recursive(
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False)
    | st.integers(0, 9)
    | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_NAMES), inner, max_size=6)
    ),
)


@pytest.mark.parametrize("parse", [route.parse for route in ROUTES.values()], ids=list(ROUTES))
@given(data=st.binary() | _TREES.map(orjson.dumps))
def test_any_bytes_are_a_body_or_a_refusal(parse: Callable[[bytes], object], data: bytes) -> None:
    with contextlib.suppress(Refusal):
        parse(data)
