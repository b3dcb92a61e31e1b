"""The vendor's CSV exports of usage that was never reported become records.

Two of the vendor's queries make them (``pg_usage_traces_backfill_export.sql`` and
``pg_usage_nodes_backfill_export.sql`` of its Helm repository): all columns of the table that the
reports are made from, then who the customer is. Which one a file is, its header says. Every column is
kept under its name, also unknown ones; an empty cell is null, for CSV of PostgreSQL writes both alike.
"""

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TextIO

import orjson

from spool.errors import RecordError

CELL_MAX = 4 * 1024 * 1024
"""Characters of a cell; the longest real ones are a LangGraph report's ``logs``."""
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
    documents: frozenset[str]
    status: str


FORMS = (
    Form(
        "transactions",
        frozenset({"id", "tenant_id", "trace_count", "status"}),
        frozenset({"trace_count", "num_failed_send_attempts"}),
        frozenset(),
        "status",
    ),
    Form(
        "langgraph",
        frozenset({"id", "from_timestamp", "to_timestamp", "measures", "reported_status"}),
        frozenset({"num_failed_metronome_send_attempts"}),
        frozenset({"measures", "tags", "logs"}),
        "reported_status",
    ),
)
_ABSENT: Mapping[str, bytes] = MappingProxyType({"measures": b"{}", "tags": b"{}", "logs": b"[]"})
"""What stands for an empty cell of these: a report has them all."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row: its number (the header is 1), its id and status, and the record that it is."""

    number: int
    id: str
    status: str
    record: bytes


def rows_of(text: TextIO, *, names: bool) -> tuple[Form, Iterator[Row]]:
    """What ``text`` is an export of, and its rows; ``names`` keeps the columns that name customers.

    ``text`` is opened without translation of line ends. Raises :class:`RecordError` ``backfill.csv``,
    ``backfill.header``; so do the rows, and ``backfill.row``.
    """
    lines = _cells_of(text)
    header = next(lines, None)
    if not header:
        raise RecordError("backfill.csv", "The file is empty.", "Export again, with `psql --csv`.")
    form = _form_of(header)
    return form, _rows(lines, header, form, names=names)


def _form_of(header: list[str]) -> Form:
    bad = [name for name in header if not _NAME.fullmatch(name)]
    if bad or len(header) > COLUMNS_MAX or len(set(header)) != len(header):
        raise RecordError(
            "backfill.header",
            "The first line is not the names of columns, each once.",
            "Export again, with `psql --csv`, which writes them.",
        )
    for form in FORMS:
        if form.wanted <= set(header):
            return form
    wanted = " or ".join(", ".join(sorted(form.wanted)) for form in FORMS)
    raise RecordError(
        "backfill.header",
        "This is neither of the vendor's exports.",
        f"The header needs the columns {wanted}.",
    )


def _rows(
    lines: Iterator[list[str]], header: list[str], form: Form, *, names: bool
) -> Iterator[Row]:
    for number, cells in enumerate(lines, 2):
        if not cells:
            continue  # an empty line, which spreadsheets add
        if len(cells) != len(header):
            raise _bad_row(number, f"it has {len(cells)} cells, the header {len(header)}")
        said = dict(zip(header, cells, strict=True))
        parts = [
            b"%b:%b" % (orjson.dumps(name), _value(number, form, name, cell))
            for name, cell in said.items()
            if names or name not in NAMES
        ]
        key = said["id"]
        if not key:
            raise _bad_row(number, "it has no id")
        yield Row(number, key, said[form.status], b"{%b}" % b",".join(parts))


def _value(number: int, form: Form, name: str, cell: str) -> bytes:
    if not cell:
        return _ABSENT.get(name, b"null") if name in form.documents else b"null"
    if name in form.whole:
        if _WHOLE.fullmatch(cell) is None:
            raise _bad_row(number, f"{name} is no whole number")
        return cell.encode()
    try:
        if name in form.documents:
            data = cell.encode()
            orjson.loads(data)
            return data
        return orjson.dumps(cell)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError, UnicodeEncodeError):
        raise _bad_row(number, f"{name} is no JSON, or no text") from None


def _cells_of(text: TextIO) -> Iterator[list[str]]:
    """The cells of each row; what is no CSV is told in our words."""
    csv.field_size_limit(CELL_MAX)
    reader = csv.reader(text, strict=True)
    while True:
        try:
            cells = next(reader, None)
        except (csv.Error, UnicodeDecodeError) as error:
            why = "not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
            raise RecordError(
                "backfill.csv",
                f"Line {reader.line_num + 1} is no CSV: {why}.",
                "Export again, with `psql --csv`, and carry the file unchanged.",
            ) from None
        if cells is None:
            return
        yield cells


def _bad_row(number: int, why: str) -> RecordError:
    return RecordError(
        "backfill.row",
        f"Row {number} cannot be taken: {why}.",
        "Export again; nothing of this file was taken.",
    )
