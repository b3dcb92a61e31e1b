"""A daemon in a calm, whose beats are far apart: whatever matters comes as fast as before."""

import http.client
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from bridge.daemon.calm import AFTER_S
from bridge.daemon.roomwatch import LOOK_EVERY_S
from bridge.demo import clients
from spool.beat import BEAT_S, CALM_BEAT_S
from spool.egressfile import read_egress_state
from spool.troublefile import read_trouble
from tests.support.beacon import running_beacon
from tests.support.bridges import node_for
from tests.support.served import served
from tests.support.spools import wait_until

pytestmark = pytest.mark.enable_socket
AT_ONCE_S = CALM_BEAT_S / 2
"""Seconds: a loaded machine may need some for what takes milliseconds, and no beat comes so soon."""


def test_what_another_process_seals_leaves_at_once_and_ends_the_calm(tmp_path: Path) -> None:
    with (
        running_beacon(tmp_path / "beacon") as beacon,
        node_for(tmp_path, beacon.url) as node,
        served(node) as daemon,
    ):
        begun = daemon.minutes_pass()
        appended = node.bridge("append", "transactions", stdin=b'{"id":"a"}\n')
        assert appended.returncode == 0
        wait_until(lambda: beacon.received()["transactions"]["distinct"] == 1)
        assert not daemon.is_calm
        assert time.monotonic() - begun < AT_ONCE_S


def test_a_request_ends_the_calm_at_once(tmp_path: Path) -> None:
    more = "egress: {mode: offline}\n"
    with node_for(tmp_path, "http://127.0.0.1:9", more=more) as node, served(node) as daemon:
        begun = daemon.minutes_pass()
        request = next(clients.captured())
        assert node.daemon.post(request.path, request.body) == 200
        assert not daemon.is_calm
        assert time.monotonic() - begun < AT_ONCE_S


def test_it_is_not_calm_while_a_certificate_is_refused(tmp_path: Path) -> None:
    more = "egress: {mode: offline}\n"
    with node_for(tmp_path, "https://beacon.invalid", more=more) as node:
        made = node.bridge("init", str(node.folder), "--node", "n", "--tls")
        assert made.returncode == 0, made.stderr
        text = node.config.read_text()
        pair = "tls: {cert: tls/cert.pem, key: tls/key.pem}"
        node.config.write_text(text.replace("intake: {", "intake: {" + pair + ", "))
        certificate = node.folder / "tls" / "cert.pem"
        good = certificate.read_bytes()
        with served(node) as running:
            wait_until((node.spool / "tls.json").exists)
            certificate.write_bytes(b"none")
            running.daemon.reload()
            wait_until(lambda: read_trouble(node.spool, "tls") is not None)
            running.clock.ahead_s += AFTER_S + 1
            time.sleep(BEAT_S + 0.5)
            assert not running.is_calm
            certificate.write_bytes(good)
            running.daemon.reload()
            running.minutes_pass()


def _switches(name: str) -> int:
    """How often the thread of that name went to sleep."""
    (thread,) = (each for each in threading.enumerate() if each.name == name)
    status = Path(f"/proc/self/task/{thread.native_id}/status").read_text()
    return int(status.split("voluntary_ctxt_switches:")[1].split()[0])


def test_a_probe_of_readiness_leaves_the_calm_alone_and_has_nobody_look(tmp_path: Path) -> None:
    more = "egress: {mode: offline}\n"
    with node_for(tmp_path, "http://127.0.0.1:9", more=more) as node, served(node) as daemon:
        daemon.minutes_pass()
        before = [_switches(name) for name in ("room", "retention", "license")]
        for _ in range(3):
            with closing(http.client.HTTPConnection("127.0.0.1", node.daemon.port)) as probe:
                probe.request("GET", "/readyz")
                assert probe.getresponse().read() == b"ok\n"
            time.sleep(LOOK_EVERY_S)
        assert daemon.is_calm
        assert [_switches(name) for name in ("room", "retention", "license")] == before


def test_when_a_calm_ends_whoever_sleeps_for_minutes_turns_at_once(tmp_path: Path) -> None:
    with (
        running_beacon(tmp_path / "beacon") as beacon,
        node_for(tmp_path, beacon.url) as node,
        served(node) as daemon,
    ):
        begun = daemon.minutes_pass()
        before = {name: _switches(name) for name in ("egress", "intake")}
        daemon.daemon.calm.end()
        wait_until(lambda: all(_switches(name) > count for name, count in before.items()))
        assert time.monotonic() - begun < AT_ONCE_S


def test_it_is_not_calm_before_egress_is_called_idle(tmp_path: Path) -> None:
    # Said in the midst of a calm, the word ended it: the folder that it is written to is looked at.
    with (
        running_beacon(tmp_path / "beacon") as beacon,
        node_for(tmp_path, beacon.url) as node,
        served(node) as daemon,
    ):
        assert node.bridge("append", "transactions", stdin=b'{"id":"a"}\n').returncode == 0
        wait_until(lambda: beacon.received()["transactions"]["distinct"] == 1)
        state = read_egress_state(node.spool)
        assert state is not None
        assert state.state == "up"
        daemon.minutes_pass()
        state = read_egress_state(node.spool)
        assert state is not None
        assert state.state == "idle"
