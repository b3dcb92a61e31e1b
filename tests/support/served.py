"""A daemon in this process whose clock a test sets ahead."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from bridge.config import load
from bridge.config.licensekeys import load_license_keys
from bridge.daemon.calm import AFTER_S
from bridge.daemon.reloading import Sources
from bridge.daemon.run import Daemon
from keys.keyfile import PRIVATE_NAME, read_signing_key
from spool.clock import SYSTEM_CLOCK
from tests.support.bridges import Node
from tests.support.spools import wait_until


class Jumping:
    """The machine's clocks, and what a test adds to them."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def monotonic(self) -> float:
        return SYSTEM_CLOCK.monotonic() + self.ahead_s

    def wall_ms(self) -> int:
        return SYSTEM_CLOCK.wall_ms() + int(self.ahead_s * 1000)


class Served:
    """A daemon in this process, and its clock."""

    def __init__(self, daemon: Daemon, clock: Jumping) -> None:
        self.daemon = daemon
        self.clock = clock

    @property
    def is_calm(self) -> bool:
        return self.daemon.calm.reigns

    def minutes_pass(self) -> float:
        """Have nothing happen for more than a minute; when the calm's first beat is over."""
        while not self.is_calm:
            self.clock.ahead_s += AFTER_S + 1
            with suppress(AssertionError):  # something happened just then
                wait_until(lambda: self.is_calm, 5)
        return time.monotonic()


@contextmanager
def served(node: Node, sources: Sources | None = None) -> Iterator[Served]:
    config = load(node.config, os.environ)
    clock = Jumping()
    signer = read_signing_key(config.keys.path / PRIVATE_NAME)
    with_keys = load_license_keys(config, os.environ)
    daemon = Daemon(config, signer, with_keys, sources, clock)
    thread = threading.Thread(target=daemon.serve)
    thread.start()
    try:
        yield Served(daemon, clock)
    finally:
        daemon.stop()
        thread.join()
        daemon.close()
