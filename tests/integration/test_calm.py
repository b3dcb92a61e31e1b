"""A daemon in a calm, whose beats are far apart: whatever matters comes as fast as before."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from bridge.config import load
from bridge.config.licensekeys import load_license_keys
from bridge.daemon.calm import AFTER_S
from bridge.daemon.run import Daemon
from bridge.demo import clients
from keys.keyfile import PRIVATE_NAME, read_signing_key
from spool.beat import CALM_BEAT_S
from spool.clock import SYSTEM_CLOCK
from tests.support.beacon import running_beacon
from tests.support.bridges import Node, node_for
from tests.support.spools import wait_until

pytestmark = pytest.mark.enable_socket
AT_ONCE_S = CALM_BEAT_S / 2
"""Seconds: a loaded machine may need some for what takes milliseconds, and no beat comes so soon."""


class Jumping:
    """The machine's clocks, and what a test adds to them."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def monotonic(self) -> float:
        return SYSTEM_CLOCK.monotonic() + self.ahead_s

    def wall_ms(self) -> int:
        return SYSTEM_CLOCK.wall_ms() + int(self.ahead_s * 1000)


class Calmed:
    """A daemon in this process, and its clock."""

    def __init__(self, daemon: Daemon, clock: Jumping) -> None:
        self._daemon = daemon
        self._clock = clock

    @property
    def is_calm(self) -> bool:
        return self._daemon.calm.reigns

    def minutes_pass(self) -> float:
        """Have nothing happen for more than a minute; when the calm's first beat is over."""
        while not self.is_calm:
            self._clock.ahead_s += AFTER_S + 1
            with suppress(AssertionError):  # something happened just then
                wait_until(lambda: self.is_calm, 5)
        return time.monotonic()


@contextmanager
def calmed(node: Node) -> Iterator[Calmed]:
    config = load(node.config, os.environ)
    clock = Jumping()
    signer = read_signing_key(config.keys.path / PRIVATE_NAME)
    with_keys = load_license_keys(config, os.environ)
    daemon = Daemon(config, signer, with_keys, clock=clock)
    thread = threading.Thread(target=daemon.serve)
    thread.start()
    try:
        yield Calmed(daemon, clock)
    finally:
        daemon.stop()
        thread.join()
        daemon.close()


def test_what_another_process_seals_leaves_at_once_and_ends_the_calm(tmp_path: Path) -> None:
    with (
        running_beacon(tmp_path / "beacon") as beacon,
        node_for(tmp_path, beacon.url) as node,
        calmed(node) as daemon,
    ):
        begun = daemon.minutes_pass()
        appended = node.bridge("append", "transactions", stdin=b'{"id":"a"}\n')
        assert appended.returncode == 0
        wait_until(lambda: beacon.received()["transactions"]["distinct"] == 1)
        assert not daemon.is_calm
        assert time.monotonic() - begun < AT_ONCE_S


def test_a_request_ends_the_calm_at_once(tmp_path: Path) -> None:
    more = "egress: {mode: offline}\n"
    with node_for(tmp_path, "http://127.0.0.1:9", more=more) as node, calmed(node) as daemon:
        begun = daemon.minutes_pass()
        request = next(clients.captured())
        assert node.daemon.post(request.path, request.body) == 200
        assert not daemon.is_calm
        assert time.monotonic() - begun < AT_ONCE_S
