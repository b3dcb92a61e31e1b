"""Whatever bytes a CSV file has, it is refused in our words or becomes records."""

import io

import orjson
from hypothesis import given
from hypothesis import strategies as st

from bridge.intake.exports import rows_of
from bridge.intake.reporttimes import moment, report_times
from spool.errors import RecordError
from tests.support.exports import NODES, TRACES, node, nodes, trace, traces, written

HEADER = ",".join(TRACES).encode()


def _rows(data: bytes) -> list[object] | None:
    try:
        _, rows = rows_of(io.BytesIO(data).readline, names=True)
        return [orjson.loads(row.record) for row in rows]
    except RecordError:
        return None


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_become_records(data: bytes) -> None:
    for each in (data, HEADER + b"\n" + data, traces(trace(1)) + data, nodes(node(1)) + data):
        _rows(each)


@given(st.lists(st.text(max_size=30), min_size=len(NODES), max_size=len(NODES)))
def test_any_cells_are_refused_or_become_a_record_with_all_columns(cells: list[str]) -> None:
    for columns in (TRACES, NODES):
        row = (cells * 2)[: len(columns)]
        text = "\n".join(
            ",".join(f'"{c.replace(chr(34), chr(34) * 2)}"' for c in r) for r in (columns, row)
        )
        found = _rows(text.encode("utf-8", "surrogatepass"))
        if found is not None:
            (record,) = found
            assert isinstance(record, dict)
            assert set(columns) <= set(record)


@given(st.text(max_size=60), st.text(max_size=30))
def test_any_text_is_a_time_or_none_and_any_range_has_two_names(text: str, other: str) -> None:
    moment(text)
    said = {"interval": text, "insertion_time_range_start": other}
    assert dict(report_times(said)).keys() >= {"start_insertion_time"}


NO_WORDS = ("id", "trace_count", "status", "num_failed_send_attempts")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(st.lists(TEXT, min_size=len(TRACES) - 4, max_size=len(TRACES) - 4))
def test_every_cell_of_text_is_kept_as_it_is(cells: list[str]) -> None:
    row = dict(zip(TRACES, trace(1), strict=True))
    words = [name for name in TRACES if name not in NO_WORDS]
    row |= dict(zip(words, cells, strict=True))
    (found,) = _rows(written(TRACES, [list(row.values())])) or [None]
    assert isinstance(found, dict)
    assert {name: found[name] for name in words} == {name: row[name] or None for name in words}
