"""Only warnings and above are kept, by number, by an enum's name, by words; else it is not known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spool.lines import Lines
from spool.otlp import LOGS, METRICS, SPLIT_ABOVE, TRACES
from spool.secrets import NO_SECRETS, SecretGuard
from spool.severity import is_warning

NUMBERS = {"TRACE": 1, "DEBUG": 5, "INFO": 9, "WARN": 13, "ERROR": 17, "FATAL": 21}


@pytest.mark.parametrize(("word", "first"), NUMBERS.items())
@pytest.mark.parametrize("step", range(4))
def test_a_number_a_digit_string_and_an_enums_name_say_the_same(
    word: str, first: int, step: int
) -> None:
    number, name = first + step, f"SEVERITY_NUMBER_{word}{step + 1 if step else ''}"
    for said in (number, str(number), float(number), name):
        assert is_warning({"severityNumber": said}) is (number >= 13)
        # The number counts, whatever the text says.
        text = "INFO" if number >= 13 else "FATAL"
        assert is_warning({"severityNumber": said, "severityText": text}) is (number >= 13)


@pytest.mark.parametrize(
    "number",
    [None, 0, "0", "00", 0.0, -1, "", "SEVERITY_NUMBER_UNSPECIFIED", "SEVERITY_NUMBER_NEW", "13x",
     " 13", "+13", "١٣", True, [], {}, [13], {"a": 13}, "9" * 99],
    ids=ascii,
)  # fmt: skip
def test_without_a_usable_number_the_text_decides(number: object) -> None:
    assert is_warning({"severityNumber": number, "severityText": "WARN"})
    assert not is_warning({"severityNumber": number, "severityText": "INFO"})
    assert not is_warning({"severityNumber": number})


@pytest.mark.parametrize(
    "text",
    ["WARN", "warn", "Warning", "WARNING", "WARN2", "Error", "ERR", "err", "ERROR4", "Fatal",
     "FATAL3", "critical", "CRIT", "Alert", "EMERG", "emergency", "panic", "SEVERE", " Warn "],
)  # fmt: skip
def test_words_for_warnings_and_above_are_known(text: str) -> None:
    assert is_warning({"severityText": text})


@pytest.mark.parametrize(
    "text",
    ["", "TRACE", "debug", "INFO", "Info4", "NOTICE", "notice", "verbose", "WARN5", "WARNINGS",
     "no error", "ERROR\n{", "\u017fevere", "13", 13, None, [], {}],
    ids=ascii,
)  # fmt: skip
def test_what_is_below_or_unknown_is_not_kept(text: object) -> None:
    assert not is_warning({"severityText": text})


@given(
    st.dictionaries(
        st.sampled_from(["severityNumber", "severityText", "body"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=4,
        ),
    )
)
def test_any_record_is_judged(record: dict[str, object]) -> None:
    assert is_warning(record) in (True, False)


WARN, INFO = b'{ "severityNumber" : 13,"n":1.0 }', b'{"severityNumber":9}'
NONE = b'{"body":"no severity"}'


def logs(*resources: bytes) -> bytes:
    return b'{"resourceLogs":[%b]}' % b",".join(resources)


def of(*records: bytes, more: bytes = b"") -> bytes:
    return b'{"r":1e5, "scopeLogs" :[{"s" : 1.0,"logRecords": [%b] ,"schemaUrl":"v"}%b] }' % (
        b",".join(records),
        more,
    )


def test_what_is_below_is_cut_out_and_every_other_byte_stays() -> None:
    data = logs(of(WARN, INFO, b' {"severityText":"err"}'), of(INFO), of(b" " + WARN))
    kept = logs(of(WARN, b'{"severityText":"err"}'), of(b" " + WARN))
    assert LOGS.to_lines(data, NO_SECRETS) == Lines([kept], filtered=2)


def test_scopes_and_resources_that_it_leaves_empty_go_and_those_without_records_stay() -> None:
    empty = b',{"logRecords":[]},{"other":12345678901234567890123}'
    data = logs(of(INFO, more=b',{"logRecords":[%b]}' % WARN), b'{"x":1}', of(INFO, INFO))
    kept = logs(b'{"r":1e5, "scopeLogs" :[{"logRecords":[%b]}] }' % WARN, b'{"x":1}')
    assert LOGS.to_lines(data, NO_SECRETS) == Lines([kept], filtered=3)
    data = logs(of(INFO, WARN, more=empty))
    assert LOGS.to_lines(data, NO_SECRETS) == Lines([logs(of(WARN, more=empty))], filtered=1)


def test_a_line_left_without_records_is_not_written() -> None:
    assert LOGS.to_lines(logs(of(INFO, NONE)), NO_SECRETS) == Lines([], filtered=2)
    assert LOGS.to_lines(logs(of(NONE), b'{"x":1}'), NO_SECRETS) == Lines([], filtered=1)


def test_nothing_is_written_anew_where_nothing_goes() -> None:
    data = logs(of(WARN, b"\t" + WARN), b'{"x":1}', of())
    assert LOGS.to_lines(data, NO_SECRETS) == Lines([data])


def test_a_large_body_is_filtered_in_each_of_its_lines() -> None:
    large = b'{"severityText":"WARN","pad":"%b"}' % (b"x" * (SPLIT_ABOVE // 2))
    data = logs(of(INFO, large, INFO, large, NONE), of(INFO))
    found = LOGS.to_lines(data, NO_SECRETS)
    assert found == Lines([logs(of(large)), logs(of(large))], filtered=4)


def test_secrets_and_low_severities_are_counted_apart() -> None:
    secret = b'{"severityNumber":17,"body":"lcl_EXAMPLE_KEY"}'
    found = LOGS.to_lines(logs(of(secret, INFO, WARN)), SecretGuard(["lcl_EXAMPLE_KEY"]))
    assert found == Lines([logs(of(WARN))], dropped=1, filtered=1)


def test_metrics_and_traces_know_no_severity() -> None:
    metrics = b'{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"severityNumber":1}]}]}]}'
    traces = b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"severityText":"INFO"}]}]}]}'
    assert METRICS.to_lines(metrics, NO_SECRETS) == Lines([metrics])
    assert TRACES.to_lines(traces, NO_SECRETS) == Lines([traces])
