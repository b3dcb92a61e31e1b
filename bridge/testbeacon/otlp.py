"""What is a record in an OTLP JSON body: one log record, one metric, one span.

A record is kept in the bytes that it came in. It is the same as another one if its bytes, those of
its scope and those of its resource are: so however a sender divides what it has, a record that comes
twice is known.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import orjson

from bridge.testbeacon.bodies import Body, Record, elements, members, objects

_POINTS = ("gauge", "sum", "histogram", "exponentialHistogram", "summary")


@dataclass(frozen=True, slots=True)
class Signal:
    """One of the three: what its arrays are called, and how what is rejected is counted."""

    resources: str
    scopes: str
    leaves: str
    rejected: str
    weight: Callable[[Record], int]

    def body(self, data: bytes) -> Body:
        """Every leaf of the body; absent arrays are empty ones. Raises :class:`Refusal`."""
        records: list[Record] = []
        for resource in objects(members(data), self.resources):
            around = _digest(resource, self.scopes)
            for scope in objects(resource, self.scopes):
                context = around + _digest(scope, self.leaves)
                records += [
                    Record(leaf, hashlib.sha256(context + leaf).digest())
                    for leaf in elements(scope, self.leaves)
                ]
        return Body(None, records)

    def answer(self, rejected: Sequence[Record]) -> dict[str, object]:
        """The response of an export of which ``rejected`` was not taken."""
        if not rejected:
            return {}
        count = sum(map(self.weight, rejected))
        # 64-bit integers are strings in OTLP JSON.
        return {
            "partialSuccess": {self.rejected: str(count), "errorMessage": "a fault was asked for"}
        }


def _digest(parts: Mapping[str, msgspec.Raw], without: str) -> bytes:
    """Of all members but one, whatever their order."""
    said = hashlib.sha256()
    for name in sorted(parts):
        if name != without:
            said.update(orjson.dumps([name, hashlib.sha256(parts[name]).hexdigest()]))
    return said.digest()


def _one(_record: Record) -> int:
    return 1


def _data_points(metric: Record) -> int:
    """OTLP counts the data points of a metric that is rejected."""
    found = orjson.loads(metric.text)
    kinds = [found[kind] for kind in _POINTS if isinstance(found.get(kind), dict)]
    points = [kind.get("dataPoints") for kind in kinds]
    return sum(len(found) for found in points if isinstance(found, list))


LOGS = Signal("resourceLogs", "scopeLogs", "logRecords", "rejectedLogRecords", _one)
METRICS = Signal("resourceMetrics", "scopeMetrics", "metrics", "rejectedDataPoints", _data_points)
TRACES = Signal("resourceSpans", "scopeSpans", "spans", "rejectedSpans", _one)
