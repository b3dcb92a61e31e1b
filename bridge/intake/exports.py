"""The vendor's CSV exports of usage that was never reported become records.

Two of the vendor's queries make them (``pg_usage_traces_backfill_export.sql`` and
``pg_usage_nodes_backfill_export.sql`` of its Helm repository): the columns of the table that reports
are made from, then who the customer is. Which one a file is, its header says. Every column is kept
under its name, also an unknown one; an empty cell is null. A column of the table whose value has
another name in a report stands in the record under both (docs/backfill.md has them all).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import orjson

from bridge.intake.csvrows import Cells, ReadLine, csv_rows
from bridge.intake.reporttimes import report_times
from keys.errors import shown
from spool.errors import RecordError
from spool.lines import LICENSE_FIELDS

COLUMNS_MAX = 200
"""The tables have about twenty."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
"""What PostgreSQL calls a column unless it is quoted."""
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
NAMES = frozenset({"customer_name", "organization_name", "workspace_name"})
"""Columns that name customers in words; reports that LangSmith sends by itself have none."""


@dataclass(frozen=True, slots=True)
class Form:
    """One export: what its header must have, which columns are no text, which one is the status."""

    stream: str
    wanted: frozenset[str]
    whole: frozenset[str]
    documents: Mapping[str, bytes]
    """Columns of JSON, and what stands for an empty cell of each: a report has them all."""
    status: str
    who: tuple[str, ...]
    """What two records have in common that count the same usage if their times overlap."""
    times: tuple[str, str]
    more: Callable[[Mapping[str, str]], Iterator[tuple[str, str | None]]]
    """What the record has besides, made of the cells."""


def _nothing(_said: Mapping[str, str]) -> Iterator[tuple[str, str | None]]:
    return iter(())


FORMS = (
    Form(
        "transactions",
        frozenset({"id", "tenant_id", "trace_count", "status"}),
        frozenset({"trace_count", "num_failed_send_attempts"}),
        MappingProxyType({}),
        "status",
        ("tenant_id", "session_id", "transaction_type"),
        ("start_insertion_time", "end_insertion_time"),
        report_times,
    ),
    Form(
        "langgraph",
        frozenset({"id", "from_timestamp", "to_timestamp", "measures", "reported_status"}),
        frozenset({"num_failed_metronome_send_attempts"}),
        MappingProxyType({"measures": b"{}", "tags": b"{}", "logs": b"[]"}),
        "reported_status",
        ("tags",),
        ("from_timestamp", "to_timestamp"),
        _nothing,
    ),
)


@dataclass(frozen=True, slots=True)
class Row:
    """A row: the line it begins on, its id, its status, its ``source`` if it has one, the record."""

    line: int
    id: str
    status: str
    source: str
    record: bytes


def rows_of(readline: ReadLine, *, names: bool) -> tuple[Form, Iterator[Row]]:
    """What a file is an export of, and its rows; ``names`` keeps the columns that name customers.

    Raises :class:`RecordError` ``backfill.csv``, ``backfill.header``, ``backfill.license``; so do
    the rows, and ``backfill.row``.
    """
    lines = csv_rows(readline)
    header = next(lines, None)
    if header is None:
        raise RecordError("backfill.csv", "The file is empty.", "Export again, with `psql --csv`.")
    form = _form_of(header.cells)
    return form, _rows(lines, header.cells, form, names=names)


def _form_of(header: list[str]) -> Form:
    bad = [name for name in header if not _NAME.fullmatch(name)]
    if bad or len(header) > COLUMNS_MAX or len(set(header)) != len(header):
        raise RecordError(
            "backfill.header",
            "The first line is not the names of columns, each once.",
            "Export again, with `psql --csv`, which writes them.",
        )
    for name in header:
        if name.lower() in LICENSE_FIELDS or "license_key" in name.lower():
            raise RecordError(
                "backfill.license",
                f"The file has a column {shown(name)}; license keys are not stored.",
                "Export again without it; the vendor's queries have none.",
            )
    for form in FORMS:
        if form.wanted <= set(header):
            return form
    wanted = "; or ".join(f"{form.stream}: {', '.join(sorted(form.wanted))}" for form in FORMS)
    raise RecordError(
        "backfill.header",
        "This is neither of the vendor's exports.",
        f"The header needs these columns: {wanted}.",
    )


def _rows(lines: Iterator[Cells], header: list[str], form: Form, *, names: bool) -> Iterator[Row]:
    kept = [(name, b"%b:" % orjson.dumps(name)) for name in header if names or name not in NAMES]
    absent = [
        b"%b:%b" % (orjson.dumps(name), empty)
        for name, empty in form.documents.items()
        if name not in header
    ]
    for line, cells in lines:
        if len(cells) != len(header):
            raise _bad_row(line, f"it has {len(cells)} cells, the header {len(header)}")
        said = dict(zip(header, cells, strict=True))
        if not said["id"]:
            raise _bad_row(line, "column id is empty")
        parts = [start + _value(line, form, name, said[name]) for name, start in kept]
        parts += [
            b"%b:%b" % (orjson.dumps(name), orjson.dumps(value)) for name, value in form.more(said)
        ]
        parts += absent
        record = b"{%b}" % b",".join(parts)
        yield Row(line, said["id"], said[form.status], said.get("source", ""), record)


def _value(line: int, form: Form, name: str, cell: str) -> bytes:
    if not cell:
        return form.documents.get(name, b"null")
    if name in form.whole:
        if _WHOLE.fullmatch(cell) is None:
            raise _bad_row(line, f"column {name} is no whole number")
        return cell.encode()
    if name not in form.documents:
        return orjson.dumps(cell)
    data = cell.encode()
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise _bad_row(line, f"column {name} is no JSON") from None
    if found is None:
        return form.documents[name]
    empty = orjson.loads(form.documents[name])
    if type(found) is not type(empty):
        raise _bad_row(line, f"column {name} is no {'array' if empty == [] else 'object'}")
    return data


def _bad_row(line: int, why: str) -> RecordError:
    return RecordError(
        "backfill.row",
        f"The row on line {line} cannot be taken: {why}.",
        "Export again; nothing of this file was taken.",
    )
