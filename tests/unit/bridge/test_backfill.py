"""Exports become records, and which of them are taken."""

import io
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from bridge.intake.backfilling import STATUSES_MAX, Plan
from bridge.intake.csvrows import ROW_MAX
from bridge.intake.exports import COLUMNS_MAX, Row, rows_of
from spool.errors import RecordError
from tests.support.exports import NODES, TRACES, node, nodes, trace, traces, written

DATA = Path(__file__).parents[2] / "data"
LEAST = "id,tenant_id,trace_count,status"
WIDE = ",".join(f"c{n}" for n in range(COLUMNS_MAX))


def _rows(data: bytes, *, names: bool = False) -> list[Row]:
    return list(rows_of(io.BytesIO(data).readline, names=names)[1])


def _plan(data: bytes, *, include_sent: bool = False, overlap: bool = False) -> Plan:
    form, rows = rows_of(io.BytesIO(data).readline, names=False)
    plan = Plan(form, include_sent=include_sent, overlap=overlap)
    for row in rows:
        plan.add(row)
    return plan


def _record(**members: object) -> bytes:
    return orjson.dumps(members) + b"\n"


def _intake(hour: int, key: str = "other", **members: object) -> bytes:
    """What the intake takes of an hour that row ``hour`` counts."""
    return _record(
        **{
            "id": key,
            "tenant_id": "tenant-1",
            "session_id": "session-1",
            "transaction_type": "longlived_traces",
            "start_insertion_time": f"2026-11-01T{hour:02d}:00:00Z",
            "end_insertion_time": f"2026-11-01T{hour + 1:02d}:00:00Z",
        }
        | members
    )


@pytest.mark.parametrize("name", ["pg_usage_traces_backfill", "pg_usage_nodes_backfill"])
def test_the_vendors_columns_become_the_records_that_are_written_down(name: str) -> None:
    rows = _rows((DATA / f"{name}.csv").read_bytes())
    assert b"".join(row.record + b"\n" for row in rows) == (DATA / f"{name}.ndjson").read_bytes()


def test_columns_of_the_table_have_the_names_of_a_report_besides() -> None:
    (row,) = _rows(traces(trace(7)))
    record = orjson.loads(row.record)
    assert record["insertion_time_range_start"] == "2026-11-01 07:00:00+00"
    assert record["start_insertion_time"] == "2026-11-01T07:00:00Z"
    assert record["end_interval_time"] == "2026-11-01T07:59:59.999999Z"


def test_columns_that_have_the_names_of_a_report_already_are_left_as_they_are() -> None:
    columns = [*TRACES, "start_insertion_time"]
    (row,) = _rows(written(columns, [[*trace(1), "2026-11-01 05:00:00"]]))
    assert orjson.loads(row.record)["start_insertion_time"] == "2026-11-01 05:00:00"


def test_unknown_columns_and_words_are_kept() -> None:
    (row,) = _rows(f"{LEAST},new\n1,t,2,a new word,=1+1\n".encode())
    assert orjson.loads(row.record) == {
        "id": "1",
        "tenant_id": "t",
        "trace_count": 2,
        "status": "a new word",
        "new": "=1+1",
    }


def test_a_report_without_tags_or_logs_has_empty_ones() -> None:
    (row,) = _rows(b"id,from_timestamp,to_timestamp,measures,reported_status\n1,a,b,null,pending\n")
    record = orjson.loads(row.record)
    assert (record["measures"], record["tags"], record["logs"]) == ({}, {}, [])


def test_a_file_of_nothing_but_a_header_has_no_rows() -> None:
    assert _rows(LEAST.encode()) == []


@pytest.mark.parametrize(
    ("data", "problem", "words"),
    [
        (b"", "backfill.csv", "empty"),
        (b"a,b\n", "backfill.header", "neither"),
        (f"{LEAST},license_key\n".encode(), "backfill.license", "license_key"),
        (f"{LEAST},License\n".encode(), "backfill.license", "License"),
        (f"{LEAST},id\n".encode(), "backfill.header", "each once"),
        (f"{LEAST},{WIDE}\n".encode(), "backfill.header", "columns"),
        (f"{LEAST}\n1,t,1,p\n\n2,t,x,p\n".encode(), "backfill.row", "line 4 .*trace_count"),
        (f'{LEAST}\n"1\n2",t,1,p\n2,t,1\n'.encode(), "backfill.row", "line 4 .*3 cells"),
        (f"{LEAST}\n1,t,1,\xe9\n".encode("latin-1"), "backfill.csv", "Line 2 .*UTF-8"),
        (f'{LEAST}\n1,t,1,"p" x\n'.encode(), "backfill.csv", "Line 2"),
        (f'{LEAST}\n1,t,1,"p\n\n\n'.encode(), "backfill.csv", "Line 2"),
        (nodes([*node(1)[:4], "[]", *node(1)[5:]]), "backfill.row", "measures is no object"),
        (nodes([*node(1)[:4], "{", *node(1)[5:]]), "backfill.row", "measures is no JSON"),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused_with_line_and_column(data: bytes, problem: str, words: str) -> None:
    with pytest.raises(RecordError, match=words) as error:
        _rows(data)
    assert error.value.id == problem


class _Endless:
    """A file that never ends, and how much of it was read."""

    def __init__(self, begin: bytes, piece: bytes) -> None:
        self.read = 0
        self._next = self._pieces(begin, piece)

    @staticmethod
    def _pieces(begin: bytes, piece: bytes) -> Iterator[bytes]:
        yield begin
        while True:
            yield piece

    def readline(self, size: int) -> bytes:
        found = next(self._next)
        found = found * (size // len(found) + 1) if not found.endswith(b"\n") else found
        self.read += len(found[:size])
        return found[:size]


@pytest.mark.parametrize("piece", [b"x", b",", b'"', b"\n"])
def test_a_row_without_an_end_is_refused_when_it_has_its_bytes(piece: bytes) -> None:
    file = _Endless(f'{LEAST}\n1,t,1,"'.encode() + b"\n", piece)
    with pytest.raises(RecordError) as error:
        list(rows_of(file.readline, names=False)[1])
    assert error.value.id in ("backfill.csv", "backfill.row")
    assert file.read <= ROW_MAX + 1000


def test_every_row_is_in_one_count() -> None:
    plan = _plan(
        traces(
            trace(1),
            trace(1),
            trace(2, status="sent-backfilled"),
            trace(3, source="remote"),
            trace(4),
            trace(5),
            trace(6),
            trace(6, status="sent"),
        )
    )
    plan.see(_record(id=trace(4)[0]) + _intake(5))
    counted = plan.sent + plan.not_local + plan.repeated + plan.held + plan.refused + plan.wanted
    assert counted == plan.rows == 8
    assert (plan.sent, plan.not_local, plan.repeated, plan.held) == (2, 1, 2, 1)
    assert (plan.refused, plan.wanted) == (1, 1)
    assert sum(plan.statuses.values()) == 8


@pytest.mark.parametrize(
    ("held", "overlapping"),
    [
        (_intake(7), 1),
        (_intake(6), 0),
        (_intake(8), 0),
        (_intake(7, session_id="session-2"), 0),
        (_intake(7, transaction_type="shortlived_traces"), 0),
        (_intake(7, start_insertion_time="2026-11-01T08:30:00+01:00"), 1),
        (_intake(7, start_insertion_time="?"), 0),
        (_intake(7, key=trace(8)[0]), 0),
    ],
)
def test_a_row_overlaps_what_counts_the_same_usage_of_the_same_time(
    held: bytes, overlapping: int
) -> None:
    data = traces(trace(7), trace(8, status="sent"))
    plan = _plan(data)
    plan.see(held)
    assert (plan.overlapping, plan.refused, plan.wanted) == (overlapping,) * 2 + (1 - overlapping,)
    taken = [row.id for row in plan.take(_rows(data))]
    assert taken == [trace(7)[0]][overlapping:]


def test_the_first_rows_that_overlap_are_shown_with_what_they_overlap() -> None:
    data = traces(trace(6), trace(7), trace(8))
    plan = _plan(data, overlap=True)
    plan.see(_intake(8) + _intake(7, "another"))
    assert [(e.line, e.id, e.held) for e in plan.examples(iter(_rows(data)))] == [
        (3, trace(7)[0], "another"),
        (4, trace(8)[0], "other"),
    ]
    assert (plan.overlapping, plan.refused, plan.wanted) == (2, 0, 3)


def test_reports_overlap_by_their_tags_also_where_they_have_no_id() -> None:
    held = {
        "from_timestamp": "2026-11-20T09:01:30.5+00:00",
        "to_timestamp": "2026-11-20T09:02:00+00:00",
        "tags": {"langgraph.python.version": "0.4"},
    }
    plan = _plan(nodes(node(1), node(2)))
    plan.see(_record(**held))
    assert (plan.refused, plan.wanted) == (1, 1)


def test_rows_that_do_not_say_when_are_taken_and_counted() -> None:
    plan = _plan(f"{LEAST}\n1,t,1,p\n2,t,1,p\n".encode())
    assert (plan.undated, plan.wanted) == (2, 2)


def test_words_without_number_do_not_fill_the_memory() -> None:
    rows = "".join(f"{n},t,1,word-{n}{'x' * 100}\n" for n in range(200))
    plan = _plan(f"{LEAST}\n{rows}".encode())
    assert len(plan.statuses) == STATUSES_MAX + 1
    assert sum(plan.statuses.values()) == 200


def test_lines_that_cannot_be_read_are_counted() -> None:
    plan = _plan(traces(trace(1)))
    plan.see(b"{\n" + _record(id=trace(1)[0]))
    assert (plan.unread, plan.held) == (1, 1)


def test_columns_in_words_are_left_out_unless_they_are_wanted() -> None:
    for names in (False, True):
        (row,) = _rows(nodes(node(1)), names=names)
        assert ("customer_name" in orjson.loads(row.record)) is names
    assert "customer_name" in NODES
