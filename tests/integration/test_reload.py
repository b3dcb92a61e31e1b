"""SIGHUP: a running daemon takes up what it can, names the rest, and refuses what is not valid."""

import http.client
import json
import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Timer

import pytest

from bridge.config import Config, load
from bridge.config.keys import KEYS
from bridge.config.licensekeys import load_license_keys
from bridge.daemon.reloading import AT_RUN_TIME, TLS, Change, Sources
from bridge.daemon.run import Daemon
from bridge.demo.clients import LICENSE
from keys.ed25519 import SigningKey
from spool.sender_lock import read_holder
from tests.support.beacon import running_beacon
from tests.support.bridges import Node, node_for
from tests.support.stored import open_lines

ROOT = Path(__file__).parents[2]
METRICS = b'{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m"}]}]}]}'
BILLING = "/v1/beacon/ingest-traces"
NEXT = "lcl_THE_NEXT_EXAMPLE"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Node]:
    with node_for(tmp_path, "http://127.0.0.1:9", more="egress: {mode: offline}\n") as node:
        node.daemon.start()
        yield node


def told(node: Node) -> list[dict[str, str]]:
    lines = node.log.read_text().splitlines()
    found: list[dict[str, str]] = [json.loads(line) for line in lines if line.startswith("{")]
    return [each for each in found if each["event"].startswith("config.")]


def hang_up(node: Node) -> dict[str, str]:
    """Send the signal; what the daemon says of it."""
    before = len(told(node))
    holder = read_holder(node.spool)
    assert holder is not None
    os.kill(holder.pid, signal.SIGHUP)
    end = time.monotonic() + 30
    while len(told(node)) == before:
        assert time.monotonic() < end
        time.sleep(0.05)
    return told(node)[-1]


def add(node: Node, text: str) -> None:
    with node.config.open("a") as file:
        file.write(text)


def transaction(key: str) -> bytes:
    return json.dumps({"license": key, "trace_transactions": [{"id": "a"}]}).encode()


@pytest.mark.enable_socket
def test_a_switch_counts_from_the_next_request_on(running: Node) -> None:
    assert running.daemon.post("/v1/metrics", METRICS) == 200
    add(running, "config: {telemetry: {metrics: false}}\n")
    said = hang_up(running)
    assert (said["event"], said["changed"]) == ("config.reloaded", "config.telemetry.metrics")
    assert running.daemon.post("/v1/metrics", METRICS) == 200
    assert len(open_lines(running.spool, "metrics")) == 1
    assert hang_up(running)["changed"] == ""


@pytest.mark.enable_socket
def test_the_metrics_go_by_the_size_that_the_spool_may_have_now(running: Node) -> None:
    found = re.search(r"admin: \{listen: 127\.0\.0\.1:(\d+)\}", running.config.read_text())
    assert found is not None
    larger = running.config.read_text().replace("path: spool}", "path: spool, max_size: 7GiB}")
    running.config.write_text(larger)
    assert hang_up(running)["changed"] == "spool.max_size"
    with closing(http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=10)) as metrics:
        metrics.request("GET", "/metrics")
        page = metrics.getresponse().read().decode()
    assert f"airgap_bridge_spool_max_bytes {7 << 30}\n" in page


@pytest.mark.enable_socket
def test_a_license_key_is_exchanged_without_a_restart_and_never_shown(running: Node) -> None:
    assert running.daemon.post(BILLING, transaction(LICENSE)) == 200
    (running.folder / "license_key").write_text(NEXT)
    assert running.daemon.post(BILLING, transaction(NEXT)) == 403
    assert "the license keys changed" in hang_up(running)["message"]
    assert running.daemon.post(BILLING, transaction(NEXT)) == 200
    assert running.daemon.post(BILLING, transaction(LICENSE)) == 403
    # The old one is still a secret, also where it stands in telemetry.
    leaking = METRICS.replace(b'"m"', json.dumps(LICENSE).encode())
    assert running.daemon.post("/v1/metrics", leaking) == 200
    assert open_lines(running.spool, "metrics") == []
    assert "lcl_" not in running.log.read_text()


@pytest.mark.enable_socket
def test_what_waits_is_sent_with_the_new_key(tmp_path: Path) -> None:
    with running_beacon(tmp_path / "beacon") as beacon:
        beacon.set_faults({"path": "*", "times": None, "status": 503})
        with node_for(tmp_path, beacon.url) as node:
            node.daemon.start()
            assert node.daemon.post(BILLING, transaction(LICENSE)) == 200
            (node.folder / "license_key").write_text(NEXT)
            hang_up(node)
            assert node.daemon.post(BILLING, transaction(NEXT)) == 200
            beacon.set_faults()
            waited = node.bridge("status", "--wait", "drained", "--timeout", "60s")
            assert waited.returncode == 0
            assert beacon.received()["transactions"]["records"] == 2


@pytest.mark.enable_socket
def test_what_needs_a_restart_is_named_each_time_and_stays_as_it_was(running: Node) -> None:
    add(running, "log: {format: text}\nsnapshots: {enabled: false}\n")
    said = hang_up(running)
    assert said["message"] == (
        "Configuration reloaded: snapshots.enabled changed; log.format only after a restart."
    )
    assert hang_up(running)["restart"] == "log.format"


@pytest.mark.enable_socket
@pytest.mark.parametrize(
    "bad", ["nonsense: 1\n", "config: {telemetry: {billing: false}}\n", "\t", "node: n\n"]
)
def test_a_configuration_that_is_not_valid_is_refused_and_the_old_one_stays(
    running: Node, bad: str
) -> None:
    good = running.config.read_text()
    add(running, bad)
    said = hang_up(running)
    assert said["event"] == "config.refused"
    assert said["error"].startswith("config.")
    assert running.daemon.post(BILLING, transaction(LICENSE)) == 200
    running.config.write_text(good)
    assert hang_up(running)["event"] == "config.reloaded"


@pytest.mark.enable_socket
@pytest.mark.parametrize("size", ["1", "1B", "1023KiB", "-1MiB", "1e9GiB"])
def test_a_spool_of_a_size_that_is_none_is_refused_by_name_and_takes_records_still(
    running: Node, size: str
) -> None:
    text = running.config.read_text()
    assert "spool: {path: spool}" in text
    new = text.replace("spool: {path: spool}", f"spool: {{path: spool, max_size: {size}}}")
    running.config.write_text(new)
    said = hang_up(running)
    assert (said["event"], said["error"]) == ("config.refused", "config.value")
    assert "spool.max_size" in said["message"]
    assert "a size from 1MiB" in said["message"]
    assert running.daemon.post(BILLING, transaction(LICENSE)) == 200


@pytest.mark.enable_socket
def test_a_license_key_that_cannot_be_read_is_refused_and_the_old_one_stays(running: Node) -> None:
    (running.folder / "license_key").unlink()
    assert hang_up(running)["error"] == "license.file"
    assert running.daemon.post(BILLING, transaction(LICENSE)) == 200


def test_only_what_can_change_at_once_changes(tmp_path: Path) -> None:
    file = tmp_path / "bridge.yaml"
    tls = "intake: {tls: {cert: a, key: b}}\n"
    file.write_text("node: n\n" + tls)
    before = load(file, {})
    file.write_text("node: m\nspool: {max_size: 1GiB, path: other}\n" + tls.replace("a,", "c,"))
    change = Change.of(before, load(file, {}))
    assert set(change.at_once) == {"spool.max_size", "intake.tls.cert"}
    assert set(change.at_restart) == {"node", "spool.path"}
    assert change.config.spool.max_size == 1024**3
    assert change.config.spool.path == before.spool.path
    assert change.config.intake.tls.cert == tmp_path / "c"
    file.write_text("node: n\n")
    change = Change.of(before, load(file, {}))
    assert change.at_once == ()
    assert set(change.at_restart) == TLS
    assert change.config == before


def test_the_page_of_operations_lists_what_changes_at_once() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    (section,) = [part for part in page.split("\n## ") if part.startswith("Changing")]
    for key in AT_RUN_TIME | TLS:
        assert key in KEYS
        assert f"`{key}`" in section, key


@pytest.mark.enable_socket
def test_a_reload_that_was_asked_for_while_the_bridge_begins_is_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "bridge.yaml"
    listen = "intake: {listen: 127.0.0.1:0}\nadmin: {listen: 127.0.0.1:0}\n"
    path.write_text(f"node: n\negress: {{mode: offline}}\n{listen}")
    (tmp_path / "spool").mkdir()
    config, read = load(path, {}), []

    def read_again() -> Config:
        read.append(path)
        daemon.stop()
        return load(path, {})

    sources = Sources(read_again, lambda config: load_license_keys(config, {}))
    with closing(
        Daemon(config, SigningKey.generate(), load_license_keys(config, {}), sources)
    ) as daemon:
        daemon.reload()
        late = Timer(30, daemon.stop)
        late.start()
        daemon.serve()
        late.cancel()
    assert read == [path]
