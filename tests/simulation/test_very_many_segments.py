"""A hundred thousand small segments: a daemon takes them up, joins them and sends them."""

import json
from pathlib import Path

import pytest

from keys.keyfile import PRIVATE_NAME, read_signing_key
from spool.lane import Lane
from spool.sender_lock import read_holder
from tests.support.beacon import RunningBeacon, running_beacon
from tests.support.bridges import node_for
from tests.support.filesystems import in_memory
from tests.support.manysegments import make_segments
from tests.support.spools import wait_until

pytestmark = [pytest.mark.enable_socket, pytest.mark.slow, pytest.mark.timeout(300)]

SEGMENTS = 100_000
MEMORY_MAX = 128 * 1024 * 1024
"""Bytes; a daemon with an empty spool has half of it. A list of all segments would not fit."""


def peak_memory(pid: int) -> int:
    """Bytes that a process held at most."""
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def received(beacon: RunningBeacon) -> int:
    return beacon.received()["transactions"]["records"]


def test_a_hundred_thousand_segments_are_sent_in_order_in_few_requests_and_little_memory(
    tmp_path: Path,
) -> None:
    with (
        in_memory(tmp_path) as folder,
        running_beacon(folder / "beacon", process=True) as beacon,
        node_for(folder, beacon.url) as node,
    ):
        lane = Lane(node.spool, node.name, "transactions")
        key = read_signing_key(node.folder / "keys" / PRIVATE_NAME)
        make_segments(lane, key, SEGMENTS, b'{"id":"0000000000","trace_count":1}')
        node.daemon.start()

        # Looked at seldom: two processors are few for a daemon, a beacon and who looks.
        wait_until(lambda: received(beacon) >= SEGMENTS, 240, every_s=1)
        node.bridge("status", "--wait", "drained", "--timeout", "30s")
        status = json.loads(node.bridge("status", "--json").stdout)
        (found,) = (lane for lane in status["lanes"] if lane["stream"] == "transactions")
        assert found["segments"]["delivered"] == SEGMENTS
        holder = read_holder(node.spool)
        assert holder is not None
        peak = peak_memory(holder.pid)
        came = beacon.received()["transactions"]
        assert came["records"] == came["distinct"] == SEGMENTS
        assert came["requests"] < SEGMENTS / 1000
        ids = [record.id for record in beacon.records("transactions")]
        assert ids == sorted(ids, key=str)
        assert peak < MEMORY_MAX
