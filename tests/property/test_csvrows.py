"""Whatever bytes a CSV file has, it is refused in our words or becomes records."""

import io

import orjson
from hypothesis import given
from hypothesis import strategies as st

from bridge.intake.csvrows import rows_of
from spool.errors import RecordError
from tests.support.exports import TRACES, trace, traces, written

HEADER = ",".join(TRACES).encode()


def _rows(data: bytes) -> list[object] | None:
    text = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig", newline="")
    try:
        _, rows = rows_of(text, names=True)
        return [orjson.loads(row.record) for row in rows]
    except RecordError:
        return None


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_become_records(data: bytes) -> None:
    for each in (data, HEADER + b"\n" + data, traces(trace(1)) + data):
        _rows(each)


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
