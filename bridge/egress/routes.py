"""The table of routes: where each stream goes, in which form, and what a success looks like.

Bodies are made by joining stored lines; nothing is parsed. Every line of a stream begins with its
head and ends with its tail, and a line end stands only between lines, so one replacement of bytes
joins them. The rows are the vendor's published endpoints and what real clients were seen to send.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import orjson

from bridge.egress.answers import (
    Answer,
    Taken,
    by_inserted_count,
    by_no_content,
    by_object,
    by_partial_success,
)
from bridge.egress.body import Body, joined
from spool.streams import STREAMS

LICENSE_HEADER = "X-Langchain-License-Key"
DATA_PLANE_HEADER = "X-Data-Plane-Auth"
"""What hosted data planes send with their telemetry instead."""
UNBOUNDED = 2**31
"""Lines in one request where nothing but its size bounds it."""
PIECE = 128 * 1024
"""Bytes that are joined at a time: such pieces use the same memory again, where taking a body's worth
of fresh pages from the system costs ten times the copying; each is an event of the HTTP library."""


@dataclass(frozen=True, slots=True)
class Route:
    """One row.

    A body is ``opening``, the lines joined by commas, ``closing``; of each line the first ``head``
    and the last ``tail`` bytes are left out, for opening and closing write them. ``%b`` in the
    opening is the license key as JSON; where there is none, ``header`` carries it. At most
    ``lines_max`` lines go into one request. ``taken`` tells of an answer to so many records what
    the beacon took, None where that is not its answer.
    """

    stream: str
    path: str
    opening: bytes
    closing: bytes
    head: int
    tail: int
    lines_max: int
    taken: Callable[[Answer, int], Taken | None]
    header: str = LICENSE_HEADER

    @property
    def key_in_header(self) -> bool:
        """Whether the license key travels in a header, not in the body."""
        return b"%b" not in self.opening

    def headers(self, license_key: str) -> dict[str, str]:
        """The headers of a request, but for those of the transport."""
        headers = {"Content-Type": "application/json"}
        if self.key_in_header:
            headers[self.header] = license_key
        return headers

    def body(self, chunks: list[bytes], records: int, license_key: str) -> Body:
        """The body that carries ``chunks``, ``records`` whole lines; it uses them up."""
        opening = self.opening
        if b"%b" in opening:
            opening %= orjson.dumps(license_key)
        # A comma between two lines, and no line ends.
        lines = sum(map(len, chunks)) - records * (self.head + self.tail) - 1
        pieces = joined(
            chunks,
            opening=opening,
            closing=self.closing,
            head=self.head,
            tail=self.tail,
            piece=PIECE,
        )
        return Body(len(opening) + lines + len(self.closing), pieces)


def _report(stream: str, path: str, taken: Callable[[Answer, int], Taken | None]) -> Route:
    """A route that takes one document at a time, with the license key as its first member."""
    return Route(stream, path, b'{"license_key":%b,', b"", 1, 0, 1, taken)


def _otlp(stream: str) -> Route:
    """A route that takes the elements of any number of lines in one array."""
    row = STREAMS[stream]
    path = f"/v1/beacon/v1/{stream}"
    sizes = (len(row.head), len(row.tail))
    return Route(stream, path, row.head, row.tail, *sizes, UNBOUNDED, by_partial_success)


_ROWS = (
    Route(
        "transactions",
        "/v1/beacon/ingest-traces",
        b'{"license":%b,"trace_transactions":[',
        b"]}",
        0,
        0,
        UNBOUNDED,
        by_inserted_count,
    ),
    _report("langgraph", "/v1/beacon/metadata/submit", by_object),
    _report("snapshots", "/v1/beacon/usage-snapshot", by_no_content),
    _otlp("logs"),
    _otlp("metrics"),
    _otlp("traces"),
)

ROUTES: Mapping[str, Route] = MappingProxyType({row.stream: row for row in _ROWS})
"""Every route by its stream."""
