"""A main thread that hangs: the log, the metrics and the status say so, until it moves again."""

import json
import os
from contextlib import closing
from pathlib import Path

import pytest

from bridge.config import Config
from bridge.config.licensekeys import load_license_keys
from bridge.daemon.reloading import Sources
from bridge.daemon.stalls import LATE_S
from keys.errors import ConfigError
from spool.beat import CALM_BEAT_S
from tests.integration.test_metrics import admin_port, get, value
from tests.support.bridges import node_for
from tests.support.sending import ONE
from tests.support.served import served
from tests.support.spools import wait_until

pytestmark = pytest.mark.enable_socket


def test_a_main_thread_that_hangs_turns_log_status_and_metrics_red_until_it_moves(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pipe = tmp_path / "a-disk-that-hangs"
    os.mkfifo(pipe)

    def read_again() -> Config:
        # A system call that does not come back, in the thread that looks for all.
        pipe.read_bytes()
        raise ConfigError("config.syntax", "It cannot be read.", "Look at it.")

    def said(event: str) -> int:
        return sum(getattr(record, "event", "") == event for record in caplog.records)

    more = "egress: {mode: offline}\n"
    with node_for(tmp_path, "http://127.0.0.1:9", more=more) as node:
        sources = Sources(read_again, lambda config: load_license_keys(config, {}))
        with served(node, sources) as running:
            running.daemon.reload()
            # Whoever opens the other end waits until the daemon reads.
            with closing(os.fdopen(os.open(pipe, os.O_WRONLY), "wb")):
                running.clock.ahead_s += LATE_S + CALM_BEAT_S
                wait_until(lambda: said("daemon.stalled") == 1)
                page = get(admin_port(node))[1]
                assert value(page, "healthy") == 0
                assert value(page, 'problem{id="daemon.stalled"}') == 1
                wait_until((node.spool / "stalled.json").exists)
                status = node.bridge("status", "--json")
                assert status.returncode == 3
                problem = json.loads(status.stdout)["problems"][0]
                assert problem["id"] == "daemon.stalled"
                assert "main thread" in problem["message"]
                # The others go on.
                assert node.daemon.post("/v1/traces", ONE["traces"] % 1) == 200
            wait_until(lambda: said("daemon.moves") == 1)
            wait_until(lambda: node.bridge("status").returncode == 0, every_s=0.2)
            assert value(get(admin_port(node))[1], "healthy") == 1
        assert said("daemon.stalled") == 1
