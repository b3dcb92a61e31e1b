"""Offline means no socket out and no name look-up: the system calls of a real daemon are read.

The host of the beacon is a name here, so that online a look-up comes before any connection.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from bridge.demo.clients import LICENSE
from bridge.license.refreshing import Refresh, read_refreshes
from spool.clock import SYSTEM_CLOCK
from spool.discovery import discover
from spool.lane import lanes
from spool.ledger import Ledger, State
from tests.support.bridges import Node, node_for
from tests.support.bundles import Machine
from tests.support.sending import ONE
from tests.support.spools import wait_until

pytestmark = [
    pytest.mark.enable_socket,
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not here"),
]
SPEED, WATCHED_S = 100, 6.5
"""The daemon's clock is so fast: what it is watched for is more than ten minutes to it, with everything
pending, all steps of back-off, files that get old, and a license token that has to be asked for."""
_DAEMON = """
import os, signal, sys, time
from pathlib import Path
from bridge.config import load
from bridge.config.licensekeys import load_license_keys
from bridge.daemon.run import Daemon
from bridge.operate.logs import configure
from keys.keyfile import read_signing_key

class Fast:
    begun, wall = time.monotonic(), time.time_ns() // 1_000_000

    def monotonic(self):
        return self.begun + (time.monotonic() - self.begun) * SPEED

    def wall_ms(self):
        return self.wall + int((self.monotonic() - self.begun) * 1000)

config = load(Path(sys.argv[1]), os.environ)
configure("json", 0, [])
signer = read_signing_key(config.keys.path / "node.pem")
daemon = Daemon(config, signer, load_license_keys(config, os.environ), clock=Fast())
signal.signal(signal.SIGTERM, lambda *_: daemon.stop())
daemon.serve()
daemon.close()
""".replace("SPEED", str(SPEED))
BEACON = "https://beacon.invalid"
BODIES: Mapping[str, bytes] = {
    "/v1/beacon/ingest-traces": b'{"license":"%b","trace_transactions":[%b]}',
    "/v1/beacon/metadata/submit": b'{"license_key":"%b",%b',
    "/v1/beacon/usage-snapshot": b'{"license_key":"%b",%b',
    "/v1/beacon/v1/logs": b"",
    "/v1/beacon/v1/metrics": b"",
    "/v1/beacon/v1/traces": b"",
}
STREAMS = dict(
    zip(
        BODIES,
        ("transactions", "langgraph", "snapshots", "logs", "metrics", "traces"),
        strict=True,
    )
)
OUTWARD = re.compile(
    r"(?:connect|sendto|sendmsg|sendmmsg)\([^\n]*"
    r"sa_family=(?:AF_INET6?|AF_NETLINK|AF_UNIX)[^\n]*"
    r"|socket\((?:AF_NETLINK|AF_INET6?, SOCK_DGRAM)[^\n]*"
)
"""Calls that go to somebody, or prepare a look-up: what is accepted is answered without an address."""


def body_of(path: str) -> bytes:
    line, form = ONE[STREAMS[path]] % 1, BODIES[path]
    if not form:
        return line
    return form % (LICENSE.encode(), line.removeprefix(b"{") if b"license_key" in form else line)


@contextmanager
def traced(node: Node, trace: Path, mode: str) -> Iterator[None]:
    """The node's daemon under a tracer of its network calls."""
    command = [sys.executable, "-c", _DAEMON, str(node.config)]
    with (
        node.log.open("ab") as log,
        subprocess.Popen(
            ["strace", "-f", "-qq", "-e", "trace=network", "-o", str(trace), *command],
            stdout=log,
            stderr=log,
            env={**os.environ, "BRIDGE_EGRESS__MODE": mode},
        ) as tracer,
    ):
        try:
            wait_until(lambda: is_up(node) or tracer.poll() is not None)
            assert tracer.poll() is None, node.log.read_text()
            yield
        finally:
            # The tracer hands it on to nobody: the daemon itself has to be told.
            with suppress(ProcessLookupError):
                os.kill(child_of(tracer.pid), signal.SIGTERM)
            tracer.wait(30)


def is_up(node: Node) -> bool:
    try:
        node.daemon.post("/nowhere", b"{}", timeout=5.0)
    except OSError:
        return False
    return True


def child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def bundle_for(node: Node, folder: Path) -> Path:
    """A bundle of another node, which ``node`` trusts."""
    stick = folder / "stick"
    stick.mkdir()
    sender = Machine(folder / "inside", "inside", 1)
    relay = Machine(folder / "as-if", node.name, 2)
    sender.trusts(relay, "relay")
    sender.append(1)
    path = sender.export(relay, stick).path
    public = folder / "inside.pub.pem"
    public.write_bytes(sender.key.public.pem())
    done = node.bridge(
        "keys", "trust", str(public), "--role", "node", "--name", "inside",
        "--fingerprint", sender.key.public.id,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return path


@dataclass(frozen=True)
class Watched:
    """What the daemon asked the system for while all lanes waited; its log; how it got a token."""

    calls: list[str]
    log: str
    refreshes: Mapping[str, Refresh]


def watch(tmp_path: Path, mode: str) -> Watched:
    assert SPEED * WATCHED_S >= 600
    trace = tmp_path / "trace"
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    with node_for(tmp_path, BEACON, more=f"transfer: {{inbox: {inbox}}}\n") as node:
        bundle = bundle_for(node, tmp_path)
        with traced(node, trace, mode):
            shutil.copy(bundle, inbox)
            for path in BODIES:
                assert node.daemon.post(path, body_of(path)) in (200, 204)
            asked = json.dumps({"license": LICENSE}).encode()
            assert node.daemon.post("/v1/beacon/verify", asked) == 503
            time.sleep(WATCHED_S)
            wait_until((inbox / f"{bundle.name}.imported").exists)
            assert node.daemon.post("/v1/beacon/verify", asked) == 503
        with Ledger.open(node.spool, clock=SYSTEM_CLOCK) as ledger:
            for lane in lanes(node.spool):
                discover(ledger, lane)
            waiting = {c.stream for c in ledger.counts() if c.segments[State.PENDING]}
        assert waiting == set(STREAMS.values())
        found = OUTWARD.findall(trace.read_text())
        return Watched(found, node.log.read_text(), read_refreshes(node.spool))


def test_offline_opens_no_socket_and_looks_up_no_name(tmp_path: Path) -> None:
    seen = watch(tmp_path, "offline")
    assert seen.calls == []
    assert len(seen.log.splitlines()) < 12, seen.log
    assert seen.refreshes == {}


def test_online_the_same_is_seen_to_look_for_the_beacon(tmp_path: Path) -> None:
    seen = watch(tmp_path, "online")
    assert any(call.startswith(("connect", "sendto", "sendm")) for call in seen.calls)
    # A token was due, too.
    assert seen.refreshes["n"].problem
