"""Marks: each record that a client makes carries one of its own, and is counted by it.

A mark is text that stands the same in protobuf and in JSON, so that requests are searched for marks
without being taken apart, and none of our own code judges what a request holds.
"""

import gzip
import re
import subprocess
import zlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from spool.lane import Lane
from spool.openfile import open_files
from spool.rewriting import examine, good_lines, reader
from tests.support.clients.relay import Exchange

STREAMS = ("logs", "metrics", "traces", "transactions", "langgraph", "snapshots")
ACKNOWLEDGED = frozenset({200, 204})
_MARK = re.compile(rb"keep-[a-z0-9]+-[a-z]+-\d{6}")
_LEFT_OUT = re.compile(rb"info-[a-z0-9]+-[a-z]+-\d{6}")
"""Records below WARN carry such a mark instead: the bridge keeps none of them."""


def marks_in(data: bytes) -> Counter[bytes]:
    """How often each mark stands in ``data``."""
    return Counter(_MARK.findall(data))


def unwanted_in(data: bytes) -> set[bytes]:
    """The marks of records that must not be kept."""
    return set(_LEFT_OUT.findall(data))


def plain(exchange: Exchange) -> bytes:
    """A request's body as it was before its content encoding."""
    coding = exchange.headers.get("content-encoding", "identity")
    match coding:
        case "identity" | "":
            return exchange.body
        case "gzip":
            return gzip.decompress(exchange.body)
        case "deflate" | "zlib":
            return zlib.decompress(exchange.body)
        case "zstd":
            return _zstd(exchange.body)
    raise AssertionError(coding)


def acknowledged(exchanges: Iterable[Exchange]) -> Counter[bytes]:
    """How often each mark was sent in a request that was acknowledged: 200, or 204 for a snapshot."""
    return _sum(marks_in(plain(each)) for each in exchanges if each.status in ACKNOWLEDGED)


def unanswered(exchanges: Iterable[Exchange]) -> Counter[bytes]:
    """How often each mark was sent in a whole request that got no answer."""
    return _sum(marks_in(plain(each)) for each in exchanges if each.answer is None)


def raw_of_spool(spool: Path, node: str, streams: Iterable[str] = STREAMS) -> bytes:
    """Every line that a node's spool holds: sealed ones by the zstd program, then open files."""
    found = []
    for stream in streams:
        lane = Lane(spool, node, stream)
        found += [_zstd(lane.segment(number).read_bytes()) for number in lane.sealed_numbers()]
        found += [_open(path) for path in open_files(lane)]
    return b"".join(found)


def _open(path: Path) -> bytes:
    """What a crash at this moment would leave of a file that is being written."""
    with path.open("rb") as file:
        read = reader(file.fileno())
        return b"".join(good_lines(read, examine(read, path.stat().st_size)))


def _zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-dcq"], input=data, capture_output=True, check=True).stdout


def _sum(counters: Iterable[Counter[bytes]]) -> Counter[bytes]:
    total: Counter[bytes] = Counter()
    for each in counters:
        total.update(each)
    return total


def check_kept_once_per_acknowledgement(
    spool: Path, node: str, exchanges: list[Exchange], run: str
) -> Counter[bytes]:
    """Fail unless the spool holds each mark of ``run`` as often as it was acknowledged.

    A request without an answer may have been taken, or not. Returns what was acknowledged.
    """
    raw = raw_of_spool(spool, node)
    kept = Counter({mark: n for mark, n in marks_in(raw).items() if run.encode() in mark})
    promised, unknown = acknowledged(exchanges), unanswered(exchanges)
    lost = promised - kept
    assert not lost, f"{lost.total()} were acknowledged and are not there: {lost.most_common(5)}"
    more = kept - promised - unknown
    assert not more, f"{more.total()} are there too often: {more.most_common(5)}"
    wrong = {mark for mark in unwanted_in(raw) if run.encode() in mark}
    assert not wrong, f"{len(wrong)} below WARN were kept"
    return promised
