"""The good golden files: every kind of segment, every stream, every form of frame."""

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from tests.golden.build import CHAIN, HERE, LINES, compact, frame, signed, statement, windowed

SECOND_CHAIN = "f0e0d0c0b0a090807060504030201000"
SUFFIX = ".ndjson.zst"
_MORE = (
    b'{"id":"6a1f8a52-5a0f-4a39-9d3c-3f0c8a6f1a03","trace_count":7,"status":"todo"}\n',
    b'{"id":"6a1f8a52-5a0f-4a39-9d3c-3f0c8a6f1a04","trace_count":1.50,"x":"\xc3\xa4\\u00e4"}\n',
)
_COMPRESSED = HERE / "compressed.frame.b64"
_RESOURCE = b'{"resource":{"attributes":[]},'
_OTHER_STREAMS = {
    "langgraph": b'{"from_timestamp":"2026-11-23T08:55:00+00:00",'
    b'"to_timestamp":"2026-11-23T09:00:00+00:00","tags":{"langgraph.python.version":"0.2"},'
    b'"measures":{"langgraph.platform.runs":3},"logs":[]}\n',
    "snapshots": b'{"from_timestamp":"2026-11-22T00:00:00Z","to_timestamp":"2026-11-23T00:00:00Z",'
    b'"measures":{"seats":12}}\n',
    "logs": b'{"resourceLogs":[' + _RESOURCE + b'"scopeLogs":[{"logRecords":[{"timeUnixNano":'
    b'"1795424400000000000","severityNumber":13,"body":{"stringValue":"slow"}}]}]}]}\n',
    "metrics": b'{"resourceMetrics":[' + _RESOURCE + b'"scopeMetrics":[{"metrics":[{"name":"up",'
    b'"gauge":{"dataPoints":[{"timeUnixNano":"1795424400000000000","asInt":"1"}]}}]}]}]}\n',
    "traces": b'{"resourceSpans":[' + _RESOURCE + b'"scopeSpans":[{"spans":[{"traceId":'
    b'"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","name":"run"}]}]}]}\n',
}


@dataclass(frozen=True, slots=True)
class Good:
    """A file and what it must read as."""

    name: str
    data: bytes
    said: dict[str, object]
    digest: str
    lines: bytes


class _Chain:
    """Makes segments that follow each other."""

    def __init__(self, **first: object) -> None:
        self._next = first
        self._before = {"records": 0, "raw_size": 0}

    def add(self, name: str, frames: bytes, lines: bytes, **changes: object) -> Good:
        said = statement(frames, lines, **{**self._next, "before": dict(self._before), **changes})
        seq = said["seq"]
        assert isinstance(seq, int)
        digest = hashlib.sha256(compact(said)).hexdigest()
        self._before["records"] += lines.count(b"\n")
        self._before["raw_size"] += len(lines)
        kept: dict[str, object] = {
            name: self._next[name] for name in ("stream", "chain") if name in self._next
        }
        self._next = {**kept, "seq": seq + 1, "prev": digest}
        name = f"{said['stream']}-{seq:012d}-{name}{SUFFIX}"
        return Good(name, signed(frames, said), said, digest, lines)


def good() -> Iterator[Good]:
    """Every good file, each chain in its order."""
    chain = _Chain()
    yield chain.add("age", frame(LINES), LINES)
    two = frame(_MORE[0]) + windowed(_MORE[1])
    yield chain.add("size", two, b"".join(_MORE), reason="size")
    compressed = base64.b64decode(_COMPRESSED.read_bytes())
    yield chain.add("compressed-shutdown", compressed, LINES * 8, reason="shutdown")
    yield chain.add("handover", frame(LINES), LINES, reason="handover")
    yield chain.add("recovered", frame(_MORE[0]), _MORE[0], reason="recovered")
    yield chain.add("recovered-of", frame(_MORE[0]), _MORE[0], reason="recovered", of=4)
    lost = {"ranges": "4", "records": 2, "raw_size": len(LINES), "why": "bad_frames"}
    yield chain.add("loss", b"", b"", reason="loss", lost=lost)
    unknown = {"ranges": "", "records": None, "raw_size": None, "why": "bad_frames"}
    yield chain.add("loss-uncounted", b"", b"", reason="loss", lost=unknown)
    last = chain.add("heartbeat", b"", b"", policy="5e" * 32)
    yield last
    follows = {"chain": CHAIN, "seq": last.said["seq"], "digest": last.digest, "why": "moved"}
    second = _Chain(chain=SECOND_CHAIN, seq=1_000_000)
    yield second.add("follows", b"", b"", follows=follows)
    yield second.add("after-follows", frame(LINES), LINES)
    for stream, line in _OTHER_STREAMS.items():
        yield _Chain(stream=stream).add("age", frame(line), line)
