"""The vendor's CSV exports."""

import csv
import io

import orjson

from bridge.intake.exports import rows_of
from spool.errors import RecordError
from spool.secrets import NO_SECRETS
from spool.streams import STREAMS, Stream
from tests.fuzz.harness import Harness
from tests.support.exports import NODES, TRACES, node, nodes, trace, traces


def tried(data: bytes) -> bool:
    """Against Python's own reader, cell by cell."""
    try:
        form, rows = rows_of(io.BytesIO(data).readline, names=True)
        found = [(row, _line(STREAMS[form.stream], row.record)) for row in rows]
    except RecordError:
        return False
    lines = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    header, *cells = [line for line in lines if line]
    assert len(found) == len(cells)
    for (row, stored), line in zip(found, cells, strict=True):
        said, record = dict(zip(header, line, strict=True)), orjson.loads(stored)
        assert row.id == said["id"]
        for name, cell in said.items():
            if name in form.whole:
                assert record[name] == (int(cell) if cell else None)
            elif name in form.documents:
                assert isinstance(record[name], type(orjson.loads(form.documents[name])))
            else:
                assert record[name] == (cell or None)
    return bool(found)


def _line(stream: Stream, record: bytes) -> bytes:
    """The one line that is stored of a record."""
    (line,) = stream.to_lines(record, NO_SECRETS).lines
    assert b"\n" not in line
    assert b"\r" not in line
    return line


def seeds() -> list[bytes]:
    """Both exports, with and without quotes, with a byte order mark, and with none of it."""
    plain = (
        b",".join(name.encode() for name in TRACES)
        + b"\n"
        + b",".join(cell.replace(",", "").replace('"', "").encode() for cell in trace(2))
    )
    both = [traces(trace(1), trace(2)), nodes(node(1), node(2)), plain]
    return [*both, b"\xef\xbb\xbf" + both[0], both[1].replace(b"\n", b"\r\n")]


HARNESS = Harness(
    "csvrows",
    "Every cell that a CSV reader finds stands in a record under its column, or the file is refused.",
    tried,
    seeds,
    (b'"', b'""', b",", b"\r\n", b"\n", b"\r", b"\0", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"license_key",
     b"[", b"{}", b"1e5", b"-1", *(name.encode() for name in NODES[:4])),
    rounds=5000,
)  # fmt: skip
