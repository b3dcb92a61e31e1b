"""The daemon as its operator meets it: real processes, killed, doubled, told to stop."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.demo import clients
from spool.lane import Lane
from spool.writer import Writer
from tests.support.beacon import RunningBeacon, running_beacon
from tests.support.bridges import node_for
from tests.support.faultserver import fault_server, wait

pytestmark = pytest.mark.enable_socket


@pytest.fixture
def beacon(tmp_path: Path) -> Iterator[RunningBeacon]:
    with running_beacon(tmp_path / "beacon") as running:
        yield running


def test_what_the_intake_acknowledged_reaches_the_beacon(
    tmp_path: Path, beacon: RunningBeacon
) -> None:
    with node_for(tmp_path, beacon.url) as node:
        node.daemon.start()
        for request in clients.captured():
            assert node.daemon.post(request.path, request.body) == 200
        assert node.bridge("status", "--wait", "drained", "--timeout", "30s").returncode == 0
        received = beacon.received()
        assert received["langgraph"]["records"] == 1
        assert received["logs"]["records"] > 2
        assert received["metrics"]["distinct"] >= 2
        assert received["traces"]["records"] >= 2


def test_a_beacon_that_never_answers_does_not_hold_up_the_stop(tmp_path: Path) -> None:
    with fault_server([wait(90)]) as server, node_for(tmp_path, server.url) as node:
        node.daemon.start()
        (request,) = [r for r in clients.captured() if r.path.endswith("metadata/submit")]
        assert node.daemon.post(request.path, request.body) == 200
        while not server.requests:
            time.sleep(0.05)
        begin = time.monotonic()
        node.daemon.stop()
        assert time.monotonic() - begin < 10
        told = json.loads(node.bridge("status", "--json").stdout)
        (lane,) = [each for each in told["lanes"] if each["records"]["pending"]]
        assert lane["stream"] == "langgraph"


def test_a_second_daemon_is_refused_with_the_first_ones_process_id(
    tmp_path: Path, beacon: RunningBeacon
) -> None:
    with node_for(tmp_path, beacon.url) as node:
        node.daemon.start()
        second = node.bridge("run")
        assert second.returncode == 5
        assert "[spool.locked]" in second.stderr


def test_sigterm_ends_the_daemon_within_five_seconds_and_everything_is_sealed(
    tmp_path: Path, beacon: RunningBeacon
) -> None:
    with node_for(tmp_path, beacon.url) as node:
        node.daemon.start()
        request = next(clients.captured())
        assert node.daemon.post(request.path, request.body) == 200
        begun = time.monotonic()
        node.daemon.stop()
        assert time.monotonic() - begun < 5
        lane = Lane(node.spool, node.name, request.stream)
        assert not list(lane.open.iterdir())
        assert list(lane.sealed_numbers())


def test_offline_it_seals_and_sends_nothing(tmp_path: Path, beacon: RunningBeacon) -> None:
    with node_for(tmp_path, beacon.url, more="egress: {mode: offline}\n") as node:
        with Writer(node.spool, "transactions", node=node.name) as writer:
            writer.append([b'{"id":"a"}'])
        assert node.bridge("run", "--once").returncode == 0
        status = json.loads(node.bridge("status", "--json").stdout)
        lanes = {lane["stream"]: lane["records"]["pending"] for lane in status["lanes"]}
        assert lanes["transactions"] == 1
        assert status["egress"]["state"] == "offline"
        assert beacon.received()["transactions"]["requests"] == 0


@pytest.mark.parametrize(
    ("fault", "code", "error"),
    [
        ({"path": "*", "times": None, "status": 503}, 6, "upstream.unreachable"),
        ({"path": "*", "times": None, "status": 403}, 7, "upstream.refused"),
        ({"path": "*", "times": None, "status": 404}, 7, "upstream.refused"),
    ],
)
def test_run_once_says_by_its_exit_code_why_something_is_left(
    tmp_path: Path, beacon: RunningBeacon, fault: dict[str, object], code: int, error: str
) -> None:
    beacon.set_faults(fault)
    with node_for(tmp_path, beacon.url) as node:
        with Writer(node.spool, "transactions", node=node.name) as writer:
            writer.append([b'{"id":"a"}'])
        ended = node.bridge("run", "--once")
        assert ended.returncode == code
        assert f"[{error}]" in ended.stderr


def test_run_once_with_a_refused_record_is_partly_done(
    tmp_path: Path, beacon: RunningBeacon
) -> None:
    with node_for(tmp_path, beacon.url) as node:
        with Writer(node.spool, "langgraph", node=node.name) as writer:
            bad = b'{"from_timestamp":"a","to_timestamp":"b","measures":{"runs":"x"}}'
            writer.append([bad])
        assert node.bridge("run", "--once").returncode == 3
        assert node.bridge("status").returncode == 3


def test_a_killed_daemons_acknowledged_records_are_delivered_by_the_next(
    tmp_path: Path, beacon: RunningBeacon
) -> None:
    with node_for(tmp_path, beacon.url) as node:
        node.daemon.start()
        acknowledged = 0
        for number in range(20):
            request = clients.snapshot(number)
            if node.daemon.post(request.path, request.body) == 204:
                acknowledged += 1
        node.daemon.kill()
        node.daemon.start()
        assert node.bridge("status", "--wait", "drained", "--timeout", "30s").returncode == 0
        assert acknowledged == 20
        assert beacon.received()["snapshots"]["distinct"] == 20


def test_the_license_key_is_nowhere_but_in_its_file(tmp_path: Path, beacon: RunningBeacon) -> None:
    with node_for(tmp_path, beacon.url) as node:
        node.daemon.start()
        for request in clients.captured():
            node.daemon.post(request.path, request.body)
        wrong = b'{"license":"lcl_WRONG_KEY_0000","trace_transactions":[]}'
        assert node.daemon.post("/v1/beacon/ingest-traces", wrong) == 403
        node.bridge("status", "--wait", "drained", "--timeout", "30s")
        node.daemon.stop()
        key = clients.LICENSE.encode()
        places = [path for path in node.folder.rglob("*") if path.is_file()]
        found = [path.name for path in places if key in path.read_bytes()]
        assert found == ["license_key"]
        assert b"lcl_WRONG_KEY_0000" not in node.log.read_bytes()
