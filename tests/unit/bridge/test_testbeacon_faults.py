"""The list of faults: what it may say, and whom it strikes."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.testbeacon.faults import Fault, Faults, parse_faults
from bridge.testbeacon.refusal import Refusal

INGEST = "/v1/beacon/ingest-traces"
VERIFY = "/v1/beacon/verify"
LOGS = "/v1/beacon/v1/logs"


def parsed(*entries: dict[str, object]) -> list[Fault]:
    return parse_faults(orjson.dumps(entries))


def test_the_first_fault_for_a_path_strikes_and_then_the_next() -> None:
    faults = Faults()
    faults.replace(
        parsed(
            {"path": INGEST, "times": 2, "status": 503},
            {"path": LOGS, "status": 400},
            {"path": "*", "times": None, "drop": "before"},
        )
    )
    struck = [faults.take(INGEST) for _ in range(4)]
    assert [fault and (fault.status or fault.drop) for fault in struck] == [
        503,
        503,
        "before",
        "before",
    ]


def test_a_list_that_is_used_up_strikes_nobody() -> None:
    faults = Faults()
    faults.replace(parsed({"path": INGEST, "status": 503}))
    assert faults.take(VERIFY) is None
    assert faults.take(INGEST) is not None
    assert faults.take(INGEST) is None


def test_a_fault_of_delay_alone_stores_and_answers() -> None:
    (fault,) = parsed({"path": INGEST, "delay_s": 0.5})
    assert (fault.stores, fault.delay_s, fault.drop) == (True, 0.5, None)


def test_a_body_that_is_no_string_is_sent_as_json() -> None:
    text, tree = parsed(
        {"path": "*", "status": 200, "body": "<html>"},
        {"path": "*", "status": 400, "body": {"error": "x"}},
    )
    assert (text.body, tree.body) == (b"<html>", b'{"error":"x"}')


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"path": "/v1/beacon/verfy"},
        {"path": 1},
        {"path": []},
        {"path": "*", "unknown": 1},
        {"path": "*", "times": 0},
        {"path": "*", "times": -1},
        {"path": "*", "times": True},
        {"path": "*", "times": 1.0},
        {"path": "*", "status": 199},
        {"path": "*", "status": 600},
        {"path": "*", "status": "500"},
        {"path": "*", "status": None},
        {"path": "*", "status": 204, "body": "x"},
        {"path": "*", "status": 500, "drop": "after"},
        {"path": "*", "headers": {"a": "b"}},
        {"path": "*", "body": "x"},
        {"path": "*", "status": 500, "headers": {"a": 1}},
        {"path": "*", "status": 500, "headers": {"a\r\nb": "c"}},
        {"path": "*", "status": 500, "headers": {"a": "b\r\nc: d"}},
        {"path": "*", "status": 500, "headers": {"Content-Length": "7"}},
        {"path": "*", "drop": "during"},
        {"path": "*", "drop": ["after"]},
        {"path": "*", "partial": 1},
        {"path": VERIFY, "partial": 1},
        {"path": INGEST, "partial": -1},
        {"path": "*", "delay_s": -1},
        {"path": "*", "delay_s": 3601},
        {"path": "*", "delay_s": "1"},
    ],
)
def test_a_fault_that_is_not_understood_is_refused(entry: dict[str, object]) -> None:
    with pytest.raises(Refusal) as caught:
        parsed(entry)
    assert (caught.value.status, caught.value.id) == (400, "faults.form")


@given(
    st.binary()
    | st.recursive(
        st.none() | st.booleans() | st.integers(-5, 700) | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["path", "times", "status", "headers", "body", "drop", "partial"]),
                inner | st.sampled_from(["*", INGEST, "after"]),
            )
        ),
    ).map(orjson.dumps)
)
def test_any_bytes_are_a_list_or_a_refusal(data: bytes) -> None:
    try:
        found = parse_faults(data)
    except Refusal:
        return
    assert all(isinstance(fault, Fault) for fault in found)
