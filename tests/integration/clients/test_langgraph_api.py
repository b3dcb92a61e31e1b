"""LangSmith's own API server, unmodified, comes up while the beacon is down: by the kept token.

The edition on PyPI verifies no license: its ``langgraph_license`` does nothing, and the vendor's images
hold another. So the request is made by an operator's app, which the server runs as part of its own
start, with the server's key, HTTP client and trust (tests/support/clients/licensed_app.py). Name, TLS
and usage reports are the server's own.
"""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from keys.keyfile import read_signing_key
from spool.lane import Lane
from tests.support.beacon import LICENSE, RunningBeacon, running_beacon
from tests.support.books import lines
from tests.support.clients.beaconname import NAME, World, beacon_is_here, is_allowed
from tests.support.clients.relay import relay_to
from tests.support.commands import COMMAND, bridge, environment
from tests.support.licensenodes import pin

pytestmark = [
    pytest.mark.enable_socket,
    pytest.mark.slow,
    pytest.mark.skipif(not is_allowed(), reason="no namespaces here"),
]
CLIENTS = Path(__file__).parents[2] / "support" / "clients"
VENV = CLIENTS / "langgraph" / ".venv"
APP = CLIENTS / "licensed_app.py"
UP_S = 60
"""Seconds for a program to come up: on a loaded machine it takes ten."""
PORT = "8123"


def _made(folder: Path) -> Path:
    """A node as ``bridge init --tls`` makes it, at the beacon's own place."""
    assert bridge("init", folder, "--node", "n", "--tls").code == 0
    (folder / "license_key").write_text(LICENSE)
    config = folder / "bridge.yaml"
    text = config.read_text().replace("127.0.0.1:8480", "127.0.0.1:443")
    # As behind a firewall: the address is known, and nothing comes through.
    line = f'beacon: {{url: "https://{NAME}"}}'
    assert line in text
    text = text.replace(line, f'beacon: {{url: "https://{NAME}", addresses: [192.0.2.10]}}')
    config.write_text(text)
    return config


def _fetched(config: Path, beacon: RunningBeacon) -> bytes:
    """Have the node fetch its token while there is a way to the beacon; the beacon's answer."""
    elsewhere = config.with_name("online.yaml")
    with relay_to(beacon.port) as relay:
        lines = [line for line in config.read_text().splitlines() if "beacon:" not in line]
        elsewhere.write_text("\n".join([*lines, f'beacon: {{url: "{relay.url}"}}', ""]))
        assert bridge("--config", elsewhere, "license", "refresh").code == 0
        (exchange,) = relay.exchanges()
    assert exchange.answer is not None
    return exchange.answer.body


def _until(is_so: Callable[[], bool], why: Callable[[], str]) -> None:
    end = time.monotonic() + UP_S
    while not is_so():
        assert time.monotonic() < end, why()
        time.sleep(0.1)


def _start_bridge(world: World, config: Path) -> None:
    log = config.with_name("daemon.log")
    process = world.start([*COMMAND, "--config", str(config), "run"], log, environment())

    def is_up() -> bool:
        assert process.poll() is None, log.read_text()
        asked = ("--cacert", str(config.parent / "tls" / "ca.pem"), f"https://{NAME}/livez")
        return world.run("curl", "-sf", *asked).returncode == 0

    _until(is_up, log.read_text)


def _server_settings(config: Path, folder: Path) -> dict[str, str]:
    """What an operator sets; every address is the beacon's own."""
    own = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return own | {
        "LANGGRAPH_CLOUD_LICENSE_KEY": LICENSE,
        "SSL_CERT_FILE": str(config.parent / "tls" / "ca.pem"),
        "LANGGRAPH_RUNTIME_EDITION": "inmem",
        "DATABASE_URI": ":memory:",
        "REDIS_URI": "fake",
        "MIGRATIONS_PATH": "__inmem",
        "LANGGRAPH_DISABLE_FILE_PERSISTENCE": "true",
        "LANGSERVE_GRAPHS": json.dumps({"graph": f"{APP}:graph"}),
        "LANGGRAPH_HTTP": json.dumps({"app": f"{APP}:app"}),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TEST_VENDOR_KEYS": str(folder / "vendor-keys.json"),
        "TEST_ANSWER": str(folder / "answer"),
    }


def _came_up(world: World, config: Path, folder: Path) -> bool:
    """Whether the server comes up; else it has ended by itself."""
    log = folder / "server.log"
    serve = [
        str(VENV / "bin" / "python"),
        "-m",
        "uvicorn",
        "langgraph_api.server:app",
        "--port",
        PORT,
    ]
    process = world.start(serve, log, _server_settings(config, folder))
    ok = False

    def is_decided() -> bool:
        nonlocal ok
        ok = world.run("curl", "-sf", f"http://127.0.0.1:{PORT}/ok").returncode == 0
        return ok or process.poll() is not None

    _until(is_decided, log.read_text)
    return ok


@pytest.mark.parametrize("pinned", [True, False], ids=["pinned", "unpinned"])
def test_it_comes_up_without_a_beacon_by_the_very_token_that_the_beacon_issued(
    tmp_path: Path, *, pinned: bool
) -> None:
    config = _made(tmp_path / "node")
    with running_beacon(tmp_path / "beacon") as beacon:
        with beacon.client() as client:
            jwks = client.get("/_beacon/jwks.json").content
        (tmp_path / "vendor-keys.json").write_bytes(jwks)
        issued = _fetched(config, beacon)
    if pinned:
        config.write_text(config.read_text() + pin(tmp_path, jwks))
    with beacon_is_here(tmp_path) as world:
        _start_bridge(world, config)
        assert _came_up(world, config, tmp_path), (tmp_path / "server.log").read_text()[-4000:]
        got = (tmp_path / "answer").read_bytes()
        assert json.loads(got)["token"].encode() == json.loads(issued)["token"].encode()
    # What it reports by itself was taken at the beacon's name, too, and is kept for later.
    key = read_signing_key(tmp_path / "node" / "keys" / "node.pem")
    (report,) = lines(Lane(tmp_path / "node" / "spool", "n", "langgraph"), key)
    assert b'"langgraph.platform.runs":0' in report
    assert LICENSE.encode() not in report + (tmp_path / "node" / "daemon.log").read_bytes()


def test_it_does_not_come_up_where_no_token_is_kept(tmp_path: Path) -> None:
    config = _made(tmp_path / "node")
    with beacon_is_here(tmp_path) as world:
        _start_bridge(world, config)
        assert not _came_up(world, config, tmp_path)
    assert "503" in (tmp_path / "server.log").read_text()
    assert not (tmp_path / "answer").exists()


def test_its_edition_on_pypi_checks_no_license_by_itself() -> None:
    """If this ever fails, it does: then let it, in place of the operator's app."""
    (source,) = VENV.glob("lib/python*/site-packages/langgraph_license/validation.py")
    assert "noop" in source.read_text()
