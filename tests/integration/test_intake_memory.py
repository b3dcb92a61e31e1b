"""What a whole daemon takes of memory while hostile bodies of the largest size are in work."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from bridge.demo.processes import Service
from bridge.intake.memory import BODY_MAX, JUDGED_MAX, MIB, SHARED_MAX
from spool.lines import LINE_MAX
from tests.support.bridges import Node, node_for

pytestmark = pytest.mark.enable_socket
JSON = "application/json"
SLACK = 96 * MIB
"""For what a parser makes of one record, and what the allocator keeps."""


def logs(record: bytes, size: int = BODY_MAX) -> bytes:
    many = b",".join([record] * ((size - 100) // (len(record) + 1)))
    return b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[%b]}]}]}' % many


def protobuf(fields: bytes) -> bytes:
    for number in (2, 2, 1):
        size = len(fields)
        length = bytes(size >> shift & 0x7F | 0x80 for shift in (0, 7, 14)) + bytes([size >> 21])
        fields = bytes([number << 3 | 2]) + length + fields
    return fields


def bodies() -> list[tuple[str, bytes]]:
    escaped = rb'{"severityNumber":17,"body":{"stringValue":"%b"}}' % (rb"\n\u0041" * 50)
    brackets = b'{"severityNumber":17,"x":[%b1]}' % (b"[]," * (LINE_MAX // 3 - 50))
    attributes = b"2\x00" * (4 * MIB - 100)
    control = b"\x1a\xff\x80\x80\x03" + bytes(6 * MIB + 127)  # in JSON six times as large
    of_json = [(JSON, logs(escaped)), (JSON, logs(brackets))]
    return of_json + [("application/x-protobuf", protobuf(each)) for each in (attributes, control)]


def memory(node: Node, name: str) -> int:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        if str(node.config).encode() in path.read_bytes():
            found = re.search(rf"{name}:\s*(\d+) kB", path.with_name("status").read_text())
            assert found is not None
            return int(found[1]) * 1024
    raise AssertionError("the daemon is gone")


def test_hostile_bodies_of_any_kind_share_a_bounded_memory_and_each_is_answered(
    tmp_path: Path,
) -> None:
    def send(kind: str, body: bytes) -> int:
        answer = httpx.post(
            f"http://127.0.0.1:{node.daemon.port}/v1/logs",
            content=body,
            headers={"Content-Type": kind},
            timeout=60,
            trust_env=False,
        )
        return answer.status_code

    offline = "egress: {mode: offline}\n"
    # What a fork has of its server's memory is not the daemon's.
    with node_for(tmp_path, "http://127.0.0.1:9", more=offline, service=Service) as node:
        node.daemon.start()
        before = memory(node, "VmRSS")
        hostile = bodies()
        with ThreadPoolExecutor(len(hostile)) as pool:
            answers = list(pool.map(lambda each: send(*each), hostile))
        assert set(answers) <= {200, 413, 503}
        assert memory(node, "VmHWM") - before < SHARED_MAX + JUDGED_MAX + SLACK
        assert send(JSON, logs(b'{"severityNumber":17}', 200)) == 200
