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
from pathlib import Path

import pytest

from bridge.demo.clients import LICENSE
from tests.support.bridges import Node, node_for
from tests.support.bundles import Machine
from tests.support.sending import ONE
from tests.support.spools import wait_until

pytestmark = [
    pytest.mark.enable_socket,
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not here"),
]
WATCHED_S = 8.0
"""Seconds that the daemon runs with everything pending: many looks, several steps of back-off."""
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
    command = [sys.executable, "-m", "bridge.cli.main", "--config", str(node.config), "run"]
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


def calls_of(tmp_path: Path, mode: str) -> tuple[list[str], str]:
    """What the daemon asked the system for while all lanes waited, and its log."""
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
        streams = {path.name for path in (node.spool / node.name).iterdir()}
        assert set(STREAMS.values()) <= streams
        return OUTWARD.findall(trace.read_text()), node.log.read_text()


def test_offline_opens_no_socket_and_looks_up_no_name(tmp_path: Path) -> None:
    found, said = calls_of(tmp_path, "offline")
    assert found == []
    assert len(said.splitlines()) < 12, said


def test_online_the_same_is_seen_to_look_for_the_beacon(tmp_path: Path) -> None:
    found, _ = calls_of(tmp_path, "online")
    assert any(call.startswith(("connect", "sendto", "sendm")) for call in found)
