"""Requests that real clients sent, as they sent them, and the same with a mark of their own.

Captured from unmodified OpenTelemetry SDKs (Python and JavaScript), the OpenTelemetry Collector and
langgraph-api; the license key in them is made up.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import orjson
from msgspec import Raw, json

from spool.severity import is_warning

LICENSE = "lcl_EXAMPLE_NOT_A_KEY"
"""The made-up key that stands in the captured requests."""
_OTLP = {
    "resourceLogs": ("logs", "scopeLogs", "logRecords"),
    "resourceMetrics": ("metrics", "scopeMetrics", "metrics"),
    "resourceSpans": ("traces", "scopeSpans", "spans"),
}


@dataclass(frozen=True, slots=True)
class Request:
    """A request, the stream that it belongs to, and the records in it as the beacon shall keep them."""

    client: str
    path: str
    body: bytes
    stream: str
    records: tuple[bytes, ...]


def captured() -> Iterator[Request]:
    """Every captured request, byte for byte."""
    for client in sorted(files("bridge.demo").joinpath("requests").iterdir(), key=lambda c: c.name):
        for entry in sorted(client.iterdir(), key=lambda e: e.name):
            if entry.name.endswith(".json"):
                said = orjson.loads(entry.read_bytes())
                body = client.joinpath(entry.name.removesuffix(".json") + ".body").read_bytes()
                yield _request(client.name, said["path"], body)


def marked(request: Request, mark: str) -> Request:
    """The same request with ``mark`` in every record, so that each is found again for itself."""
    document: dict[str, Any] = orjson.loads(request.body)
    for resources, (_, scopes, leaves) in _OTLP.items():
        for resource in document.get(resources, ()):
            for scope in resource.get(scopes, ()):
                for leaf in scope.get(leaves, ()):
                    _mark(leaf, mark)
    if "measures" in document:
        document["tags"] = {**document.get("tags", {}), "demo": mark}
    return _request(request.client, request.path, orjson.dumps(document))


def snapshot(mark: int) -> Request:
    """A daily usage snapshot, in the shape that the vendor publishes."""
    body = orjson.dumps(
        {
            "license_key": LICENSE,
            "from_timestamp": "2026-11-22T02:00:00+00:00",
            "to_timestamp": "2026-11-23T02:00:00+00:00",
            "measures": {"workspaces": 12, "users": 63, "prompt_pulls": 1043 + mark},
        }
    )
    return _request("vendor-shape", "/v1/beacon/usage-snapshot", body)


def _mark(leaf: dict[str, Any], mark: str) -> None:
    attribute = {"key": "demo", "value": {"stringValue": mark}}
    if "gauge" in leaf or "sum" in leaf or "histogram" in leaf:
        leaf["description"] = mark
    else:
        leaf["attributes"] = [*leaf.get("attributes", ()), attribute]


def _request(client: str, path: str, body: bytes) -> Request:
    document = json.decode(body, type=dict[str, Raw])
    for resources, (stream, scopes, leaves) in _OTLP.items():
        if resources in document:
            found = [
                bytes(leaf)
                for resource in json.decode(document[resources], type=list[dict[str, Raw]])
                for scope in json.decode(resource.get(scopes, b"[]"), type=list[dict[str, Raw]])
                for leaf in json.decode(scope.get(leaves, b"[]"), type=list[Raw])
                # The bridge takes no log record below a warning, so none of those can be lost.
                if stream != "logs" or is_warning(orjson.loads(bytes(leaf)))
            ]
            return Request(client, path, body, stream, tuple(found))
    kept = b",".join(
        b"%b:%b" % (orjson.dumps(name), bytes(value))
        for name, value in document.items()
        if name != "license_key"
    )
    stream = "snapshots" if path.endswith("usage-snapshot") else "langgraph"
    return Request(client, path, body, stream, (b"{" + kept + b"}",))
