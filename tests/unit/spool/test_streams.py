import pytest

from spool.errors import RecordError
from spool.secrets import NO_SECRETS
from spool.streams import STREAMS, stream_named

SAMPLES = {
    "transactions": b' {"id":"1"}\n',
    "langgraph": b'{"from_timestamp":"a","to_timestamp":"b","measures":{}}\n',
    "snapshots": b'\t{"from_timestamp":"a","to_timestamp":"b","measures":{}}',
    "logs": b' { "resourceLogs" : [ {} ] }\n',
    "metrics": b'{"resourceMetrics":[{}],"unknown":1}',
    "traces": b'{"resourceSpans":\n[{},{}]}',
}


def test_the_table_has_the_six_streams_in_order() -> None:
    assert list(STREAMS) == list(SAMPLES)
    assert all(stream_named(name) is row and row.name == name for name, row in STREAMS.items())


def test_only_billing_is_never_dropped() -> None:
    kept = {row.name for row in STREAMS.values() if not row.droppable}
    assert kept == {row.name for row in STREAMS.values() if row.kind == "billing"}
    assert kept == {"transactions", "langgraph"}


def test_billing_is_sent_first_and_operational_last() -> None:
    assert [row.rank for row in STREAMS.values()] == [0, 0, 1, 2, 2, 2]


def test_traces_are_dropped_before_all_others() -> None:
    first = min((row for row in STREAMS.values() if row.droppable), key=lambda row: row.drop_rank)
    assert first.name == "traces"
    assert [row.drop_rank for row in STREAMS.values()].count(first.drop_rank) == 1


@pytest.mark.parametrize("name", list(SAMPLES))
def test_every_line_has_the_streams_head_and_tail(name: str) -> None:
    row = stream_named(name)
    (line,) = row.to_lines(SAMPLES[name], NO_SECRETS).lines
    assert line.startswith(row.head)
    assert line.endswith(row.tail)


@pytest.mark.parametrize("name", ["", "Logs", "logs ", "../logs", "quarantine", "\x1b[31m"])
def test_an_unknown_stream_is_refused_and_shown_harmlessly(name: str) -> None:
    with pytest.raises(RecordError) as caught:
        stream_named(name)
    assert caught.value.id == "stream.unknown"
    assert "\x1b" not in str(caught.value)
    assert "transactions" in caught.value.hint
